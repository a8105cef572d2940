"""What a network costs on a phone, counted operator by operator; nothing is run.

An operator here is one that TFLite executes: batch norm and ReLU are already inside the
convolution before them. Bytes are given twice, as if all tensors were float32 (4 bytes an element)
and as if all were int8 (1 byte, biases int32). A reshape costs nothing: it renames memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from math import prod

FREE = "reshape"  # the kind that moves no bytes and whose output is its input's memory
LOOKUP = "lookup"  # the kind that reads of its weights what it writes
CALL = "call"  # the kind that runs other graphs of a file
MULTIPLYING = ("conv", "depthwise", "dense")


@dataclass(frozen=True)
class Tensor:
    """An activation of one picture; `number` is its own in a network.

    A side of -1 is open: a file leaves it to the picture that it is run on.
    """

    number: int
    shape: tuple[int, ...]

    @property
    def is_open(self) -> bool:
        return -1 in self.shape

    @property
    def elements(self) -> int:
        """With 1 for each open side: the least that it can have."""
        return prod(abs(side) for side in self.shape)


@dataclass(frozen=True)
class Stored:
    """What only a file says of an operator."""

    op: str
    version: int
    min_runtime: str | None  # None: not in the table of known operators
    types: tuple[str, ...]  # of the input, the weights where there are some, and the output
    zero_weights: int | None = None
    distinct_values: int | None = None  # of the weights as they are stored


@dataclass(frozen=True)
class Operator:
    """A row: `parameters` counts what is trained, batch norm's gamma and beta too; `weights` and
    `biases` what is left to move when batch norm is folded, as elements.
    """

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parameters: int = 0
    weights: int = 0
    biases: int = 0
    kernel: tuple[int, int] | None = None  # height, width
    groups: int = 1
    multiply_adds: int = 0  # of convolutions and dense layers, each weight at each place
    stored: Stored | None = None
    graph: str = ""  # a file can hold several

    @property
    def output(self) -> Tensor:
        """The first; one of no elements where there is none, as where a variable is written."""
        return self.outputs[0] if self.outputs else Tensor(-1, (0,))

    @property
    def is_open(self) -> bool:
        """Whether its figures depend on a size that a file leaves open; they are the least then."""
        return any(tensor.is_open for tensor in (*self.inputs, *self.outputs))

    @property
    def input_channels(self) -> int:
        """0 where a file leaves the shape open."""
        return max(self.inputs[0].shape[-1], 0) if self.inputs and self.inputs[0].shape else 0

    @property
    def activations(self) -> int:
        """Elements read and written, weights aside."""
        moved = sum(tensor.elements for tensor in (*self.inputs, *self.outputs))
        return 0 if self.kind == FREE else moved

    @property
    def float32_bytes(self) -> int:
        """Memory access cost: input + output + weights."""
        return 4 * (self.activations + self._weights_read + self.biases)

    @property
    def int8_bytes(self) -> int:
        return self.activations + self._weights_read + 4 * self.biases

    @property
    def _weights_read(self) -> int:
        return min(self.weights, self.output.elements) if self.kind == LOOKUP else self.weights


@dataclass(frozen=True)
class Network:
    """Operators in the order in which they run, one graph after the other."""

    operators: tuple[Operator, ...]
    input_shape: tuple[int, ...] = ()

    def total(self, figure: Callable[[Operator], int]) -> int:
        return sum(figure(operator) for operator in self.operators)

    @cached_property
    def graphs(self) -> "dict[str, Network]":
        """One network for each graph that has operators."""
        rows = groupby(self.operators, key=lambda row: row.graph)
        return {name: Network(tuple(one)) for name, one in rows}

    @property
    def is_open(self) -> bool:
        """Whether a file leaves sizes open that its figures depend on."""
        return -1 in self.input_shape or any(row.is_open for row in self.operators)

    @property
    def parameters(self) -> int:
        return self.total(lambda operator: operator.parameters)

    @property
    def multiply_adds(self) -> int:
        return self.total(lambda operator: operator.multiply_adds)

    @property
    def float32_bytes(self) -> int:
        return self.total(lambda operator: operator.float32_bytes)

    @property
    def int8_bytes(self) -> int:
        return self.total(lambda operator: operator.int8_bytes)

    @cached_property
    def live(self) -> tuple[int, ...]:
        """Elements of all activations of its graph that must be held while each operator runs.

        A tensor lives from the operator that writes it (the picture: from the first) to the last
        that reads it (the answer: to the end).
        """
        return tuple(elements for one in self.graphs.values() for elements in _live(one.operators))

    @property
    def peak(self) -> int:
        """Elements of the largest live activation."""
        return max(self.live, default=Tensor(0, self.input_shape or (0,)).elements)

    @property
    def peak_operator(self) -> Operator | None:
        """The operator during which most is live; None where there are no operators."""
        return self.operators[self.live.index(self.peak)] if self.operators else None


def _live(operators: tuple[Operator, ...]) -> list[int]:
    memory: dict[int, int] = {}  # tensor -> the tensor whose memory it is
    spans: dict[int, list[int]] = {}  # tensor -> elements, first and last operator
    end = len(operators)
    for step, operator in enumerate(operators):
        for tensor in operator.inputs:
            owner = memory.setdefault(tensor.number, tensor.number)
            spans.setdefault(owner, [tensor.elements, 0, end])[2] = step
        for output in operator.outputs:
            if operator.kind == FREE and operator.inputs:
                memory[output.number] = memory[operator.inputs[0].number]
            else:
                memory[output.number] = output.number
                spans[output.number] = [output.elements, step, end]
    change = [0] * (end + 2)
    for elements, first, last in spans.values():
        change[first] += elements
        change[last + 1] -= elements
    return list(accumulate(change))[:end]
