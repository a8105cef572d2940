"""The operators of a `.tflite` file of any origin, with what they cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tflite_light.cost.network import (
    CALL,
    FREE,
    LOOKUP,
    MULTIPLYING,
    Network,
    Operator,
    Stored,
    Tensor,
)
from tflite_light.cost.shapes import Shapes
from tflite_light.tflite.file import File
from tflite_light.tflite.graph import RANKS, UNPACKING, Graph
from tflite_light.tflite.runtimes import oldest
from tflite_light.tflite.storage import count_distinct, count_zeros, integers

TRANSPOSED = "TRANSPOSE_CONV"
KINDS = {
    kind: ops.split()
    for kind, ops in {
        "conv": f"CONV_2D {TRANSPOSED}",
        "depthwise": "DEPTHWISE_CONV_2D",
        "dense": "FULLY_CONNECTED",
        "add": "ADD SUB",
        "multiply": "MUL DIV",
        "activation": "RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 PRELU LEAKY_RELU ELU GELU HARD_SWISH "
        "LOGISTIC TANH MINIMUM MAXIMUM SOFTMAX LOG_SOFTMAX",
        "concat": "CONCATENATION PACK",
        "slice": "SLICE STRIDED_SLICE SPLIT SPLIT_V UNPACK",
        "transpose": "TRANSPOSE",
        "pad": "PAD PADV2 MIRROR_PAD",
        "pool": "MAX_POOL_2D AVERAGE_POOL_2D MEAN SUM",
        "cast": "QUANTIZE DEQUANTIZE CAST",
        FREE: "RESHAPE SQUEEZE EXPAND_DIMS",
        LOOKUP: "GATHER GATHER_ND EMBEDDING_LOOKUP HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT "
        "HASHTABLE_SIZE HASHTABLE_LOOKUP",
        "variable": "VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE",
        CALL: "WHILE IF CALL CALL_ONCE STABLEHLO_WHILE STABLEHLO_CASE STABLEHLO_COMPOSITE",
    }.items()
}
_KIND_OF = {op: kind for kind, ops in KINDS.items() for op in ops}
_SETTINGS = ("int32", "int64", "bool")  # types of axes, shapes and paddings, which are no weights
_HANDLES = ("string", "resource", "variant")  # types without numbers, of a size that is not stored

_NAMING = ("conv2d", "depthwise", "matmul", "add")


def network(file: File) -> Network:
    """The operators of all graphs, one graph after the other, for one picture."""
    counted: set[object] = set()
    rows: list[Operator] = []
    numbered = 0
    for graph, name in zip(file.graphs, graph_names(file), strict=True):
        rows += _Rows(graph, name, numbered, counted).all()
        numbered += len(graph.tensors)
    first = file.graphs[0]
    shape = Shapes(first).of(first.inputs[0]) if first.inputs else ()
    return Network(tuple(rows), shape)


def graph_names(file: File) -> list[str]:
    """Those of a file's graphs, with a number where two have the same."""
    names = [graph.name for graph in file.graphs]
    return [
        f"{name} {number}" if names.count(name) > 1 else name for number, name in enumerate(names)
    ]


@dataclass
class _Rows:
    """Of one graph; `counted` are stored values that are among the parameters of earlier rows."""

    graph: Graph
    name: str
    numbered: int  # tensors of the graphs before it
    counted: set[object]

    def all(self) -> Iterator[Operator]:
        shapes = Shapes(self.graph)
        for number, (op, record) in enumerate(self.graph.operators):
            inputs = [self.graph.stored(index) for index in _in_order(op, integers(record.inputs))]
            outputs = [index for index in integers(record.outputs) if index >= 0]
            if op in UNPACKING and self.graph.is_constant(inputs[0]):
                continue
            moving = [index for index in inputs if index >= 0 and not self._is_still(index)]
            shapes.follow(op, moving, outputs)
            name = _name(self.graph, number, op, inputs, outputs)
            row = Operator(
                name,
                _KIND_OF.get(op, "other"),
                self._tensors(moving, shapes),
                self._tensors(outputs, shapes),
                graph=self.name,
            )
            yield self._with_weights(row, number, inputs, outputs)

    def _is_still(self, index: int) -> bool:
        return self.graph.is_constant(index) or self.graph.type_of(index) in _HANDLES

    def _tensors(self, indices: list[int], shapes: Shapes) -> tuple[Tensor, ...]:
        numbers = [index for index in indices if self.graph.type_of(index) not in _HANDLES]
        return tuple(Tensor(self.numbered + index, shapes.of(index)) for index in numbers)

    def _with_weights(
        self, row: Operator, number: int, inputs: list[int], outputs: list[int]
    ) -> Operator:
        weights, biases = _weights(self.graph, row.kind, inputs)
        weight_count, bias_count = (
            sum(prod(self.graph.shape_of(index)) for index in indices)
            for indices in (weights, biases)
        )
        row = replace(
            row,
            parameters=sum(map(self._count_once, (*weights, *biases))),
            weights=weight_count,
            biases=bias_count,
            stored=_stored(self.graph, number, inputs, weights, outputs),
        )
        return _multiplying(row, self.graph, inputs) if row.kind in MULTIPLYING else row

    def _count_once(self, index: int) -> int:
        """Elements of a constant, 0 where an earlier row has it."""
        place = self.graph.place_of(index)
        count = 0 if place in self.counted else prod(self.graph.shape_of(index))
        self.counted.add(place)
        return count


