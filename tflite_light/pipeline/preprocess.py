"""The contract's steps on one picture: crop and resize, order the channels, normalise."""

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.pipeline.decode import STRIP, Pixels
from tflite_light.stack import tf

Floats = np.ndarray[Any, np.dtype[np.float32]]


def crop_and_resize(picture: Pixels | Pillow.Image, image: Image) -> Pixels:
    """Height x width x 3, or Pillow's RGB -> size x size x 3, by the contract's box and filter."""
    if isinstance(picture, Pillow.Image):
        whole = picture.crop(image.box(*picture.size))
        return np.asarray(_resize(_resize(whole, image, whole.height), image, image.size))
    height, width = picture.shape[:2]
    left, top, right, bottom = image.box(width, height)
    rows = max(1, STRIP // (right - left))
    # Across and then down, one by one: Pillow 13 takes tall pictures in the other order, whose bits
    # differ. One by one costs a tenth more.
    cut = picture[top:bottom, left:right]
    strips = [cut[start : start + rows] for start in range(0, len(cut), rows)]
    across = np.concatenate([_resize(Pillow.fromarray(one), image, len(one)) for one in strips])
    return np.asarray(_resize(Pillow.fromarray(across), image, image.size))


def around(sized: Pixels, image: Image) -> Pixels:
    """A picture of which the contract makes these pixels: they are its box, their edges go on."""
    boxes = ((side, image.box(side, side)) for side in itertools.count(image.size))
    side, (before, _, after, _) = next(
        (side, box) for side, box in boxes if box[2] - box[0] == image.size
    )
    edges = before, side - after
    return np.pad(sized, (edges, edges, (0, 0)), mode="edge")


def _resize(picture: Pillow.Image, image: Image, height: int) -> Pillow.Image:
    return picture.resize((image.size, height), Pillow.Resampling[image.filter.upper()])


def normalise(pixels: Any, image: Image) -> Any:
    """0..255 RGB of any shape (..., 3), NumPy or TensorFlow, float32 -> what the model takes."""
    ordered = pixels if image.channels == "RGB" else pixels[..., ::-1]
    return (ordered - _spread(image.mean, pixels)) / _spread(image.std, pixels)


def translated(inputs: Floats, given: Image, own: Image) -> Floats:
    """Inputs [n, size, size, 3] made by one contract -> those that another makes of the same views.

    Exact to float32's rounding, but for the size: views are then resized bilinearly, as wide as a
    reduction, where the other would have resized the photograph.
    """
    keys = ("size", "channels", "mean", "std")
    if all(getattr(given, key) == getattr(own, key) for key in keys):
        return inputs
    pixels = denormalise(inputs, given)
    if given.size != own.size:
        pixels = tf.image.resize(pixels, (own.size, own.size), antialias=True).numpy()
    made: Floats = normalise(pixels, own)
    return made


def denormalise(inputs: Floats, image: Image) -> Floats:
    """What the model takes (..., 3), float32 -> 0..255 RGB: the way back of `normalise`."""
    pixels = inputs * np.array(image.std, np.float32) + np.array(image.mean, np.float32)
    return pixels if image.channels == "RGB" else pixels[..., ::-1]


def _spread(values: tuple[float, ...], pixels: Any) -> Floats:
    """A value a channel, repeated for each pixel of one picture.

    TensorFlow takes 5 times as long to spread three values itself: 6 ms of a step's 150.
    """
    return _repeated(values, tuple(pixels.shape[-3:]))


@lru_cache(maxsize=8)
def _repeated(values: tuple[float, ...], shape: tuple[int, ...]) -> Floats:
    """Kept, since it is a third of the time that normalising one picture takes; one value where all
    are equal, which halves it again.
    """
    several = len({*values}) > 1
    spread = np.array(values if several else values[0], np.float32)
    repeated = np.array(np.broadcast_to(spread, shape)) if several else spread
    repeated.setflags(write=False)
    return repeated
