"""Decoded pictures of a split, sized for the model: in memory if they fit, else read anew."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.pipeline.decode import Pixels, decode
from tflite_light.pipeline.pictures import UNKNOWN, Pictures
from tflite_light.pipeline.preprocess import Floats, crop_and_resize, normalise

Name = TypeVar("Name", bound=str)

MEMORY_SHARE = (
    0.25  # of the machine's memory that resized pictures may fill; beyond it they are streamed
)
_POOL = ThreadPoolExecutor(
    os.cpu_count()
)  # Pillow lets other threads run while it decodes and resizes


@dataclass(frozen=True)
class Examples:
    """The pictures of one split, sized for the model: in memory if they fit, else read anew."""

    pictures: Pictures
    image: Image
    cached: Pixels | None

    def __len__(self) -> int:
        return len(self.pictures)

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        return np.array(self.pictures.labels, np.int64)

    def original(self, index: int) -> Pixels:
        """One picture as decoded, before the contract's resizing."""
        content = self.pictures.read(index)
        return decode(content) if isinstance(content, bytes) else content

    def sized(self, index: int) -> Pixels:
        """One picture, uint8 size x size x 3."""
        if self.cached is not None:
            cached: Pixels = self.cached[index]
            return cached
        return crop_and_resize(self.original(index), self.image)

    def pixels(self, indices: Any) -> Pixels:
        """Some pictures, uint8 [count, size, size, 3]."""
        if self.cached is not None:
            cached: Pixels = self.cached[indices]
            return cached
        return np.stack(list(_POOL.map(self.sized, indices)))

    def sample(self, count: int) -> list[int]:
        """Indices of `count` pictures (or all), spread evenly: they may lie sorted by class."""
        count = min(count, len(self))
        return [index * len(self) // count for index in range(count)]

    def inputs(self, indices: Sequence[int], batch_size: int = 64) -> Iterator[Floats]:
        """Some pictures as the model takes them, float32, in batches."""
        for start in range(0, len(indices), batch_size):
            pixels = self.pixels(indices[start : start + batch_size])
            yield normalise(pixels.astype(np.float32), self.image)


@dataclass(frozen=True)
class Data:
    """A source, read and checked."""

    classes: list[str]
    train: Examples
    val: Examples
    test: Examples

    def label(self, index: int) -> str | None:
        """The class of a test picture, where it is known."""
        label = self.test.labels[index]
        return None if label == UNKNOWN else self.classes[label]


def read(parts: Mapping[Name, Pictures], image: Image) -> dict[Name, Examples]:
    """Decode and size every picture once, and keep them all when they fit in memory.

    Raises UserError with up to ten names of pictures that cannot be decoded, and their count.
    """
    size = sum(len(pictures) for pictures in parts.values()) * image.size**2 * 3
    keep = size <= MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    problems: list[str] = []
    examples = {
        name: _examples(pictures, image, keep, problems) for name, pictures in parts.items()
    }
    if problems:
        raise UserError(_unreadable(problems))
    return examples


def _examples(pictures: Pictures, image: Image, keep: bool, problems: list[str]) -> Examples:
    streamed = Examples(pictures, image, None)
    cache = np.zeros((len(pictures) if keep else 0, image.size, image.size, 3), np.uint8)

    def read_one(index: int) -> None:
        try:
            pixels = streamed.sized(index)
        except (OSError, ValueError) as error:
            problems.append(f"{pictures.names[index]} ({error})")
        else:
            if keep:
                cache[index] = pixels

    list(_POOL.map(read_one, range(len(pictures))))
    return Examples(pictures, image, cache if keep else None)


def _unreadable(problems: list[str]) -> str:
    named = "; ".join(sorted(problems)[:10])
    more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
    noun = "picture" if len(problems) == 1 else "pictures"
    return f"{len(problems)} {noun} cannot be read: {named}{more}. Repair or remove them."
