"""An encoded picture as pixels."""

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the error at twice that is meant


def decode(content: bytes) -> Pixels:
    """An encoded picture as uint8 RGB, turned upright, transparency on white.

    Raises OSError or ValueError when it is not a picture, is cut short, or is larger than Pillow's
    limit against decompression bombs.
    """
    try:
        with Pillow.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.load()
            return np.asarray(_to_rgb(ImageOps.exif_transpose(picture)))
    except UnidentifiedImageError:
        raise ValueError("not a JPEG, PNG, BMP or WebP picture") from None
    except (Pillow.DecompressionBombError, SyntaxError, EOFError) as error:
        raise ValueError(str(error)) from error


def _to_rgb(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255 instead
        grey = np.asarray(picture).astype(np.int64) >> 8
        return Pillow.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Pillow.new("RGBA", picture.size, "white")
        return Pillow.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
