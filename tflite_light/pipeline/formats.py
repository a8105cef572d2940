"""The formats that pictures come in: the one place that knows their names and first bytes.

Pillow reads them; HEIC, which iPhones write, with `pillow-heif`, of the extra `tflite-light[heic]`.
"""

from pathlib import Path

SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **{".png": "PNG", ".bmp": "BMP", ".webp": "WEBP", ".avif": "AVIF"},
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
}
NAMES = "JPEG, PNG, BMP, WebP, TIFF, AVIF or HEIC"
HEAD = 12  # bytes that tell a format
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),  # BigTIFF, too
}
_AVIF, _EITHER = (b"avif", b"avis"), (b"mif1", b"msf1")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", *_EITHER)


def is_picture(path: Path, head: bytes) -> bool:
    """Whether a file of this name that begins so is a picture.

    TIFF needs the name, or one without a suffix: cameras' raw files begin likewise, and so do maps.
    """
    suffix, found = path.suffix.lower(), of(head)
    if suffix in SUFFIXES:
        return True
    if found == "BMP":
        return head[6:10] == b"\0\0\0\0"  # two reserved words, since a text may begin with BM
    return found is not None and (found != "TIFF" or not suffix)


def of(content: bytes) -> str | None:
    """The format, by Pillow's name, of what begins so; None where it is none of these."""
    if content[4:8] == b"ftyp":
        return _by_brand(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return next((_BEGINNINGS[one] for one in _BEGINNINGS if content.startswith(one)), None)


def _by_brand(content: bytes) -> str | None:
    """Of an ISO media file (ISO/IEC 14496-12) by its major brand; of `mif1` by the compatible."""
    brand, end = content[8:12], min(int.from_bytes(content[:4], "big"), len(content))
    others = {content[at : at + 4] for at in range(16, end, 4)} if brand in _EITHER else set()
    if brand in _AVIF or others & {*_AVIF}:
        return "AVIF"
    return "HEIF" if brand in _HEIF else None


def require_reader(format_: str) -> None:
    """Raises ValueError where Pillow reads a format only with an extra, which is not installed."""
    if format_ == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            needed = "HEIC needs an extra: `pip install 'tflite-light[heic]'`"
            raise ValueError(needed) from None
        pillow_heif.register_heif_opener()
