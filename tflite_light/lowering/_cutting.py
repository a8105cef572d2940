"""Where a tensor is cut into runs of channels, so that operators and products cost least."""

from itertools import chain, combinations, pairwise
from math import gcd

import numpy as np

JOINED = 5  # XNNPACK leaves a concatenation of more to TFLite's slower kernel
_SPLIT = 4  # as many parts XNNPACK's split has, at most
_LEVELS = 10  # changes of readers, of which all ways to cut are tried

Segment = tuple[int, int]  # from a place to another, without it


def cut(levels: list[list[int]], prices: list[float], operator: float) -> list[Segment]:
    """Where a tensor is cut, so that operators and products with zeros cost least together.

    `levels` has the readers of each channel, `prices` what one channel more costs a reader.
    """
    count = len(levels)
    changes = [place for place in range(1, count) if levels[place] != levels[place - 1]]
    if len(changes) > _LEVELS:
        return list(pairwise((0, *changes, count)))
    ways = chain.from_iterable(combinations(changes, n) for n in range(len(changes) + 1))
    options = [list(pairwise((0, *way, count))) for way in ways]
    return min(options, key=lambda segments: _cost(segments, levels, prices, operator))


def _cost(
    segments: list[Segment], levels: list[list[int]], prices: list[float], operator: float
) -> float:
    total = operator * float(cut_operators(tuple(end - start for start, end in segments)))
    for start, end in segments:
        part = levels[start:end]
        for reader in set(chain.from_iterable(part)):
            total += operator / (JOINED - 1)
            if missing := sum(reader not in level for level in part):
                total += prices[reader] * missing
    return total


def cut_operators(sizes: tuple[int, ...]) -> int:
    """Operators that cut a tensor: a split into equal parts is one, a slice is one."""
    return len(cuts(finer(sizes)))


def join_operators(parts: int) -> int:
    return -(-(parts - 1) // (JOINED - 1))


def finer(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The same, but in equal parts where one split makes them all."""
    part = gcd(*sizes)
    count = sum(sizes) // part
    return (part,) * count if count <= _SPLIT and len(sizes) > 1 else sizes


def cuts(sizes: tuple[int, ...], first: int = 0) -> list[tuple[int, ...]]:
    """Splits, as the numbers of the segments where their equal parts begin and the last one ends;
    or slices, as single segments (number, number + 1), where that takes fewer operators.
    """
    count = len(sizes)
    slices: list[tuple[int, ...]] = [
        (first + number, first + number + 1) for number in range(count)
    ]
    if count < 2:
        return []
    best = slices
    for parts in range(2, _SPLIT + 1):
        ends = _equal(sizes, parts)
        if ends:
            marks = [first, *(first + end for end in ends)]
            found = [tuple(marks)] + [
                cut
                for start, end in pairwise(marks)
                for cut in cuts(sizes[start - first : end - first], start)
            ]
            best = min(best, found, key=len)
    return best


def _equal(sizes: tuple[int, ...], parts: int) -> list[int]:
    """Numbers of segments after which equal parts end; none where there are no such."""
    whole, sums = sum(sizes), [int(end) for end in np.cumsum(sizes)]
    wanted = [whole * part // parts for part in range(1, parts + 1)]
    if whole % parts or not set(wanted) <= set(sums):
        return []
    return [sums.index(end) + 1 for end in wanted]
