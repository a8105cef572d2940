"""What goes wrong between a picture and a model's input, made on purpose: whose input is it?

The mistakes are those that users of such files report: another filter, no antialiasing (OpenCV,
Android's Bitmap), the whole picture instead of its centre, BGR, another mean and std, EXIF ignored,
the last step cut off.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import inf
from typing import Any

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Contract, Image
from tflite_light.measure.goldens import Values
from tflite_light.measure.sampling import samplings_of
from tflite_light.pipeline.decode import Pixels, decode, turn_of
from tflite_light.pipeline.preprocess import normalise
from tflite_light.tflite.ends import quantise, within

ZOOS: tuple[tuple[Any, Any], ...] = (  # mean and std of libraries and model zoos, pixels of 0..255
    (0.0, 1.0),
    (0.0, 255.0),
    (127.5, 127.5),
    (128.0, 128.0),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ((103.939, 116.779, 123.68), 1.0),
)
ROUNDINGS = {"halves rounded to even": np.rint, "fractions cut off": np.trunc}
NEAR = 0.25  # of its distance from the right input: an input is then nearer to a mistake's

Names = tuple[str, ...]
Ending = Callable[[Pixels], Values]


@dataclass(frozen=True)
class Cause:
    """The mistakes whose input comes nearest to one in question, and how near: 0 is exactly."""

    mistakes: Names
    far: float


def cause(content: bytes, agreed: Contract, distance: Callable[[Values], float]) -> Cause | None:
    """The fewest mistakes that make the input in question of an encoded picture; None where none
    comes near.

    `distance` says how far another input is from it: 0 where they are equal, infinite where only
    that can be told. 0.2 s for one mistake at 224 px, 5 to 10 s where none is found.
    """
    best, nearest, right = None, inf, inf
    for mistakes, values in mistaken(content, agreed):
        far = distance(values)
        right = right if mistakes else far
        if far < nearest:
            best, nearest = Cause(mistakes, far), far
        if far == 0:
            return best
    return best if nearest < NEAR * right else None


def mistaken(content: bytes, agreed: Contract) -> Iterator[tuple[Names, Values]]:
    """Inputs by the mistakes that they are made with; none first, then one, two and more."""
    pictures, images = _decoded(content), _boxes(agreed.image)
    samplings, endings = samplings_of(agreed.image), _endings(agreed)
    sized: dict[Any, Pixels] = {}
    ways = product(pictures, images, samplings, endings)
    for way in sorted(ways, key=lambda way: sum(map(len, way))):
        picture, image, sampling, ending = way
        if way[:3] not in sized:
            sized[way[:3]] = samplings[sampling](pictures[picture], images[image])
        yield sum(way, ()), endings[ending](sized[way[:3]])


def _decoded(content: bytes) -> dict[Names, Pixels]:
    opened, made = Pillow.open(io.BytesIO(content)), {}
    turn = turn_of(opened)
    clear = opened.convert("RGBA")
    black = Pillow.new("RGBA", opened.size, "black")
    kinds: dict[Names, Pillow.Image] = {(): opened}
    if opened.has_transparency_data:
        kinds["transparency ignored",] = clear.convert("RGB")
        kinds["transparency on black",] = Pillow.alpha_composite(black, clear).convert("RGB")
    for name, picture in kinds.items():
        made[name] = _upright(picture, turn)
    if turn:
        made |= {("EXIF ignored", *name): _upright(kinds[name], Pillow.Exif()) for name in kinds}
    return made


def _upright(picture: Pillow.Image, exif: Pillow.Exif) -> Pixels:
    content = io.BytesIO()
    picture.save(content, "PNG", exif=exif, compress_level=0)
    return decode(content.getvalue())


def _boxes(image: Image) -> dict[Names, Image]:
    others = [
        {"resize": "stretch", "crop": 1.0},
        {"resize": "crop", "crop": 1.0},
        {"resize": "crop", "crop": 0.875},
    ]
    changed = [image.model_copy(update=other) for other in others]
    crop = "resize: crop, " if image.resize == "stretch" else ""
    names = ["`resize: stretch`", f"`{crop}crop: 1`", f"`{crop}crop: 0.875`"]
    made: dict[Names, Image] = {(): image}
    made |= {(name,): one for name, one in zip(names, changed, strict=True) if one != image}
    return made


def _endings(agreed: Contract) -> dict[Names, Ending]:
    """Ways from uint8 [size, size, 3] to the input."""
    image = agreed.image
    swapped = {"RGB": "BGR", "BGR": "RGB"}[image.channels]
    made: dict[Names, Image] = {}
    for order, channels in (((), image.channels), ((f"`channels: {swapped}`",), swapped)):
        for name, mean, std in _normalisations(image):
            update = {"channels": channels, "mean": mean, "std": std}
            made[*order, *name] = image.model_copy(update=update)
    endings = {name: _ending(one, agreed) for name, one in made.items()}
    return _roundings(endings[()], agreed) | endings  # first, as a mean off by one may do the same


def _roundings(right: Ending, agreed: Contract) -> dict[Names, Ending]:
    """Ways that round otherwise and show it; alone, as with all others the search would take three
    times as long."""
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 1, 3)
    made: dict[Names, Ending] = {(name,): _rounding(one, agreed) for name, one in ROUNDINGS.items()}
    return {
        name: one for name, one in made.items() if not np.array_equal(one(pixels), right(pixels))
    }


def _ending(image: Image, agreed: Contract) -> Ending:
    return lambda sized: quantise(normalise(sized.astype(np.float32), image), agreed.input)


def _rounding(rounded: Callable[[Any], Any], agreed: Contract) -> Ending:
    def ending(sized: Pixels) -> Values:
        real: Values = normalise(sized.astype(np.float32), agreed.image)
        if not end.scale:
            return real
        return within(rounded(real / np.float32(end.scale) + np.float32(end.zero_point)), end)

    end = agreed.input
    return ending


def _normalisations(image: Image) -> Iterator[tuple[Names, Any, Any]]:
    yield (), image.mean, image.std
    for step in (-1, 1):
        mean = tuple(value + step for value in image.mean)
        yield (f"`mean: {_written(mean)}`",), mean, image.std
    for zoo in ZOOS:
        known = Image(mean=zoo[0], std=zoo[1])
        if (known.mean, known.std) != (image.mean, image.std):
            name = f"`mean: {_written(known.mean)}, std: {_written(known.std)}`"
            yield (name,), known.mean, known.std


def _written(values: tuple[float, ...]) -> str:
    numbers = [f"{value:g}" for value in values]
    return numbers[0] if len(set(numbers)) == 1 else f"[{', '.join(numbers)}]"
