"""A kernel made of given values: each weight's is chosen with the errors so far in mind.

As GPTQ rounds to a grid (Frantar et al. 2023, arXiv 2210.17323): weights of an output channel get
their values one after another, and those still to come make up for the errors, as far as their
inputs are related.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_NUMBERS = 1 << 20  # in the matrices that are factored at a time: more leave the cache


def in_turn(wanted: Array, moments: Array, filled: Array, values: Array) -> Array:
    """Rows of a kernel, [rows, inputs], made of `values`, [1 or rows, number], each sorted, and of
    zeros where they are not `filled`.

    They make `q @ moments @ q - 2 q @ wanted` of each row `q` small: the mean square of its errors,
    but for a constant. Inputs of large variance come first, whose errors cost most.
    """
    order = np.argsort(-np.diag(moments))
    moments, wanted, filled = moments[np.ix_(order, order)], wanted[:, order], filled[:, order]
    found = np.zeros(wanted.shape)
    if filled.all():  # one system of equations for all rows
        found[:, order] = _solved(moments[None], wanted[None], values[None])[0]
        return found
    counts = filled.sum(1)
    rows = np.argsort(counts)
    step = max(1, _NUMBERS // max(1, counts.max()) ** 2)
    for some in (rows[start : start + step] for start in range(0, len(rows), step)):
        places = np.argsort(~filled[some], axis=1, kind="stable")[:, : counts[some].max()]
        own = values[some, None] if len(values) > 1 else values[None]
        found[some[:, None], order[places]] = _of_places(
            wanted[some[:, None], places], moments, filled[some[:, None], places], places, own
        )
    return found


def _of_places(wanted: Array, moments: Array, there: Array, places: Array, values: Array) -> Array:
    """A system of its own for each row, of its inputs at `places`; those not `there` are zeros."""
    systems = moments[places[:, :, None], places[:, None]]
    both = there[:, :, None] & there[:, None]
    systems = np.where(both, systems, np.eye(places.shape[1]))
    return np.where(there, _solved(systems, (wanted * there)[:, None], values)[:, 0], 0)


def _solved(systems: Array, wanted: Array, values: Array) -> Array:
    """Of values, what nearly solves `systems`, [systems, inputs, inputs], for `wanted`, [systems,
    rows, inputs]: the exact solution, rounded from the first input on."""
    exact = np.linalg.solve(systems, wanted.swapaxes(1, 2)).swapaxes(1, 2)
    upper = np.linalg.cholesky(systems[:, ::-1, ::-1])[:, ::-1, ::-1]  # times its transpose
    factors = np.ascontiguousarray(upper.swapaxes(1, 2))
    found, errors = np.zeros_like(exact), np.zeros_like(exact)
    for place in range(exact.shape[2]):
        carried = np.einsum("sri,si->sr", errors[..., :place], factors[:, place, :place])
        aim = exact[..., place] + carried / factors[:, place, place, None]
        found[..., place] = nearest(values, aim)
        errors[..., place] = exact[..., place] - found[..., place]
    return found


def nearest(values: Array, numbers: Array) -> Array:
    """Of values, [1 or systems, 1 or rows, number], to numbers, [systems, rows]."""
    if values.size == values.shape[-1]:
        row = values.ravel()
        return np.asarray(row[np.searchsorted((row[1:] + row[:-1]) / 2, numbers)])
    places = np.abs(numbers[..., None] - values).argmin(-1)[..., None]
    every = np.broadcast_to(values, (*numbers.shape, values.shape[-1]))
    return np.asarray(np.take_along_axis(every, places, -1)[..., 0])
