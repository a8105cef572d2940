"""An encoded picture as pixels."""

import io
import re
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as Pillow

from tflite_light.pipeline import formats
from tflite_light.pipeline.transparency import where_clear

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MOST_PIXELS = 500_000_000  # a defence against decompression bombs; phones take 200 million
LARGE = 64_000_000  # pixels; larger pictures are decoded one at a time, since each takes 0.5 GB up
STRIP = 16_000_000  # pixels that are converted at once, so that a large picture is not held thrice
EXIF, SEGMENT = b"Exif\0\0", 65_533  # what its block in a JPEG begins with, and its longest length
_METADATA = re.compile(  # names of a JPEG's segments that say nothing of its pixels
    rb"(?<=\xff[\xe1-\xed]..)(?:Exif\0\0|MPF\0|ICC_PROFILE\0|Photoshop 3\.0\0|FPXR\0)", re.DOTALL
)
_ASKED_TOO = "xmp", "XML:com.adobe.xmp", "Raw profile type exif"  # by Pillow, beside EXIF
_KIND_OF_PAGE, _REDUCED, _MASK = ExifTags.Base.NewSubfileType, 1, 4
_WHITE_IS_ZERO = 0  # of a TIFF's photometric interpretations
_NOT_WHOLE = {2, 3, 5, 6}  # of its sample formats: signed, float, complex of either
_ONE_LARGE = threading.Lock()

Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow warns above it and refuses above twice that
warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")  # oddities of tags that are not needed here

Turn = Callable[[Any], Any]

_UPRIGHT: dict[object, Turn] = {  # views: a turned copy of a large picture would take 2 GB more
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}


def decode(content: bytes) -> Pixels:
    """An encoded picture as uint8 RGB, turned upright, transparency on white.

    Of 16 bits the upper 8 are taken; of several pages or frames the first. EXIF that cannot be read
    counts as none. Raises ValueError with the reason when it is not a picture, is damaged or cut
    short, or has more than `MOST_PIXELS`.
    """
    found = upright(content)
    return found if isinstance(found, np.ndarray) else np.asarray(found)


def upright(content: bytes) -> "Pixels | Pillow.Image":
    """The same, left to Pillow where it is RGB and upright as it is, as most photographs are.

    Who goes on to resize it saves two copies, a fifth of the time of a picture of 500 x 375.
    """
    try:
        with _opened(content) as picture, _in_turn(picture):
            return _upright(picture, content)
    except UnidentifiedImageError:
        raise ValueError(f"not a {formats.NAMES} picture, or of a rare kind") from None
    except Exception as error:  # a damaged file makes Pillow's parsers raise almost anything
        raise ValueError(_reason(error)) from error


def in_memory(picture: Pillow.Image) -> Pixels:
    """Likewise a picture that Pillow has opened, made or changed; ValueError as of `decode`.

    Its file is gone: a PNG's transparent colour is compared with samples of 8 bits, by Pillow.
    """
    try:
        return np.asarray(_upright(picture, b""))
    except Exception as error:  # as above
        raise ValueError(_reason(error)) from error


def _upright(picture: Pillow.Image, content: bytes) -> "Pixels | Pillow.Image":
    _to_first_page(picture)
    _require_unsigned(picture)
    picture.load()
    clear = where_clear(content, picture) if content else None
    turn = _UPRIGHT.get(orientation(picture))
    seen = clear is not None or picture.has_transparency_data
    if turn is None and picture.mode == "RGB" and not seen:
        return picture
    pixels = _pixels(picture)
    if clear is not None:
        pixels = np.where(clear[..., None], np.uint8(255), pixels)
    return pixels if turn is None else turn(pixels)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _opened(content: bytes) -> Pillow.Image:
    """Pillow also looks for the resolution in a JPEG's EXIF, and gives up where that is odd."""
    kind = formats.of(content)
    if kind is None or (kind == "TIFF" and content[8:10] == b"CR"):  # Canon's raw: a preview
        raise UnidentifiedImageError
    formats.require_reader(kind)
    try:
        picture = Pillow.open(io.BytesIO(content), formats=[kind])
    except Exception:  # as above
        bare = _METADATA.sub(lambda found: b"\0" * len(found[0]), content)
        picture = Pillow.open(io.BytesIO(bare), formats=[kind])
        if EXIF in content:
            picture.info["exif"] = content[content.index(EXIF) :][:SEGMENT]
    if kind == "TIFF":
        picture.info.pop("xmp", None)  # by which Pillow turns those that have no tag of their own
    return picture


