"""Which classes a model takes for which, counted, and every figure that follows from the counts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from pydantic import NonNegativeInt, TypeAdapter

from tflite_light.measure.balance import Balance
from tflite_light.measure.significance import wilson

Counts = Mapping[str, Mapping[str, NonNegativeInt]]


@dataclass(frozen=True)
class OfClass:
    """A class: its pictures, those of them answered rightly, and all that were answered by it.

    `recall` is the share of its pictures that were found, with Wilson's 95 % interval; `precision`
    the share of its answers that were right; `f1` their harmonic mean. None where it has no
    pictures, or no answers.
    """

    name: str
    pictures: int
    right: int
    answers: int

    @property
    def recall(self) -> float | None:
        return self.right / self.pictures if self.pictures else None

    @property
    def recall_interval(self) -> tuple[float, float] | None:
        return wilson(self.right, self.pictures) if self.pictures else None

    @property
    def precision(self) -> float | None:
        return self.right / self.answers if self.answers else None

    @property
    def f1(self) -> float | None:
        return 2 * self.right / (self.pictures + self.answers) if self.pictures else None

    def to_json(self) -> dict[str, Any]:
        figures = ("recall", "recall_interval", "precision", "f1")
        return {**asdict(self), **{name: getattr(self, name) for name in figures}}


@dataclass(frozen=True)
class Mistake:
    """`pictures` of the `of` that a class has were taken for another."""

    name: str
    taken_for: str
    pictures: int
    of: int


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of a model on labelled pictures.

    `names` are the model's classes in the order of its answers, all different; `counts` has of
    each class that has pictures how many were taken for which, without zeros.
    """

    names: tuple[str, ...]
    counts: Counts

    @classmethod
    def of(cls, names: Sequence[str], labels: Iterable[int], answers: Iterable[int]) -> Self:
        """Of each picture, the class that it is of and the one that was answered, by number."""
        pairs = Counter(
            (int(label), int(answer)) for label, answer in zip(labels, answers, strict=True)
        )
        counts: dict[str, dict[str, int]] = {}
        for (label, answer), number in sorted(pairs.items()):
            counts.setdefault(names[label], {})[names[answer]] = number
        return cls(tuple(names), counts)

    @cached_property
    def classes(self) -> list[OfClass]:
        """Every class of the model, in order, those without pictures, too."""
        answers: Counter[str] = Counter()
        for row in self.counts.values():
            answers.update(row)
        rows = {name: self.counts.get(name, {}) for name in self.names}
        return [
            OfClass(name, sum(row.values()), row.get(name, 0), answers[name])
            for name, row in rows.items()
        ]

    @property
    def measured(self) -> list[OfClass]:
        """The classes that have pictures."""
        return [one for one in self.classes if one.pictures]

    @property
    def balance(self) -> Balance:
        return Balance({one.name: one.pictures for one in self.measured})

    @property
    def pictures(self) -> int:
        return sum(one.pictures for one in self.classes)

    @property
    def right(self) -> int:
        return sum(one.right for one in self.classes)

    @property
    def accuracy(self) -> float:
        return self.right / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, by Wilson."""
        return wilson(self.right, self.pictures)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have pictures."""
        return _mean([one.recall or 0.0 for one in self.measured])

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have pictures."""
        return _mean([one.f1 or 0.0 for one in self.measured])

    @property
    def worst(self) -> OfClass:
        """The class that is found least; of equals, the one with most pictures."""
        return min(self.measured, key=lambda one: (one.recall, -one.pictures))

    @property
    def mistakes(self) -> list[Mistake]:
        """Which class was taken for which, the most pictures first; of equals the largest share."""
        found = [
            Mistake(one.name, taken_for, number, one.pictures)
            for one in self.measured
            for taken_for, number in self.counts[one.name].items()
            if taken_for != one.name
        ]
        return sorted(found, key=lambda one: (-one.pictures, one.of))

    def to_json(self) -> dict[str, Any]:
        """All of it; what `from_json` reads is `classes`, by their names, and `counts`."""
        return {
            "pictures": self.pictures,
            "right": self.right,
            "accuracy": self.accuracy,
            "interval": self.interval,
            "majority_class": self.balance.most,
            "majority_share": self.balance.share,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "classes": [one.to_json() for one in self.classes],
            "counts": {name: dict(row) for name, row in self.counts.items()},
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Raises ValueError, TypeError or KeyError where it is damaged."""
        names = [one["name"] for one in found["classes"]]
        made = TypeAdapter(cls).validate_python({"names": names, "counts": found["counts"]})
        if not made.pictures:
            raise ValueError("it counts no picture")
        return made


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
