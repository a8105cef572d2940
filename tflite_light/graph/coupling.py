"""Which channels of a network have to stay or go together, and what each set of them costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from tflite_light.graph.kernels import kernels, multiply_adds
from tflite_light.graph.sets import Sets
from tflite_light.graph.tracing import MERGING, Ids, Traced, kind, trace, vector

FIXED = -1  # the class of channels that have to stay
# Times in multiply-adds of a 1x1 convolution, of which XNNPACK makes 210 a nanosecond for int8 on
# an AMD EPYC: for one of a depthwise convolution (19 a nanosecond), to write an activation (0.12
# ns, which is 25) and to read a weight (0.032 ns), by `benchmark --profile`. For float32 they are
# 2.5, 5 and 13. Activations count 35, chosen among 25, 35, 50 and 70 by the time of files thinned
# by half (one Zen 5): ShuffleNet v1 0.62 instead of 0.69, others within 0.02. The cause is unknown.
DEPTHWISE, WRITTEN, WEIGHT = 11, 35, 7
WRITING = ("Conv2D", "DepthwiseConv2D", "Dense", *MERGING)
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Term:
    """A layer's costs, each for a pair of input and output channels, or for an output channel.

    `time` is in multiply-adds of a 1x1 convolution that take as long.
    """

    layer: str
    inputs: Ids | None
    outputs: Ids
    multiply_adds: float
    parameters: float
    time: float


@dataclass(frozen=True)
class Coupling:
    """`classes[id]` is the number of a channel's class, 0 to `count` - 1, or FIXED."""

    traced: Traced
    classes: Numbers
    terms: list[Term]

    @property
    def count(self) -> int:
        return int(self.classes.max()) + 1

    def numbers(self, ids: Ids) -> Numbers:
        """How many of the channels each class has, those that are fixed last: [count + 1]."""
        return np.bincount(self.classes[ids] % (self.count + 1), minlength=self.count + 1)

    @cached_property
    def widths(self) -> dict[str, Numbers]:
        """For each layer that makes channels, how many of each class: [count + 1]."""
        return {name: self.numbers(ids) for name, ids in self.traced.own.items()}

    def kept(self, stays: Numbers) -> dict[str, list[int]]:
        """The output channels of each layer that loses some; `stays` is a bool for each class."""
        stay = np.append(stays, True)[self.classes]  # FIXED is the last
        layers = {name: np.flatnonzero(stay[ids]) for name, ids in self.traced.own.items()}
        return {
            name: places.tolist()
            for name, places in layers.items()
            if len(places) < len(self.traced.own[name])
        }


def couple(model: Any) -> Coupling:
    """The classes of a flat functional model's channels; each can go without the others.

    Sums couple their addends, shuffles what they interleave; of a grouped convolution's inputs and
    outputs a class has equally many in each group. The picture's and the answer's stay.
    """
    traced = trace(model)
    sets = Sets(traced.count)
    for one, other in traced.equal:
        for pair in {*zip(one.tolist(), other.tolist(), strict=True)}:
            sets.join(*pair)
    fixed = {sets.find(int(one)) for ids in traced.fixed for one in np.unique(ids)}
    for layer in model.layers:
        if kind(layer) == "Conv2D" and layer.groups > 1:
            for ids in (traced.inputs[layer.name][0], traced.outputs[layer.name]):
                fixed |= _balance(sets, vector(ids), layer.groups, fixed)
    fixed = {sets.find(one) for one in fixed}
    roots = np.array([sets.find(one) for one in range(traced.count)])
    free = [root for root in np.unique(roots) if root not in fixed]
    number = {root: place for place, root in enumerate(free)}
    classes = np.array([number.get(root, FIXED) for root in roots])
    return Coupling(traced, classes, list(_terms(model, traced)))


def _balance(sets: Sets, channels: Ids, groups: int, fixed: set[int]) -> set[int]:
    """Join sets until each has equally many of the channels in every group; those left over.

    Greedy: the set that best fills up the groups that lack some comes next. Sets that lie across
    groups come first, as they are harder to match.
    """
    fixed = {sets.find(one) for one in fixed}
    free: dict[int, Numbers] = {}
    for place, one in enumerate(channels.tolist()):
        counts = free.setdefault(sets.find(one), np.zeros(groups, int))
        counts[place * groups // len(channels)] += 1
    if uneven := [root for root in free if root in fixed]:
        total = np.sum([free.pop(root) for root in uneven], axis=0)
        if (
            len(set(total.tolist())) > 1
        ):  # what is fixed fills its groups unevenly: so must the rest
            return set(free)
    order = sorted(free, key=lambda root: -np.count_nonzero(free[root]))  # stable: by place
    left: set[int] = set()
    while order:
        root = order.pop(0)
        sum_, members = free[root], [root]
        while (sum_ != sum_[0]).any() and order:
            best = min(order, key=lambda other: _lack(sum_ + free[other]))
            order.remove(best)
            sum_, members = sum_ + free[best], [*members, best]
        if (sum_ != sum_[0]).any():
            left |= set(members)
        for other in members[1:]:
            sets.join(root, other)
    return left


def _lack(counts: Numbers) -> int:
    return int((counts.max() - counts).sum())


def _terms(model: Any, traced: Traced) -> Iterator[Term]:
    """The multiply-adds of all kernels, all trained parameters, and the time. Where it is not known
    how a layer uses channels, all that it reads and makes stay, and so do its costs."""
    products = multiply_adds(model)
    for layer in model.layers:
        outputs, weights = vector(traced.outputs[layer.name]), layer.trainable_weights
        if own := kernels(layer):
            apart = {id(kernel) for kernel in own}
            weights = [weight for weight in layer.weights if id(weight) not in apart]
            inputs = vector(traced.inputs[layer.name][0]) if layer.name in traced.own else None
            pairs = len(outputs) * (1 if inputs is None else len(inputs))
            multiplied = products[layer.name] / pairs
            each = sum(prod(kernel.shape) for kernel in own) / pairs
            time = multiplied * (DEPTHWISE if inputs is None else 1) + each * WEIGHT
            yield Term(layer.name, inputs, outputs, multiplied, each, time)
        if weights:
            biases = sum(prod(weight.shape) for weight in weights)
            yield Term(layer.name, None, outputs, 0, biases / len(outputs), 0)
        if kind(layer) in WRITING:
            places = prod(layer.output.shape[1:-1])
            yield Term(layer.name, None, outputs, 0, 0, WRITTEN * places)