def _in_turn(picture: Pillow.Image) -> AbstractContextManager[Any]:
    """Large pictures wait for each other."""
    return _ONE_LARGE if picture.width * picture.height > LARGE else nullcontext()


def orientation(picture: Pillow.Image) -> int | None:
    """By EXIF alone: a whole number, as the app reads it. TIFFs have none left: Pillow turns them.

    Its `getexif`, which also knows what was changed in memory, asks XMP and a PNG's text, too, as
    phones and browsers do not; its `exif_transpose` writes the other tags anew, and fails on
    damaged ones.
    """
    try:
        picture.load()  # a PNG's EXIF may lie behind its pixels
        found = picture.getexif().get(ExifTags.Base.Orientation)
        if any(picture.info.get(name) for name in _ASKED_TOO) and found == _as_opened(picture):
            tags = Pillow.Exif()
            tags.load(picture.info.get("exif", b""))
            found = tags.get(ExifTags.Base.Orientation)
    except Exception:  # as above
        return None
    return found if isinstance(found, int) else None


def _as_opened(picture: Pillow.Image) -> Any:
    """What Pillow makes of all that it asks, where nothing was changed in memory."""
    bare = Pillow.new("L", (1, 1))
    bare.info = {**picture.info}
    return bare.getexif().get(ExifTags.Base.Orientation)


def turn_of(picture: Pillow.Image) -> Pillow.Exif:
    """EXIF of its orientation and nothing else, to be saved with its pixels."""
    exif = Pillow.Exif()
    if (found := orientation(picture)) in _UPRIGHT:
        exif[ExifTags.Base.Orientation] = found
    return exif


def _to_first_page(picture: Pillow.Image) -> None:
    """Go to a TIFF's first page that is neither a reduced copy nor a mask (TIFF 6.0, page 36)."""
    tags = getattr(picture, "tag_v2", {})
    while tags.get(_KIND_OF_PAGE, 0) & (_REDUCED | _MASK):
        try:
            picture.seek(picture.tell() + 1)
        except EOFError:
            raise ValueError("it holds a thumbnail alone, as cameras' raw files do") from None


def _require_unsigned(picture: Pillow.Image) -> None:
    """Pillow takes a TIFF's signed bytes as they are: what is just below 0 became white."""
    samples = getattr(picture, "tag_v2", {}).get(ExifTags.Base.SampleFormat, ())
    if picture.mode in ("I", "F") or _NOT_WHOLE.intersection(samples):
        raise ValueError("its pixels are signed or of 32 bits, and what is white is not known")


def _pixels(picture: Pillow.Image) -> Pixels:
    width, height = picture.size
    rows, to_rgb = max(1, STRIP // width), _converter(picture)
    if rows >= height:
        return np.asarray(to_rgb(picture))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(to_rgb(strip))
    return pixels


def _converter(picture: Pillow.Image) -> Callable[[Pillow.Image], Pillow.Image]:
    """What makes RGB of a picture, or of strips of it, which have no tags."""
    if not picture.mode.startswith("I;16"):
        return _to_rgb
    tags = getattr(picture, "tag_v2", {})
    (bits,) = tags.get(ExifTags.Base.BitsPerSample, (16,))
    inverse = 255 if tags.get(ExifTags.Base.PhotometricInterpretation) == _WHITE_IS_ZERO else 0
    return lambda strip: _from_grey(strip, bits - 8, inverse)


def _from_grey(picture: Pillow.Image, shift: int, inverse: int) -> Pillow.Image:
    """Of more than 8 bits; Pillow's own conversion clips at 255 instead, and inverts none."""
    grey = (np.asarray(picture) >> shift).astype(np.uint8) ^ np.uint8(inverse)
    return Pillow.fromarray(grey).convert("RGB")


def _to_rgb(picture: Pillow.Image) -> Pillow.Image:
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Pillow.new("RGBA", picture.size, "white")
        return Pillow.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
