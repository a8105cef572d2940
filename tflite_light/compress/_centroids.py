"""K-means of single numbers, fast: clusters of sorted values are intervals."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ROUNDS = 100  # of Lloyd; it ends when no centroid moves, for most kernels after 20 to 60
GROUPS = 512  # of neighbouring values, which stay together at first: 0.1 s for 64 centroids


def shared(
    values: Array, count: int, initial: str, seed: int, weights: Array | None = None
) -> Array:
    """`values` with each replaced by the nearest of at most `count` centroids.

    Where there are zeros, 0 is one of them and keeps exactly its members. `weights`, of the same
    shape, say what a value's squared error costs; all the same by default.
    """
    result = np.array(values)
    chosen = values != 0
    count -= not chosen.all()
    if chosen.any():
        costs = np.ones(values.shape) if weights is None else weights
        order = np.argsort(values[chosen], kind="stable")
        ordered, costs = values[chosen].astype(np.float64)[order], costs[chosen][order]
        begun = _start(ordered, costs, count, initial, seed)
        centres = lloyd(ordered, costs, begun).astype(values.dtype)
        bounds = (centres[1:].astype(np.float64) + centres[:-1]) / 2
        result[chosen] = centres[np.searchsorted(bounds, values[chosen])]
    return result


def lloyd(ordered: Array, costs: Array, centres: Array) -> Array:
    """Centroids, sorted, moved to the means of what is nearest to them until they stay."""
    counted, sums = (_summed(one) for one in (costs, costs * ordered))
    for _ in range(ROUNDS):
        bounds = (centres[1:] + centres[:-1]) / 2
        ends = np.concatenate([[0], np.searchsorted(ordered, bounds), [ordered.size]])
        counts = np.diff(counted[ends])
        means = np.diff(sums[ends]) / np.where(counts > 0, counts, 1)
        moved = np.sort(np.where(counts > 0, means, centres))
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _summed(values: Array) -> Array:
    """Up to each place."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _start(ordered: Array, costs: Array, count: int, initial: str, seed: int) -> Array:
    distinct = np.unique(ordered)
    if distinct.size <= count:
        return distinct
    if initial == "linear":  # over the range: Deep Compression's choice, which spares large weights
        return np.linspace(ordered[0], ordered[-1], count)
    if initial == "density":  # at equal shares of the weights
        return np.unique(np.quantile(ordered, (np.arange(count) + 0.5) / count))
    starts = _groups(ordered, distinct)
    if initial == "optimal" and (starts.size >= 4 * count or starts.size == distinct.size):
        return _optimal(ordered, costs, starts, count)
    return _plus_plus(ordered, count, np.random.default_rng(seed))


def _groups(ordered: Array, distinct: Array) -> Array:
    """Where in the sorted values groups of them begin: one of each value, or where there are more
    than GROUPS, of equal widths and of equal sizes, so that tails and the middle are fine enough.
    """
    half = GROUPS // 2
    widths = np.linspace(ordered[0], ordered[-1], half, endpoint=False)
    sizes = np.quantile(ordered, np.arange(half) / half)
    bounds = distinct if distinct.size <= GROUPS else np.concatenate([widths, sizes])
    return np.unique(np.searchsorted(ordered, bounds))


def _optimal(ordered: Array, costs: Array, starts: Array, count: int) -> Array:
    """The best means of `count` runs of groups (Wang & Song 2011, Ckmeans.1d.dp).

    Of runs that end at a group, the best of n are those of n - 1 and one more. Their squared error
    is least where the sum of total^2 / size is greatest, both weighted by `costs`. Lloyd's rounds
    from k-means++ end with 1.27 times the error (SqueezeNet 1.0 by Deep Compression, 64 values).
    """
    ends = np.append(starts, ordered.size)
    counted, sums = (_summed(one)[ends] for one in (costs, costs * ordered))
    sizes, totals = counted - counted[:, None], sums - sums[:, None]
    gains = np.where(sizes > 0, totals**2 / np.where(sizes > 0, sizes, 1), -np.inf)
    best, befores = np.where(ends > 0, -np.inf, 0.0), []
    for _ in range(count):
        reached = best[:, None] + gains
        befores.append(reached.argmax(0))
        best = reached.max(0)
    cuts = [starts.size]
    for before in reversed(befores):
        cuts.insert(0, before[cuts[0]])
    return np.asarray(np.diff(sums[cuts]) / np.diff(counted[cuts]))


def _plus_plus(ordered: Array, count: int, draw: np.random.Generator) -> Array:
    """Arthur & Vassilvitskii 2007: each next one drawn by the squared distance to the nearest."""
    centres = [draw.choice(ordered)]
    distances = (ordered - centres[0]) ** 2
    for _ in range(count - 1):
        centres.append(draw.choice(ordered, p=distances / distances.sum()))
        distances = np.minimum(distances, (ordered - centres[-1]) ** 2)
    return np.sort(centres)
