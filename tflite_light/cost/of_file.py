"""The operators of a `.tflite` file of any origin, with what they cost."""

from dataclasses import replace
from math import prod

from tflite_light.cost.network import FREE, MULTIPLYING, Network, Operator, Stored, Tensor
from tflite_light.tflite.file import File
from tflite_light.tflite.graph import UNPACKING, Graph
from tflite_light.tflite.runtimes import oldest
from tflite_light.tflite.storage import count_distinct, count_zeros, integers

KINDS = {
    kind: ops.split()
    for kind, ops in {
        "conv": "CONV_2D",
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
    }.items()
}
_KIND_OF = {op: kind for kind, ops in KINDS.items() for op in ops}
_SETTINGS = ("int32", "int64", "bool")  # types of axes, shapes and paddings, which are no weights

_NAMING = ("conv2d", "depthwise", "matmul", "add")


def network(file: File) -> Network:
    """The operators of the graph, in its order."""
    graph, codes = file.graphs[0], file.codes()
    rows = []
    for number, (op, record) in enumerate(graph.operators):
        inputs = [graph.stored(index) for index in integers(record.inputs) if index >= 0]
        outputs = integers(record.outputs)
        if not (op in UNPACKING and graph.is_constant(inputs[0])):
            name = _name(graph, number, op, inputs, outputs)
            rows.append(_operator(graph, name, codes[number], inputs, outputs))
    return Network(tuple(rows))


def _operator(
    graph: Graph, name: str, code: tuple[str, int], inputs: list[int], outputs: list[int]
) -> Operator:
    kind = _KIND_OF.get(code[0], "other")
    weights, biases = _weights(graph, kind, inputs)
    moving = [index for index in inputs if not graph.is_constant(index)]
    weight_count, bias_count = (
        sum(prod(graph.shape_of(index)) for index in indices) for indices in (weights, biases)
    )
    row = Operator(
        name,
        kind,
        tuple(Tensor(index, graph.shape_of(index)) for index in moving),
        tuple(Tensor(index, graph.shape_of(index)) for index in outputs),
        parameters=weight_count + bias_count,
        weights=weight_count,
        biases=bias_count,
        stored=_stored(graph, code, moving, weights, outputs),
    )
    return _multiplying(row, graph.shape_of(weights[0])) if weights and row.input_channels else row


def _multiplying(row: Operator, kernel: tuple[int, ...]) -> Operator:
    """The row with what depends on the kernel, whose shape is TFLite's."""
    channels = row.input_channels
    if row.kind == "dense":
        return replace(row, multiply_adds=row.weights * row.output.elements // kernel[0])
    if row.kind not in ("conv", "depthwise"):
        return row
    return replace(
        row,
        kernel=(kernel[1], kernel[2]),
        groups=channels if row.kind == "depthwise" else channels // kernel[3],
        multiply_adds=row.weights * prod(row.output.shape[:3]),
    )


def _weights(graph: Graph, kind: str, inputs: list[int]) -> list[list[int]]:
    """Constants that are weights, and those that are biases."""
    constants = [index for index in inputs if graph.is_constant(index)]
    if kind in MULTIPLYING:
        return [[index for index in inputs[at : at + 1] if index in constants] for at in (1, 2)]
    several = [index for index in constants if prod(graph.shape_of(index)) > 1]
    return [[index for index in several if graph.type_of(index) not in _SETTINGS], []]


def _stored(
    graph: Graph, code: tuple[str, int], inputs: list[int], weights: list[int], outputs: list[int]
) -> Stored:
    values = graph.values(weights[0]) if weights else None
    counts = (count_zeros(values), count_distinct(values)) if values is not None else (None, None)
    types = [graph.type_of(index) for index in (*inputs[:1], *weights[:1], *outputs[:1])]
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
    return "/".join(paths[0][1:-1] or paths[0][:1])
