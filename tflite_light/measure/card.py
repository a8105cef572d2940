"""The test card: a golden picture on which every step of preprocessing shows.

Photographs of a data set may all be square, grey, upright or of the model's own size; whoever crops
wrongly, takes BGR for RGB, ignores EXIF or resizes by another filter would then be right on them.
"""

import io
import math

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

from tflite_light.pipeline.decode import Pixels

REDUCED = 1.1  # at least, so that no filter but its own gives its pixels
TINT = (1.0, 0.75, 0.5)  # red, green, blue: no grey stays grey
ON_ITS_SIDE = 6  # the EXIF orientation of a picture that has to be turned clockwise


def card(picture: Pixels, size: int) -> bytes:
    """A PNG made of `picture`, uint8 [height, width, 3]: a quarter of its height cut off, its
    pixels repeated until it has to be reduced to `size`, tinted, with a clear window, which lies on
    white, and turned on its side by EXIF.
    """
    cut = picture[: max(1, len(picture) * 3 // 4)]
    times = math.ceil(REDUCED * size / min(cut.shape[:2]))
    tinted = (cut.repeat(times, axis=0).repeat(times, axis=1) * np.array(TINT)).astype(np.uint8)
    clear = _window(*tinted.shape[:2])
    pixels = np.dstack([tinted, np.where(clear, 0, 255).astype(np.uint8)])
    turned, content = Pillow.Exif(), io.BytesIO()
    turned[ExifTags.Base.Orientation] = ON_ITS_SIDE
    Pillow.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(content, "PNG", exif=turned)
    return content.getvalue()


def _window(height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Left of and above the centre, so that no turn or reflection leaves it where it is."""
    rows, columns = np.mgrid[:height, :width]
    inside: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (
        (rows >= height // 4)
        & (rows < height // 2)
        & (columns >= width // 3)
        & (columns < width // 2)
    )
    return inside
