"""An encoded picture as pixels."""

import io
import threading
import warnings
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
_ONE_LARGE = threading.Lock()

Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow warns above it and refuses above twice that
warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")  # oddities of tags that are not needed here

_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


def decode(content: bytes) -> Pixels:
    """An encoded picture as uint8 RGB, turned upright, transparency on white.

    EXIF that cannot be read counts as none. Raises ValueError with the reason when it is not a
    picture, is damaged or cut short, or has more than `MOST_PIXELS`.
    """
    try:
        with Pillow.open(io.BytesIO(content), formats=FORMATS) as picture, _turn(picture):
            picture.load()
            return _pixels(_turned_upright(picture))
    except UnidentifiedImageError:
        raise ValueError("not a JPEG, PNG, BMP or WebP picture") from None
    except Exception as error:  # a damaged file makes Pillow's parsers raise almost anything
        raise ValueError(str(error) or type(error).__name__) from error


def _turn(picture: Pillow.Image) -> AbstractContextManager[Any]:
    """Large pictures wait for each other."""
    return _ONE_LARGE if picture.width * picture.height > LARGE else nullcontext()


def _turned_upright(picture: Pillow.Image) -> Pillow.Image:
    """Pillow's own `exif_transpose` also writes the other tags anew, and fails on damaged ones."""
    try:
        turn = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as above
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _pixels(picture: Pillow.Image) -> Pixels:
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP // width)
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
    return picture.convert("RGB")
