"""What pictures are like, before anything is decided about them: every one is decoded once."""

from dataclasses import dataclass

import numpy as np

from tflite_light.contract import Image
from tflite_light.pipeline.decode import Pixels, decode
from tflite_light.pipeline.examples import fingerprint, reason
from tflite_light.pipeline.pictures import Pictures
from tflite_light.pipeline.preprocess import crop_and_resize
from tflite_light.pipeline.streaming import streamed
from tflite_light.progress import counted

POINTS = 64  # rows and columns that tell whether a picture is grey
GREY = 4  # mean distance of a pixel's channels, of 255; JPEG's own colour noise is below 2


@dataclass(frozen=True)
class Seen:
    """One picture: its sides in pixels, whether it has colours, and what a network sees of it."""

    width: int
    height: int
    grey: bool
    look: int


def survey(pictures: Pictures, image: Image) -> list[Seen | str]:
    """Of each picture what it is like, sized by `image`; or why it cannot be read."""

    def see(index: int) -> Seen | str:
        try:
            content = pictures.read(index)
            pixels = decode(content) if isinstance(content, bytes) else content
            return _seen(pixels, fingerprint(crop_and_resize(pixels, image)))
        except (OSError, ValueError) as error:
            return reason(error)

    return list(counted(streamed(see, range(len(pictures))), len(pictures), "looking at pictures"))


def _seen(pixels: Pixels, shown: int) -> Seen:
    height, width = pixels.shape[:2]
    some = pixels[:: -(-height // POINTS), :: -(-width // POINTS)].astype(np.int16)
    return Seen(width, height, bool(np.ptp(some, axis=2).mean() < GREY), shown)
