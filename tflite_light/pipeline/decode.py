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

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
MOST_PIXELS = 500_000_000  # a defence against decompression bombs; phones take 200 million
LARGE = 64_000_000  # pixels; larger pictures are decoded one at a time, since each takes 0.5 GB up
STRIP = 16_000_000  # pixels that are converted at once, so that a large picture is not held thrice
EXIF, SEGMENT = b"Exif\0\0", 65_533  # what its block in a JPEG begins with, and its longest length
_METADATA = re.compile(  # names of a JPEG's segments that say nothing of its pixels
    rb"(?<=\xff[\xe1-\xed]..)(?:Exif\0\0|MPF\0|ICC_PROFILE\0|Photoshop 3\.0\0|FPXR\0)", re.DOTALL
)
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

    EXIF that cannot be read counts as none. Raises ValueError with the reason when it is not a
    picture, is damaged or cut short, or has more than `MOST_PIXELS`.
    """
    try:
        with _opened(content) as picture, _in_turn(picture):
            picture.load()
            turn = _UPRIGHT.get(_orientation(picture))
            pixels = _pixels(picture)
    except UnidentifiedImageError:
        raise ValueError("not a JPEG, PNG, BMP or WebP picture") from None
    except Exception as error:  # a damaged file makes Pillow's parsers raise almost anything
        raise ValueError(str(error) or type(error).__name__) from error
    return pixels if turn is None else turn(pixels)


def _opened(content: bytes) -> Pillow.Image:
    """Pillow also looks for the resolution in a JPEG's EXIF, and gives up where that is odd."""
    try:
        return Pillow.open(io.BytesIO(content), formats=FORMATS)
    except Exception:  # as above
        bare = _METADATA.sub(lambda found: b"\0" * len(found[0]), content)
        picture = Pillow.open(io.BytesIO(bare), formats=FORMATS)
    if EXIF in content:
        picture.info["exif"] = content[content.index(EXIF) :][:SEGMENT]
    return picture


def _in_turn(picture: Pillow.Image) -> AbstractContextManager[Any]:
    """Large pictures wait for each other."""
    return _ONE_LARGE if picture.width * picture.height > LARGE else nullcontext()


def _orientation(picture: Pillow.Image) -> object:
    """Pillow's own `exif_transpose` also writes the other tags anew, and fails on damaged ones."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # as above
        return None


def _pixels(picture: Pillow.Image) -> Pixels:
    width, height = picture.size
    rows = max(1, STRIP // width)
    if rows >= height:
        return np.asarray(_to_rgb(picture))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_to_rgb(strip))
    return pixels


def _to_rgb(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255 instead
        grey = np.asarray(picture) >> 8
        return Pillow.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Pillow.new("RGBA", picture.size, "white")
        return Pillow.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
