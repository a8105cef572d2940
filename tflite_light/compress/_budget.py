"""Which classes of channels go, so that a network costs no more than it may."""

from collections.abc import Mapping
from math import gcd
from typing import Literal

import numpy as np

from tflite_light.graph.coupling import Coupling, Numbers
from tflite_light.lowering import TOGETHER

Figure = Literal["multiply_adds", "parameters"]
Cost = Literal["multiply_adds", "parameters", "time"]
SHARE = 0.25  # of its channels, which every layer keeps, and of those that it reads
SLACK = 0.01  # of the target: how far below it the last step but one may lead


class Spaces:
    """Classes that cost the same in any company, as the channels inside one bottleneck do.

    What a network costs then follows from how many of each space stay: [spaces, cases].
    """

    def __init__(self, coupling: Coupling):
        self._terms, self._coupling = coupling.terms, coupling
        ones = np.append(np.zeros(coupling.count), 1)  # what has no inputs is counted once
        inputs = [ones if t.inputs is None else coupling.numbers(t.inputs) for t in self._terms]
        outputs = [coupling.numbers(term.outputs) for term in self._terms]
        table = np.stack([*inputs, *outputs])
        _, first, self.of_class = np.unique(
            table[:, :-1], axis=1, return_index=True, return_inverse=True
        )
        self.numbers = np.bincount(self.of_class)
        self._columns = np.append(first, coupling.count)
        self._inputs, self._outputs = np.split(table[:, self._columns], 2)

    def cost(self, numbers: Numbers, of: Cost) -> Numbers:
        factors = np.array([getattr(term, of) for term in self._terms])
        inputs, outputs = self.read(numbers), self._outputs @ _with_fixed(numbers)
        if of == "time":
            outputs = np.maximum(outputs, TOGETHER)
        costs: Numbers = factors @ (inputs * outputs)
        return costs

    def read(self, numbers: Numbers) -> Numbers:
        """How many channels each layer reads, [terms, cases]."""
        read: Numbers = self._inputs @ _with_fixed(numbers)
        return read

    def total(self, figure: Figure) -> float:
        return float(self.cost(self.numbers[:, None], figure)[0])

    def widths(self, layer: str) -> Numbers:
        """How many of a layer's channels each class of a space has, and how many are fixed."""
        widths: Numbers = self._coupling.widths[layer][self._columns]
        return widths


def _with_fixed(numbers: Numbers) -> Numbers:
    """[spaces, cases], and a row for what is counted once: the channels that stay."""
    return np.append(numbers, np.ones((1, numbers.shape[1])), axis=0)


def choose(
    spaces: Spaces,
    scores: Numbers,
    figure: Figure,
    target: float,
    least: Mapping[str, int],
    round_to: int,
) -> Numbers:
    """A bool for each class that stays, [classes].

    Greedy: the step that loses least importance for what it saves comes next, until the figure is
    at most `target` or every layer is as narrow as `least` allows. A step towards fewer
    multiply-adds saves time, which is what they are counted for: MobileNet v2's int8 file then
    takes 0.55 of the whole one's time instead of 0.71, both as the converter makes them.
    """
    worth: Cost = "time" if figure == "multiply_adds" else figure
    read = spaces.read(spaces.numbers[:, None])
    widths = np.stack([spaces.widths(name) for name in least])
    floors = np.array(list(least.values()))[:, None]
    steps = _steps(widths[:, :-1], np.minimum(floors, round_to))
    orders = [_least_first(scores, spaces, place) for place in range(len(steps))]
    sums = [np.append(0, np.cumsum(scores[order])) for order in orders]
    numbers, taken = spaces.numbers.copy(), list[tuple[int, int]]()
    while (cost := spaces.cost(numbers[:, None], figure)[0]) > target:
        going = np.where(numbers % steps, numbers % steps, np.minimum(steps, numbers))
        after = numbers[:, None] - np.diag(going)
        left = spaces.cost(after, figure)
        fits = (widths @ _with_fixed(after) >= floors).all(0)
        fits &= left < cost
        fits &= (spaces.read(after) >= SHARE * read).all(0)  # a split may leave one side nothing
        if not fits.any():
            break
        gone = spaces.numbers - numbers
        lost = np.array([s[g + n] - s[g] for s, g, n in zip(sums, gone, going, strict=True)])
        near = fits & (left >= (1 - SLACK) * target)
        saved = spaces.cost(numbers[:, None], worth) - spaces.cost(after, worth)
        price = lost / np.maximum(saved, 1e-9) if near.any() else -left
        place = np.where(near if near.any() else fits, price, np.inf).argmin()
        numbers[place] -= going[place]
        taken.append((int(place), int(going[place])))
    _return_spare(spaces, numbers, taken, figure, target)
    stays = np.ones(len(spaces.of_class), bool)
    for order, before, now in zip(orders, spaces.numbers, numbers, strict=True):
        stays[order[: before - now]] = False
    return stays


def _return_spare(
    spaces: Spaces,
    numbers: Numbers,
    taken: list[tuple[int, int]],
    figure: Figure,
    target: float,
) -> None:
    """Take steps back, the last ones first, for which the very last left room by being large."""
    for place, went in reversed(taken):
        numbers[place] += went
        if spaces.cost(numbers[:, None], figure)[0] > target:
            numbers[place] -= went


def _least_first(scores: Numbers, spaces: Spaces, place: int) -> Numbers:
    classes = np.flatnonzero(spaces.of_class == place)
    return classes[np.argsort(scores[classes], kind="stable")]


def _steps(widths: Numbers, multiples: Numbers) -> Numbers:
    """How many classes of each space go at a time, so that its narrowest layer stays a multiple."""
    each = np.where(widths > 0, widths, np.iinfo(int).max)
    narrowest, places = each.min(0).astype(int), each.argmin(0)
    pairs = zip(narrowest.tolist(), multiples[places, 0].tolist(), strict=True)
    return np.array(
        [
            multiple // gcd(multiple, number) if number < multiple else 1
            for number, multiple in pairs
        ]
    )
