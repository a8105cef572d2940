"""Dividing pictures into train, val and test."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tflite_light.data import ALL, Given
from tflite_light.data._groups import joined, share_out
from tflite_light.errors import UserError
from tflite_light.pipeline.encoded import essence
from tflite_light.pipeline.pictures import NO_PICTURE, SPLITS, Pictures, Split
from tflite_light.pipeline.streaming import streamed
from tflite_light.pipeline.walk import require_read
from tflite_light.progress import counted, say

if TYPE_CHECKING:
    import numpy as np

NAMES: dict[str, Split] = {  # what parts are called by their owners, in lower case
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
    **{"test": "test", "testing": "test"},
}
FEWEST = 3  # pictures in a class: one for each part
Key = TypeVar("Key", str, bytes)


@dataclass(frozen=True)
class Cut:
    """How [0, 1) is cut into parts; a picture's place in it is one word of its SHA-256."""

    word: int
    bounds: dict[Split, tuple[float, float]]

    def place(self, digest: bytes) -> float:
        """A number in [0, 1) that looks random: one 64-bit word of the content's SHA-256."""
        return int.from_bytes(digest[8 * self.word : 8 * self.word + 8], "big") / 2**64

    @property
    def shares(self) -> dict[Split, float]:
        return {part: high - low for part, (low, high) in self.bounds.items()}

    def part(self, digest: bytes) -> Split:
        place = self.place(digest)
        return next(name for name, (_, high) in self.bounds.items() if place < high)

    def distance(self, digest: bytes, part: Split) -> float:
        """How far a picture's place is from a part."""
        (low, high), place = self.bounds[part], self.place(digest)
        return max(low - place, place - high, 0.0)


THREE = Cut(0, {"train": (0, 0.7), "val": (0.7, 0.7 + 0.1), "test": (0.7 + 0.1, 1)})
# Another word than that of THREE, which may have divided the folders before.
HELD_OUT = Cut(1, {"val": (0, 0.1 / (0.7 + 0.1)), "train": (0.1 / (0.7 + 0.1), 1)})


def complete(where: str, found: dict[Given, Pictures]) -> dict[Split, Pictures]:
    """Train, val and test of pictures that are divided in part, or not at all (`ALL`).

    Pictures are divided 70/10/20 by content. A missing val is an eighth of train, by content.
    Without test, val becomes test, as ImageNet's is used, and val comes out of train: no figure is
    reported on pictures that a training chose by. Raises UserError where train is missing.
    """
    if ALL in found:
        return divide(where, found[ALL], THREE)
    given: dict[Split, Pictures] = {name: found[name] for name in SPLITS if name in found}
    if "train" not in given or len(given) < 2:
        raise UserError(
            f"{where} has {' and '.join(given)}, but train and one of val and test are needed.",
            "Add the others, or name a folder of class folders to have it divided.",
        )
    if "test" not in given:
        given["test"] = given.pop("val")
        say(f"{where} has no test: its val is the test part, and val comes out of train")
    if "val" not in given:
        given |= divide(where, given["train"], HELD_OUT)
    return {name: given[name] for name in SPLITS}


def divide(where: str, pictures: Pictures, cut: Cut) -> dict[Split, Pictures]:
    """Pictures by parts, each by its bytes alone, wherever that gives every class train and test.

    So identical pictures never lie on both sides, and adding pictures moves no other. By bytes
    alone 1.2 % of the classes of 20 pictures have none for test, and 12 % none for val. Where a
    class has none for train or test, each class then has each part: a part without a picture of a
    class borrows the one whose place lies nearest to it. Adding pictures moves at most the borrowed
    ones, back to where their bytes put them: one in such a class and part, of a few per cent.

    Groups stay whole, and with them whatever equals a picture of theirs. They are shared out so
    that each class has as even shares as they allow, which depends on all of them: adding pictures
    may move others.
    """
    digests = _digests(where, pictures)
    if pictures.groups:
        whole = joined(pictures.groups, digests)
        return _by_part(pictures, cut, whole, share_out(whole, pictures.labels, cut.shares))
    parts = {digest: cut.part(digest) for digest in digests}
    members: dict[int, set[bytes]] = defaultdict(set)
    for digest, label in zip(digests, pictures.labels, strict=True):
        members[label].add(digest)
    if not _suffice(cut, parts, members):
        uses = Counter(one for mine in members.values() for one in mine)
        for mine in members.values():
            if len(mine) >= FEWEST:
                _borrow(cut, parts, mine, {one for one in mine if uses[one] == 1})
    return _by_part(pictures, cut, digests, parts)


def _by_part(
    pictures: Pictures, cut: Cut, keys: Sequence[Key], parts: Mapping[Key, Split]
) -> dict[Split, Pictures]:
    """Each part's pictures; `keys` are what decides on a picture's part."""
    return {
        name: pictures.chosen([index for index, key in enumerate(keys) if parts[key] == name])
        for name in cut.bounds
    }


def _suffice(cut: Cut, parts: dict[bytes, Split], members: dict[int, set[bytes]]) -> bool:
    """Whether every class has pictures for train and test, and there are some for val."""
    needed = set(cut.bounds) - {"val"}
    everywhere = all(needed <= {parts[one] for one in mine} for mine in members.values())
    return everywhere and "val" in parts.values()


def _borrow(cut: Cut, parts: dict[bytes, Split], mine: set[bytes], free: set[bytes]) -> None:
    """Give each part one of a class's pictures, from parts that keep another; val gives its last.

    `free` are those of no other class.
    """
    for part in ("train", "test", "val"):
        held = Counter(parts[one] for one in mine)
        spare = [one for one in free if held[parts[one]] > 1 or parts[one] == "val"]
        if part in cut.bounds and not held[part] and spare:
            nearest = min(spare, key=lambda one: (cut.distance(one, part), one))
            parts[nearest] = part


def _digests(where: str, pictures: Pictures) -> list[bytes]:
    """SHA-256 of each picture; of those that differ in metadata alone, the smallest.

    Raises UserError that names those that cannot be read. A place without a picture counts as a
    broken one where such are replaced: it goes to a part by its number.
    """
    problems, empty = [], []

    def digests(index: int) -> tuple[bytes, bytes]:
        try:
            content = _bytes(pictures.read(index))
        except OSError as error:
            problem = f"{pictures.names[index]} ({error.strerror})"
            if error.errno != NO_PICTURE:
                problems.append(problem)
            elif not pictures.skip_broken:
                empty.append(problem)
            content = f"no picture {index}".encode()
        whole, shown = (hashlib.sha256(one).digest() for one in (content, essence(content)))
        return whole, shown

    found = streamed(digests, range(len(pictures)))
    doing = f"{where}: dividing pictures by content"
    pairs = list(counted(found, len(pictures), doing))
    require_read(where, sorted(problems))
    if empty:
        from tflite_light.pipeline.examples import REPAIR, unreadable  # not for `list`: NumPy

        raise unreadable(empty, REPAIR)
    smallest: dict[bytes, bytes] = {}
    for whole, shown in pairs:
        smallest[shown] = min(whole, smallest.get(shown, whole))
    return [smallest[shown] for _, shown in pairs]


def _bytes(content: "bytes | np.ndarray[Any, Any]") -> bytes:
    return content if isinstance(content, bytes) else content.tobytes()
