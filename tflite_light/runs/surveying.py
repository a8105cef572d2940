"""Looking at a folder of photographs before a recipe is written for it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from tflite_light.contract import Image
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures, Split
from tflite_light.pipeline.survey import Seen, survey
from tflite_light.sockets import load, names

SAMPLE = 200  # pictures whose sides decide on the input's size, before all are looked at
SIZES = (64, 96, 128, 160)  # of the input


@dataclass(frozen=True)
class Survey:
    """A source that can be trained on, and what its pictures are like.

    `left_out` has each picture that the source leaves out, relative to it, and why; `copies` is how
    many of the others equal another of the same part.
    """

    source: Source
    image: Image
    seen: list[Seen]
    left_out: dict[str, str]
    copies: int

    @cached_property
    def counts(self) -> dict[Split, Counter[str]]:
        """Pictures of each class in each part."""
        classes = self.source.classes()
        parts = {name: self.source.split(name).labels for name in SPLITS}
        return {name: Counter(classes[label] for label in parts[name]) for name in SPLITS}

    @property
    def totals(self) -> dict[str, int]:
        """Pictures of each class, those with most first."""
        return dict(sum(self.counts.values(), Counter[str]()).most_common())

    @property
    def shorter_sides(self) -> list[int]:
        return sorted(min(one.width, one.height) for one in self.seen)

    @property
    def grey(self) -> float:
        """Share of the pictures without colours."""
        return sum(one.grey for one in self.seen) / len(self.seen)

    def to_json(self) -> dict[str, Any]:
        sides = self.shorter_sides
        return {
            "classes": self.totals,
            "parts": {name: counts.total() for name, counts in self.counts.items()},
            "shorter_side": {"least": sides[0], "median": int(median(sides)), "most": sides[-1]},
            "grey": self.grey,
            "copies": self.copies,
            "left_out": self.left_out,
        }


def look_at(folder: Path) -> Survey:
    """Decode every picture of a folder of class folders once.

    Broken ones, those that are in two classes, and those of train or val that are in a later part,
    too, are left out of the source. Raises UserError where the rest cannot be trained on.
    """
    source = _source(folder)
    if len(source.classes()) < 2:
        source.require_usable()
    given = list(source.scanned[1].values())
    image = Image(size=_size(given))
    seen = {
        name: found
        for pictures in given
        for name, found in zip(pictures.names, survey(pictures, image), strict=True)
    }
    left_out = {
        name: f"cannot be read: {found}" for name, found in seen.items() if isinstance(found, str)
    }
    whole = {name: found for name, found in seen.items() if isinstance(found, Seen)}
    left_out |= _in_two_classes(given, whole)
    _require_left(source.classes(), given, left_out)
    source = source.without([*left_out])
    while found := _in_two_parts(source, whole):  # the rest may be divided anew, other copies apart
        left_out |= found
        source = source.without([*found])
    source.require_usable()
    kept = {name: one for name, one in whole.items() if name not in left_out}
    return Survey(
        source,
        image,
        [*kept.values()],
        dict(zip(source.relative([*left_out]), left_out.values(), strict=True)),
        len(kept) - len({one.look for one in kept.values()}),
    )


def _source(folder: Path) -> Source:
    """What reads the folder; it leaves out strangers where there are any."""
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "does not exist"
        raise UserError(
            f"{folder} {found}.", "Name a folder that has a folder of pictures for each class."
        )
    if any("\ud800" <= sign <= "\udfff" for sign in str(folder)):  # bytes that are no UTF-8
        raise UserError(f"no recipe can hold the name of {str(folder)!r}.", "Rename it to UTF-8.")
    kinds: list[type[Source]] = [load("data", name) for name in names("data")]
    plain, skipping = (
        next(source for kind in kinds if (source := kind.at(folder, skip)))
        for skip in (False, True)
    )
    try:
        plain.classes()
    except UserError:
        skipping.classes()  # its own error, where it is not about strangers
        return skipping
    return plain


def _size(given: list[Pictures]) -> int:
    """Of the input: the largest that most pictures fill, or the smallest."""
    sides = []
    for pictures in given:
        chosen = range(0, len(pictures), max(1, len(given) * len(pictures) // SAMPLE))
        found = survey(pictures.chosen(chosen), Image(size=32))
        sides += [min(one.width, one.height) for one in found if isinstance(one, Seen)]
    side = median(sides) if sides else 0
    return max([SIZES[0], *(size for size in SIZES if size <= side)])


def _in_two_classes(given: Iterable[Pictures], seen: Mapping[str, Seen]) -> dict[str, str]:
    """Pictures that equal one of another class: one of the labels is wrong, nobody knows which."""
    labels = dict(chain(*(zip(one.names, one.labels, strict=True) for one in given)))
    first: dict[int, dict[int, str]] = defaultdict(dict)  # of each look and class a picture's name
    for name, one in seen.items():
        first[one.look].setdefault(labels[name], name)
    found = {}
    for name, one in seen.items():
        if others := [other for label, other in first[one.look].items() if label != labels[name]]:
            found[name] = f"the same as {others[0]}, of another class"
    return found


def _require_left(
    classes: list[str], given: Iterable[Pictures], left_out: Mapping[str, str]
) -> None:
    """Raises UserError where a class loses all of its pictures."""
    pictures = [*chain(*(zip(one.names, one.labels, strict=True) for one in given))]
    kept = {label for name, label in pictures if name not in left_out}
    for name, label in pictures:
        if label >= 0 and label not in kept:
            raise UserError(
                f"class {classes[label]!r} has no picture to train on: {name}: {left_out[name]}.",
                "Put its pictures right, or remove the class.",
            )


def _in_two_parts(source: Source, seen: Mapping[str, Seen]) -> dict[str, str]:
    """Pictures of train and val that a later part has, too; figures on that would be too good."""
    found: dict[str, str] = {}
    later: dict[int, str] = {}
    for part in reversed(SPLITS):
        looks = {name: seen[name].look for name in source.split(part).names}
        known = {name: look for name, look in looks.items() if look in later}
        found |= {name: f"the same as {later[look]}" for name, look in known.items()}
        later |= {look: name for name, look in looks.items() if name not in known}
    return found
