"""How evenly pictures lie in their classes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

UNEVEN = 2  # times as many pictures in the largest class as in the smallest


@dataclass(frozen=True)
class Balance:
    """How many pictures each class has; classes without any are left out by who makes it."""

    pictures: Mapping[str, int]

    @classmethod
    def of(cls, names: Sequence[str], labels: Iterable[int]) -> Self:
        counted = Counter(int(label) for label in labels)
        return cls({names[label]: counted[label] for label in sorted(counted)})

    @property
    def total(self) -> int:
        return sum(self.pictures.values())

    @property
    def most(self) -> str:
        """The majority class."""
        return max(self.pictures, key=lambda name: self.pictures[name])

    @property
    def least(self) -> str:
        return min(self.pictures, key=lambda name: self.pictures[name])

    @property
    def share(self) -> float:
        """Of the majority class: the accuracy of whoever answers nothing else."""
        return self.pictures[self.most] / self.total

    @property
    def uneven(self) -> bool:
        return self.pictures[self.most] >= UNEVEN * self.pictures[self.least]

    def sentence(self) -> str:
        """Which class has most and which least."""
        most, least = self.most, self.least
        return (
            f"classes are uneven: most pictures are of {most}, {self.pictures[most]} of "
            f"{self.total} ({self.share:.4f}), fewest of {least}, {self.pictures[least]}"
        )
