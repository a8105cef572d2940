"""The pictures of a split, sized for the model: kept in memory if they fit, else read anew."""

import contextlib
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.pipeline.decode import Pixels, upright
from tflite_light.pipeline.look import look
from tflite_light.pipeline.pictures import UNKNOWN, Pictures, Split
from tflite_light.pipeline.preprocess import Floats, crop_and_resize, normalise
from tflite_light.pipeline.streaming import CORES, POOL
from tflite_light.progress import say
from tflite_light.wording import count, some

TOGETHER = 8  # pictures that a thread takes at a time: one by one, handing over costs a tenth
_BACK = "Put it back as it was, then run the command again; a training goes on with `--resume`."
REPAIR = (
    "Repair or remove them, or have others of their class stand in for them, where a recipe is to "
    "be trained: set `skip_broken` of the recipe's data."
)


@dataclass(frozen=True)
class Examples:
    """The pictures of one split, sized for the model: kept in memory if they fit, else read anew.

    One that cannot be decoded raises UserError; or the next picture of its class stands in for it,
    which is reported, where the source is set to `skip_broken`. Where something is measured, those
    are left out by `reading.whole`.
    """

    pictures: Pictures
    image: Image
    cached: Pixels | None  # uint8 [count, size, size, 3]; None where they are streamed
    kept: np.ndarray[Any, np.dtype[np.bool_]]  # which of them are in `cached` by now
    checksums: np.ndarray[Any, np.dtype[np.uint32]]  # of each picture as it was when first seen
    fingerprints: np.ndarray[Any, np.dtype[np.uint64]]  # equal where pictures are, as first seen
    broken: dict[int, str]  # those that cannot be decoded, as far as known, and the reason

    def __len__(self) -> int:
        return len(self.pictures)

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        return np.array(self.pictures.labels, np.int64)

    def first_read(self, index: int) -> None:
        """Decode a picture, and keep it where pictures are kept; or note that it is broken."""
        try:
            content = self.pictures.read(index)
            self.checksums[index] = self._checksum(index, content)
            pixels = self._size(_decoded(content))
        except (OSError, ValueError) as error:
            self.broken[index] = reason(error)
        else:
            self.fingerprints[index] = fingerprint(pixels)
            self._keep(index, pixels)

    def first_look(self, index: int) -> None:
        """Look at a picture's ends; decode it where they are odd, or cannot be had alone. One whose
        checksum is known is left for when it is needed."""
        if self.pictures.checksums:
            self.checksums[index] = self.pictures.checksums[index]
            return
        try:
            with self._opened(index) as file:
                seen = look(file) if file else None
        except (OSError, ValueError) as error:
            self.broken[index] = reason(error)
            return
        if seen:
            self.checksums[index], self.fingerprints[index] = seen.checksum, seen.fingerprint
        if not seen or not seen.whole:
            self.first_read(index)

    def second_look(self, index: int) -> None:
        """Decode a picture that was looked at, as `first_read` does; of a pack, those were."""
        if index in self.broken or self.kept[index] or self.pictures.checksums:
            return
        try:
            self._keep(index, self._size(_decoded(self._content(index))))
        except ValueError as error:
            self.broken[index] = reason(error)

    def _opened(self, index: int) -> contextlib.AbstractContextManager[IO[bytes] | None]:
        """A picture's file, read where it cannot be opened; None of one that comes as pixels."""
        if self.pictures.open:
            return self.pictures.open(index)
        content = self.pictures.read(index)
        return io.BytesIO(content) if isinstance(content, bytes) else contextlib.nullcontext()

    def original(self, index: int) -> Pixels:
        """One picture as decoded, before the contract's resizing; or the one that stands in for it.

        Raises UserError where it is gone, not what it was when first seen, or broken.
        """
        return np.asarray(self._whole(index))

    def _whole(self, index: int) -> "Pixels | Pillow.Image":
        while True:
            index = self._present(index)
            try:
                return _decoded(self._content(index))
            except ValueError as error:
                self._note_broken(index, str(error))

    def _content(self, index: int) -> "bytes | Pixels":
        name = self.pictures.names[index]
        try:
            content = self.pictures.read(index)
        except OSError as error:
            if self.pictures.checksums and self.pictures.skip_broken:  # a pack's, never read before
                raise ValueError(reason(error)) from error
            raise UserError(f"{name} cannot be read any more ({reason(error)}).", _BACK) from error
        if self._checksum(index, content) != self.checksums[index]:
            raise UserError(f"{name} was changed while it was in use.", _BACK)
        return content

    def _checksum(self, index: int, content: "bytes | Pixels") -> int:
        known = self.pictures.checksums  # to which `read` has held it
        return known[index] if known else _checksum(content)

    def _note_broken(self, index: int, reason: str) -> None:
        """Raises UserError unless broken pictures are to be replaced."""
        problem = f"{self.pictures.names[index]} ({reason})"
        if not self.pictures.skip_broken:
            raise UserError(f"1 picture cannot be read: {problem}.", REPAIR)
        if index not in self.broken:
            self.broken[index] = reason
            say(f"{count(len(self.broken), 'broken picture')} replaced so far: {problem}")

    def _present(self, index: int) -> int:
        """The picture, or the next one of its class where it is broken."""
        if index not in self.broken:
            return index
        mine = np.flatnonzero(self.labels == self.labels[index])
        turn = int(np.searchsorted(mine, index))
        others = (int(one) for one in (*mine[turn:], *mine[:turn]) if int(one) not in self.broken)
        found = next(others, None)
        if found is None:
            raise UserError(
                f"{self.pictures.names[index]} is broken, and so are all pictures of its class.",
                "Repair or remove them.",
            )
        return found

    def _size(self, picture: "Pixels | Pillow.Image") -> Pixels:
        if self.pictures.geometry:  # which is this contract's
            return np.asarray(picture)
        return crop_and_resize(picture, self.image)

    def _keep(self, index: int, pixels: Pixels) -> None:
        if self.cached is not None:
            self.cached[index] = pixels
            self.kept[index] = True

    def chosen(self, indices: Sequence[int]) -> "Examples":
        """Some of the pictures, none of them broken, in the order of the indices."""
        return Examples(
            self.pictures.chosen(indices),
            self.image,
            None if self.cached is None else self.cached[indices],
            self.kept[indices],
            self.checksums[indices],
            self.fingerprints[indices],
            {},
        )

    def digest(self, indices: Sequence[int] | None = None) -> str:
        """SHA-256, in hex, of what all pictures, or some, held when they were first seen."""
        chosen = self.checksums if indices is None else self.checksums[list(indices)]
        return hashlib.sha256(chosen.astype("<u4").tobytes()).hexdigest()

    def sized(self, index: int) -> Pixels:
        """One picture, uint8 size x size x 3."""
        if self.cached is not None and self.kept[index]:
            cached: Pixels = self.cached[index]
            return cached
        pixels = self._size(self._whole(index))
        self._keep(index, pixels)
        return pixels

    def pixels(self, indices: Any) -> Pixels:
        """Some pictures, uint8 [count, size, size, 3]."""
        if self.cached is not None and self.kept[indices].all():
            cached: Pixels = self.cached[indices]
            return cached
        batch = np.empty((len(indices), self.image.size, self.image.size, 3), np.uint8)

        def fill(places: Any) -> None:
            for place in places:
                batch[place] = self.sized(indices[place])

        pieces = max(CORES, len(indices) // TOGETHER)
        [*POOL.map(fill, np.array_split(np.arange(len(indices)), pieces))]
        return batch

    def sample(self, count: int) -> list[int]:
        """Indices of `count` pictures (or all), spread evenly and mixed: they may lie sorted by
        class, and a batch is not to be of one.
        """
        count = min(count, len(self))
        mixed = np.random.default_rng(0).permutation(count)
        return [int(place) * len(self) // count for place in mixed]

    def balanced(self, count: int, seed: int) -> list[int]:
        """Indices of `count` pictures (or all), of each class equally many as far as it has them.

        They are drawn by `seed`, in an order whose beginnings are as evenly spread: of fewer than
        there are classes, each is of another one.
        """
        return balanced(self.labels, count, seed)

    def inputs(self, indices: Sequence[int], batch_size: int = 64) -> Iterator[Floats]:
        """Some pictures as the model takes them, float32, in batches."""
        for start in range(0, len(indices), batch_size):
            yield self.input(indices[start : start + batch_size])

    def input(self, indices: Any) -> Floats:
        """Some pictures as the model takes them, float32 [count, size, size, 3]."""
        batch: Floats = normalise(self.pixels(indices).astype(np.float32), self.image)
        return batch


def balanced(labels: np.ndarray[Any, Any], count: int, seed: int) -> list[int]:
    """Of pictures with these labels: what `Examples.balanced` says."""
    drawn = np.random.default_rng(seed).permutation(len(labels))
    by_class = np.argsort(labels[drawn], kind="stable")
    _, starts, sizes = np.unique(labels[drawn[by_class]], return_index=True, return_counts=True)
    turns = np.empty(len(labels), np.int64)  # of each drawn one within its class
    turns[by_class] = np.arange(len(labels)) - np.repeat(starts, sizes)
    found: list[int] = drawn[np.argsort(turns, kind="stable")[:count]].tolist()
    return found


@dataclass(frozen=True)
class Data:
    """A source, read and checked."""

    classes: list[str]
    train: Examples
    val: Examples
    test: Examples
    outliers: Mapping[Split, Examples] = field(default_factory=dict)  # of no class; {}: none

    @property
    def parts(self) -> dict[str, Examples]:
        """All that was read; outliers by names such as `outlier val`."""
        beside = {outlier_part(name): part for name, part in self.outliers.items()}
        return {"train": self.train, "val": self.val, "test": self.test, **beside}

    def label(self, part: Examples, index: int) -> str | None:
        """The class of a picture of one part, where it is known."""
        label = part.labels[index]
        return None if label == UNKNOWN else self.classes[label]


def outlier_part(name: Split) -> str:
    """What the outliers of a part are called among the parts."""
    return f"outlier {name}"


def fingerprint(pixels: Pixels) -> int:
    """A digest of 64 bits of pixels, which a million pictures share by chance once in 37 million.

    It takes 30 microseconds for 96 x 96, a hundredth of decoding a photograph.
    """
    shape = repr(pixels.shape).encode()
    return int.from_bytes(
        hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8, key=shape).digest()
    )


def _checksum(content: "bytes | Pixels") -> int:
    """The same whether a file is read or looked at: `evaluate` sees fewer than `train` did."""
    if isinstance(content, bytes):
        return look(io.BytesIO(content)).checksum
    return zlib.crc32(np.ascontiguousarray(content).data)


def _decoded(content: "bytes | Pixels") -> "Pixels | Pillow.Image":
    return upright(content) if isinstance(content, bytes) else content


def reason(error: Exception) -> str:
    """Why a picture cannot be read."""
    return getattr(error, "strerror", None) or str(error)  # without the name, which stands beside


def unreadable(problems: list[str], hint: str = "Repair or remove them.") -> UserError:
    """The error of pictures that cannot be read, each with its reason."""
    named = some(sorted(problems), 10, "; ")
    return UserError(f"{count(len(problems), 'picture')} cannot be read: {named}.", hint)
