"""The contract's steps on one picture: crop and resize, order the channels, normalise."""

from typing import Any

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.pipeline.decode import STRIP, Pixels
from tflite_light.stack import tf

Floats = np.ndarray[Any, np.dtype[np.float32]]


def crop_and_resize(picture: Pixels, image: Image) -> Pixels:
    """Height x width x 3 -> size x size x 3, by the contract's box and filter."""
    height, width = picture.shape[:2]
    left, top, right, bottom = image.box(width, height)
    cut = picture[top:bottom, left:right]
    rows = max(1, STRIP // (right - left))
    # Across and then down, one by one: Pillow 13 takes tall pictures in the other order, whose bits
    # differ. One by one costs a tenth more.
    strips = [cut[start : start + rows] for start in range(0, len(cut), rows)]
    across = [_resize(strip, image, len(strip)) for strip in strips]
    return _resize(across[0] if len(across) == 1 else np.concatenate(across), image, image.size)


def _resize(picture: Pixels, image: Image, height: int) -> Pixels:
    chosen = Pillow.Resampling[image.filter.upper()]
    return np.asarray(Pillow.fromarray(picture).resize((image.size, height), chosen))


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


def _spread(values: Any, pixels: Any) -> Floats:
    """A value a channel, repeated for each pixel of one picture.

    TensorFlow takes 5 times as long to spread three values itself: 6 ms of a step's 150.
    """
    return np.array(np.broadcast_to(np.array(values, np.float32), pixels.shape[-3:]))
