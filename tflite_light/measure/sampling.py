"""Ways to resize a picture: the contract's, and those that are taken for it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tflite_light.contract import Image
from tflite_light.pipeline.decode import Pixels
from tflite_light.pipeline.preprocess import crop_and_resize

Sampling = Callable[[Pixels, Image], Pixels]


def samplings_of(image: Image) -> dict[tuple[str, ...], Sampling]:
    """Ways from a picture to uint8 [size, size, 3] by the mistake in them; first, with none."""
    made: dict[tuple[str, ...], Sampling] = {(): crop_and_resize}
    for name in ("bilinear", "bicubic", "box"):
        if name != image.filter:
            made[f"`filter: {name}`",] = _filtered(name)
    made["the nearest pixel for a filter",] = _nearest(0.5)
    made["the nearest pixel by its corner, as OpenCV's",] = _nearest(0)
    made["bilinear without antialiasing",] = _unantialiased
    return made


def _filtered(name: str) -> Sampling:
    update = {"filter": name}
    return lambda picture, image: crop_and_resize(picture, image.model_copy(update=update))


def _nearest(shift: float) -> Sampling:
    """What lies at the centre (0.5) or at the corner (0) of each pixel."""

    def sampling(picture: Pixels, image: Image) -> Pixels:
        left, top, right, bottom = image.box(picture.shape[1], picture.shape[0])
        places = (np.arange(image.size) + shift) / image.size
        rows = top + (places * (bottom - top)).astype(int)
        columns = left + (places * (right - left)).astype(int)
        chosen: Pixels = picture[rows][:, columns]
        return chosen

    return sampling


def _unantialiased(picture: Pixels, image: Image) -> Pixels:
    left, top, right, bottom = image.box(picture.shape[1], picture.shape[0])
    cut = picture[top:bottom, left:right].astype(np.float32)
    down = _between(cut, image.size)
    across = _between(down.transpose(1, 0, 2), image.size).transpose(1, 0, 2)
    rounded: Pixels = np.floor(across + 0.5).astype(np.uint8)
    return rounded


def _between(lines: Any, size: int) -> Any:
    """The first axis at `size` places, each between two neighbours."""
    places = _centres(len(lines), size).clip(0, len(lines) - 1)
    before = np.floor(places).astype(int)
    share = (places - before).astype(np.float32)[:, None, None]
    return lines[before] * (1 - share) + lines[np.minimum(before + 1, len(lines) - 1)] * share


def _centres(length: int, size: int) -> Any:
    """Where the centres of `size` pixels lie among `length`."""
    return (np.arange(size) + 0.5) * length / size - 0.5
