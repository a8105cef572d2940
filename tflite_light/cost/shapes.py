"""Shapes of a file's tensors for one picture, where the file leaves the batch or more open."""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from tflite_light.tflite.graph import Graph

_KEEPING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE")  # all elements that they get
_MIXING = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")  # places become pictures, and back


@dataclass
class Shapes:
    """Of one graph, whose operators are followed in their order.

    An open batch, the first side of an input, counts as 1. Behind an operator that mixes it with
    other sides nothing is known: the file stores 1 for each open side, whatever it stands for.
    """

    graph: Graph
    mixed: set[int] = field(default_factory=set)  # tensors behind such an operator

    def of(self, index: int) -> tuple[int, ...]:
        """-1 for each side that is open, also of one picture."""
        sides = self.graph.sides_of(index)
        if index in self.mixed:
            return (-1,) * len(sides)
        return (1, *sides[1:]) if self._is_batch(sides) else sides

    def follow(self, op: str, inputs: list[int], outputs: list[int]) -> None:
        """Note what an operator makes of the batch."""
        ends = [*inputs[:1], *outputs[:1]]
        mixes = op in _MIXING and any(self._is_batch(self.graph.sides_of(end)) for end in ends)
        if op in _KEEPING and self._has_batch:
            mixes = len({prod(map(abs, self.of(end))) for end in ends}) > 1
        if mixes or not self.mixed.isdisjoint(inputs):
            self.mixed.update(outputs)

    @cached_property
    def _has_batch(self) -> bool:
        inputs = [self.graph.sides_of(index) for index in self.graph.inputs]
        return any(len(sides) > 1 and sides[0] == -1 for sides in inputs)

    def _is_batch(self, sides: tuple[int, ...]) -> bool:
        return self._has_batch and len(sides) > 1 and sides[0] == -1
