"""Inputs that are not the golden ones: the first element that differs, and the mistake."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from tflite_light.contract import Contract, sha256
from tflite_light.measure.goldens import Prepared, Values
from tflite_light.measure.mistakes import Cause, cause, mistaken

ROUNDING = 1e-6  # of the largest value, float32: the same steps in another order
COLOURS = {"RGB": ("red", "green", "blue"), "BGR": ("blue", "green", "red")}


@dataclass(frozen=True)
class Differing:
    """A golden picture's input as it was found; of the one expected, its digest may be all that is
    known.
    """

    prepared: Prepared
    found: Values
    expected: Values | None

    def distance(self, other: Values) -> float:
        """From what the search is for: who made `found`; or, of a digest, what has it."""
        if self.expected is None:
            return 0 if sha256(other.tobytes()) == self.prepared.golden.input_sha256 else inf
        return float(np.abs(self.found.astype(np.float64) - other).mean())


def differing(prepared: Prepared, given: Values | None) -> Differing | None:
    """Where the input made here differs from the golden one, or the one a consumer has `given`."""
    if prepared.differs:
        return Differing(prepared, prepared.values, None)
    if given is not None and not np.array_equal(given, prepared.values):
        return Differing(prepared, given, prepared.values)
    return None


def explain(inputs: Sequence[Differing], agreed: Contract) -> tuple[str, list[str]]:
    """Why they differ, by the last of them, as a sentence; and what each has to show for it.

    The last is a test card as a rule, on which every mistake shows.
    """
    if not inputs:
        return "", []
    last = inputs[-1]
    found = None if last.prepared.altered else cause(last.prepared.content, agreed, last.distance)
    return _sentence(last, found), [_first(one, found, agreed) for one in inputs]


def _sentence(one: Differing, found: Cause | None) -> str:
    mistakes = " and ".join(found.mistakes) if found else ""
    if one.prepared.altered:
        return "The picture itself is another: it was replaced, edited, or lost its EXIF block."
    if one.expected is None:
        return (
            f"It was made with {mistakes} when the file was exported; the contract says otherwise."
            if found
            else "The contract's `image` or the way of resizing has changed since the export."
        )
    if _is_rounding(one.found, one.expected):
        return (
            "Only float32's rounding differs: subtract mean first, then divide by std, in float32."
        )
    if not found:
        return "No mistake that is known here comes near it."
    if found.far:
        return f"It comes near what comes of {mistakes}: {found.far:.1g} apart on average."
    return f"It is exactly what comes of {mistakes}."


def _is_rounding(found: Values, expected: Values) -> bool:
    if found.dtype != np.float32:
        return False
    return bool(np.abs(found - expected).max() <= ROUNDING * np.abs(expected).max())


def _first(one: Differing, found: Cause | None, agreed: Contract) -> str:
    """Where it is known, the first element that differs."""
    expected = one.expected
    if expected is None and found:
        ways = mistaken(one.prepared.content, agreed)
        made = next((values for names, values in ways if names == found.mistakes), None)
        expected = None if made is None or one.distance(made) else made
    if expected is None:
        return "the input differs from the one it was exported with"
    row, column, channel = (int(axis[0]) for axis in np.nonzero(~(one.found == expected)))
    return (
        f"the input differs first at row {row}, column {column}, "
        f"{COLOURS[agreed.image.channels][channel]}: {one.found[row, column, channel]:g}, "
        f"expected {expected[row, column, channel]:g}"
    )