def _in_order(op: str, inputs: Sequence[int]) -> Sequence[int]:
    """The input, the kernel and the bias first, as all others have them."""
    if op != TRANSPOSED:
        return inputs
    shape, kernel, data, bias = (*inputs, -1, -1)[:4]
    return data, kernel, bias, shape


def _multiplying(row: Operator, graph: Graph, inputs: list[int]) -> Operator:
    """The row with what depends on the kernel, whose shape is TFLite's; it may be a variable."""
    op = row.stored.op if row.stored else ""
    kernel, output = graph.shape_of(inputs[1]), row.output
    if len(kernel) != RANKS[op] or not output.shape:  # known when it runs
        return replace(row, outputs=(Tensor(output.number, (-1,)),))
    if row.kind == "dense":
        return replace(row, multiply_adds=prod(kernel[1:]) * output.elements)
    if len(output.shape) != len(kernel):
        return replace(row, outputs=(Tensor(output.number, (-1,)),))
    at = row.inputs[0] if op == TRANSPOSED and row.input_channels else output  # each place it reads
    row = replace(row, multiply_adds=prod(kernel) * at.elements // (at.shape[-1] or 1))
    channels = graph.shape_of(inputs[0])[-1:]
    if not channels or graph.is_constant(inputs[0]):
        return row
    groups = channels[0] // (kernel[3] or 1) if row.kind == "conv" else channels[0]
    return replace(row, kernel=(kernel[1], kernel[2]), groups=max(groups, 1))


def _weights(graph: Graph, kind: str, inputs: list[int]) -> list[list[int]]:
    """Constants that are weights, and those that are biases."""
    constants = [index for index in inputs if index >= 0 and graph.is_constant(index)]
    if kind in MULTIPLYING:
        return [[index for index in inputs[at : at + 1] if index in constants] for at in (1, 2)]
    several = [index for index in constants if prod(graph.shape_of(index)) > 1]
    none = (*_SETTINGS, *_HANDLES)
    return [[index for index in several if graph.type_of(index) not in none], []]


def _stored(
    graph: Graph, number: int, inputs: list[int], weights: list[int], outputs: list[int]
) -> Stored:
    code = graph.codes[number]
    moving = [index for index in inputs if index >= 0 and not graph.is_constant(index)]
    types = [graph.type_of(index) for index in (*moving[:1], *weights[:1], *outputs[:1])]
    values = [graph.values(index) for index in weights]
    known = [value.ravel() for value in values if value is not None]
    counts: tuple[int | None, int | None] = (None, None)
    if known and len(known) == len(values):
        together = np.concatenate(known)
        counts = (count_zeros(together), count_distinct(together))
    return Stored(*code, oldest(*code), tuple(types), *counts)


def _name(graph: Graph, number: int, op: str, inputs: list[int], outputs: list[int]) -> str:
    """The layer's name where a tensor kept it, in `<model>/<layer>/<operation>;...`; else a number.

    Tensors are named after the operations that were fused into them, of which batch norm and ReLU
    say least.
    """
    tensors = [*inputs[1:2], *outputs] if _KIND_OF.get(op) in MULTIPLYING else outputs
    names = ";".join(graph.name_of(index) for index in tensors).split(";")
    paths = [name.split("/") for name in names if "/" in name]
    paths.sort(key=lambda path: not path[-1].lower().startswith(_NAMING))
    if not paths:
        return f"{op.lower()}_{number}"
    return "/".join(paths[0][1:-1] or paths[0][:1]) or f"{op.lower()}_{number}"
