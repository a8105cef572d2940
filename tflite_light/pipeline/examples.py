"""Decoded pictures of a split, sized for the model: in memory if they fit, else read anew."""

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.pipeline import memory
from tflite_light.pipeline.decode import Pixels, decode, upright
from tflite_light.pipeline.pictures import UNKNOWN, Pictures
from tflite_light.pipeline.preprocess import Floats, crop_and_resize, normalise
from tflite_light.pipeline.streaming import POOL, streamed
from tflite_light.progress import counted, say
from tflite_light.wording import count, some

Name = TypeVar("Name", bound=str)

MEMORY_SHARE = 0.5  # of the memory there is that sized pictures may fill; beyond, they are streamed
_BACK = "Put it back as it was, then run the command again; a training goes on with `--resume`."


@dataclass(frozen=True)
class Examples:
    """The pictures of one split, sized for the model: in memory if they fit, else read anew."""

    pictures: Pictures
    image: Image
    cached: Pixels | None  # all of them, uint8 [count, size, size, 3]; None where they are streamed
    checksums: np.ndarray[Any, np.dtype[np.uint32]]  # of each picture as it was when first read

    def __len__(self) -> int:
        return len(self.pictures)

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        return np.array(self.pictures.labels, np.int64)

    def first_read(self, index: int) -> str | None:
        """Check, and keep, one picture; its name and the reason where that cannot be done."""
        try:
            content = self.pictures.read(index)
            pixels = crop_and_resize(_upright(content), self.image)
        except (OSError, ValueError) as error:
            return f"{self.pictures.names[index]} ({reason(error)})"
        self.checksums[index] = _checksum(content)
        if self.cached is not None:
            self.cached[index] = pixels
        return None

    def original(self, index: int) -> Pixels:
        """One picture as decoded, before the contract's resizing.

        Raises UserError where it is gone or not what it was when first read.
        """
        content = self._again(index)
        return decode(content) if isinstance(content, bytes) else content

    def _again(self, index: int) -> "bytes | Pixels":
        name = self.pictures.names[index]
        try:
            content = self.pictures.read(index)
        except OSError as error:
            raise UserError(f"{name} cannot be read any more ({reason(error)}).", _BACK) from error
        if _checksum(content) != self.checksums[index]:
            raise UserError(f"{name} was changed while it was in use.", _BACK)
        return content

    def digest(self, indices: Sequence[int] | None = None) -> str:
        """SHA-256, in hex, of what all pictures, or some, held when they were first read."""
        chosen = self.checksums if indices is None else self.checksums[list(indices)]
        return hashlib.sha256(chosen.astype("<u4").tobytes()).hexdigest()

    def sized(self, index: int) -> Pixels:
        """One picture, uint8 size x size x 3."""
        if self.cached is not None:
            cached: Pixels = self.cached[index]
            return cached
        return crop_and_resize(_upright(self._again(index)), self.image)

    def pixels(self, indices: Any) -> Pixels:
        """Some pictures, uint8 [count, size, size, 3]."""
        if self.cached is not None:
            cached: Pixels = self.cached[indices]
            return cached
        return np.stack(list(POOL.map(self.sized, indices)))

    def sample(self, count: int) -> list[int]:
        """Indices of `count` pictures (or all), spread evenly: they may lie sorted by class."""
        count = min(count, len(self))
        return [index * len(self) // count for index in range(count)]

    def balanced(self, count: int, seed: int) -> list[int]:
        """Indices of `count` pictures (or all), of each class equally many as far as it has them.

        Which they are is drawn by `seed`; they come in their own order.
        """
        drawn = np.random.default_rng(seed).permutation(len(self))
        by_class = drawn[np.argsort(self.labels[drawn], kind="stable")]
        _, starts, sizes = np.unique(self.labels[by_class], return_index=True, return_counts=True)
        turns = np.arange(len(self)) - np.repeat(starts, sizes)  # of each within its class
        return sorted(by_class[np.argsort(turns, kind="stable")[:count]].tolist())

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

    @property
    def parts(self) -> dict[str, Examples]:
        return {"train": self.train, "val": self.val, "test": self.test}

    def label(self, part: Examples, index: int) -> str | None:
        """The class of a picture of one part, where it is known."""
        label = part.labels[index]
        return None if label == UNKNOWN else self.classes[label]


def read(parts: Mapping[Name, Pictures], image: Image) -> dict[Name, Examples]:
    """Read, decode and size every picture once, and keep them all when they fit in memory.

    This is where pictures are checked, and where it is decided how they are read later on. Raises
    UserError with up to ten names of pictures that cannot be decoded, and their count.
    """
    keep = _fit(sum(len(pictures) for pictures in parts.values()), image.size)
    examples = {name: _unread(pictures, image, keep) for name, pictures in parts.items()}
    jobs = ((part, index) for part in examples.values() for index in range(len(part)))
    total = sum(len(part) for part in examples.values())
    found = counted(
        streamed(lambda job: job[0].first_read(job[1]), jobs), total, "reading pictures"
    )
    problems = [problem for problem in found if problem]
    if problems:
        raise unreadable(problems)
    return examples


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


def _unread(pictures: Pictures, image: Image, keep: bool) -> Examples:
    shape = (len(pictures), image.size, image.size, 3)
    cache = np.empty(shape, np.uint8) if keep else None
    return Examples(pictures, image, cache, np.zeros(len(pictures), np.uint32))


def _upright(content: "bytes | Pixels") -> "Pixels | Pillow.Image":
    return upright(content) if isinstance(content, bytes) else content


def _checksum(content: "bytes | np.ndarray[Any, Any]") -> int:
    return zlib.crc32(content if isinstance(content, bytes) else np.ascontiguousarray(content).data)


def reason(error: Exception) -> str:
    """Why a picture cannot be read."""
    return getattr(error, "strerror", None) or str(error)  # without the name, which stands beside


def unreadable(problems: list[str]) -> UserError:
    """The error of pictures that cannot be read, each with its reason."""
    named = some(sorted(problems), 10, "; ")
    problem = f"{count(len(problems), 'picture')} cannot be read: {named}."
    return UserError(problem, "Repair or remove them.")
