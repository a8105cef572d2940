"""Pictures of a source, checked before anything is made of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.pipeline import memory
from tflite_light.pipeline.examples import REPAIR, Data, Examples, outlier_part, unreadable
from tflite_light.pipeline.pictures import Pictures, Split
from tflite_light.pipeline.streaming import streamed
from tflite_light.progress import counted, say
from tflite_light.wording import count, some

Name = TypeVar("Name", bound=str)

MEMORY_SHARE = 0.5  # of the memory there is that sized pictures may fill; beyond, they are streamed
FEW = 5_000  # pictures that are all decoded at the start, seconds; of more the ends are looked at

_MEASURED = ("test", outlier_part("test"))


def read_data(
    classes: list[str],
    parts: Mapping[Split, Pictures],
    outliers: Mapping[Split, Pictures],
    image: Image,
) -> Data:
    """Raises UserError as `read` does."""
    found = read({**parts, **{outlier_part(name): part for name, part in outliers.items()}}, image)
    apart = {name: found[outlier_part(name)] for name in outliers}
    return Data(classes, found["train"], found["val"], found["test"], apart)


def read(parts: Mapping[Name, Pictures], image: Image) -> dict[Name, Examples]:
    """Check the pictures, and decide whether they are kept in memory once they are decoded.

    Up to `FEW` are all decoded. Of more the ends are looked at, so that a training's first step
    does not wait for the last picture; whatever is wrong between them shows when it is decoded.
    Raises UserError with up to ten names of pictures that cannot be decoded, and their count.
    """
    for pictures in parts.values():
        _require_geometry(pictures, image)
    total = sum(len(pictures) for pictures in parts.values())
    keep = _fit(total, image.size)
    examples = {name: _unseen(part, image, keep) for name, part in parts.items()}
    _see(Examples.first_look if total > FEW else Examples.first_read, list(examples.values()))
    _settle(examples)
    return examples


def look_again(data: Data) -> None:
    """Decode the pictures of test that were only looked at, which are needed when all of a training
    is done. Raises UserError as `read` does."""
    if sum(map(len, data.parts.values())) > FEW:
        last = {name: part for name, part in data.parts.items() if name in _MEASURED}
        _see(Examples.second_look, list(last.values()))
        _settle(last)


def whole(parts: Mapping[Name, Examples]) -> dict[Name, Examples]:
    """What figures are measured on: pictures that can be decoded. One that stands in for another
    would count twice."""
    return {name: _whole(name, part) for name, part in parts.items()}


def measurable(data: Data) -> Data:
    """The same, of all parts that nothing is trained on."""
    outliers = {
        name: part if name == "train" else _whole(outlier_part(name), part)
        for name, part in data.outliers.items()
    }
    val, test = _whole("val", data.val), _whole("test", data.test)
    return replace(data, val=val, test=test, outliers=outliers)


def _whole(name: str, part: Examples) -> Examples:
    if not part.pictures.skip_broken:
        return part
    _see(Examples.second_look, [part])
    left = [index for index in range(len(part)) if index not in part.broken]
    if not part.broken or not left:  # then the first that is asked for says so
        return part
    say(f"{name}: measuring on the {len(left):,} of {len(part):,} pictures that can be decoded")
    return part.chosen(left)


def _settle(parts: Mapping[Name, Examples]) -> None:
    for name, part in parts.items():
        _report_broken(name, part)
    _require_whole(list(parts.values()))


def _see(look: Callable[[Examples, int], None], parts: list[Examples]) -> None:
    jobs = ((part, index) for part in parts for index in range(len(part)))
    total = sum(map(len, parts))
    for _ in counted(streamed(lambda job: look(*job), jobs), total, "checking pictures"):
        pass


def _require_geometry(pictures: Pictures, image: Image) -> None:
    """Raises UserError where pictures were sized by another contract."""
    then = pictures.geometry or {}
    odd = [f"{key} {value}" for key, value in then.items() if value != getattr(image, key)]
    if odd:
        now = ", ".join(f"{key} {getattr(image, key)}" for key in then)
        raise UserError(
            f"these pictures were packed with image: {', '.join(odd)}; the recipe has {now}.",
            "Set the recipe's `image` so, or pack them again with `tflite-light pack-data`.",
        )


def _require_whole(parts: list[Examples]) -> None:
    found = [
        f"{part.pictures.names[index]} ({reason})"
        for part in parts
        for index, reason in part.broken.items()
        if not part.pictures.skip_broken
    ]
    if found:
        raise unreadable(found, REPAIR)


def _report_broken(name: str, part: Examples) -> None:
    if part.broken and part.pictures.skip_broken:
        named = some(
            sorted(f"{part.pictures.names[i]} ({part.broken[i]})" for i in part.broken), 10
        )
        number = count(len(part.broken), "broken picture")
        say(f"{name}: {number} replaced by others of the class: {named}")


def _fit(count: int, size: int) -> bool:
    """Whether sized pictures may stay in memory; a word where they may not."""
    needed, there = count * size**2 * 3, memory.limit()
    fit = needed <= MEMORY_SHARE * there
    if not fit:
        say(
            f"{count:,} pictures of {size} px take {_bytes(needed)}, more than {MEMORY_SHARE:.0%} "
            f"of the {_bytes(there)} of memory: they are decoded again in every epoch. "
            "A smaller image.size, or more memory, is faster."
        )
    return fit


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"


def _unseen(pictures: Pictures, image: Image, keep: bool) -> Examples:
    number, shape = len(pictures), (image.size, image.size, 3)
    cache = np.empty((number, *shape), np.uint8) if keep else None  # which takes memory when filled
    kept, checksums = np.zeros(number, np.bool_), np.zeros(number, np.uint32)
    fingerprints = np.zeros(number, np.uint64)
    return Examples(pictures, image, cache, kept, checksums, fingerprints, {})
