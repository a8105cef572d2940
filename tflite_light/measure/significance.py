"""What a share of so many pictures is worth, and whether two models' shares differ by chance."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, Self

from pydantic import NonNegativeInt

CONFIDENCE = 0.95


def wilson(right: int, pictures: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a share, by Wilson's score (1927), which also holds near 0 and 1.

    Of no pictures it is 0 to 1.
    """
    if not pictures:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = right / pictures, z**2 / pictures
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / pictures + spread / pictures / 4)
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (low if right else 0.0), (high if right < pictures else 1.0)  # what rounding misses


@dataclass(frozen=True)
class Paired:
    """Two models on the same pictures: how many the one alone answers rightly, and the other.

    `against` names the other. Pictures that both have right, or wrong, say nothing of a difference.
    """

    against: str
    pictures: int
    only_this: NonNegativeInt
    only_other: NonNegativeInt

    @cached_property
    def p_value(self) -> float:
        """Of McNemar's exact test: how often chance alone parts them at least as far."""
        from scipy.stats import binomtest  # here: it takes half a second

        both = self.only_this + self.only_other
        fewer = min(self.only_this, self.only_other)
        return float(binomtest(fewer, both).pvalue) if both else 1.0

    @property
    def told_apart(self) -> bool:
        return self.p_value < 1 - CONFIDENCE

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "p_value": self.p_value, "told_apart": self.told_apart}

    @classmethod
    def of(cls, this: Iterable[bool], other: Iterable[bool], against: str) -> Self:
        """Whether each picture was answered rightly, by this model and by the other."""
        pairs = [(bool(mine), bool(its)) for mine, its in zip(this, other, strict=True)]
        only_this = sum(mine and not its for mine, its in pairs)
        return cls(against, len(pairs), only_this, sum(its and not mine for mine, its in pairs))
