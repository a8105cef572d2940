"""What of a picture's file decides its pixels: by it copies are known that carry other metadata."""

from collections.abc import Iterator

JPEG, SCAN, END = b"\xff\xd8\xff", 0xDA, b"\xff\xd9"
SILENT = {0xFE, *range(0xE0, 0xF0)} - {0xEE}  # comments and applications', but for Adobe's colours
PNG, PICTURE = b"\x89PNG\r\n\x1a\n", (b"IHDR", b"PLTE", b"tRNS", b"IDAT")


def essence(content: bytes) -> bytes:
    """The file without EXIF, comments, profiles, thumbnails and what follows its end.

    JPEG and PNG; other files, and damaged ones, are returned as they are. The same pixels encoded
    anew have another essence.
    """
    reader = _jpeg if content.startswith(JPEG) else _png if content.startswith(PNG) else None
    if not reader:
        return content
    try:
        return b"".join(reader(content))
    except IndexError:  # cut short
        return content


def _jpeg(content: bytes) -> Iterator[bytes]:
    """Segments up to the first scan, then all to the end of the picture."""
    place = 2
    while content[place + 1] != SCAN:
        if content[place] != 0xFF:
            raise IndexError
        after = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] not in SILENT:
            yield content[place:after]
        place = after
    end = content.find(END, place)  # within a scan 0xff is followed by 0
    yield content[place : end if end > 0 else None]


def _png(content: bytes) -> Iterator[bytes]:
    place, kind = len(PNG), b""
    while kind != b"IEND":
        after = place + 12 + int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if not kind:
            raise IndexError
        if kind in PICTURE:
            yield content[place:after]
        place = after
