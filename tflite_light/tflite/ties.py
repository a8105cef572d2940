"""Means whose last bit would depend on the processor, told apart from their ties.

XNNPACK rounds an int8 mean half to even on x86 and half up on Arm. Halves are frequent where the
mean has the very scale of its input and an even number of pixels is summed, as happens when a
channel that hardly varies holds a layer's extremes: then 5 % of the means differed by 1 between a
desktop and a phone, and GhostNet's answers by 4 (64 px). With another scale none is a half.
"""

from typing import Any

from tflite_light.tflite import layout
from tflite_light.tflite.graph import Graph
from tflite_light.tflite.storage import integers

APART = 1 + 2**-12  # times the mean's scale: an eighth of a step at full range, at most
# What takes any scale. Others, as CONCATENATION and SPLIT, want that of their outputs.
_TAKERS = {
    *("ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "FULLY_CONNECTED", "LOGISTIC", "MUL"),
    *("QUANTIZE", "SOFTMAX", "SUB", "TANH"),
}


def without_ties(content: bytes) -> bytes:
    """A file whose means have no scale equal to their input's; the same where none had.

    A mean whose scale is tied to others' by one who reads it stays as it is.
    """
    changed = bytearray(content)  # so that the tensors' scales, views of it, can be written
    model = layout.read(changed)
    for number in range(len(model.subgraphs)):
        graph = Graph(content, model, number)
        for op, record in graph.operators:
            source, mean = (integers(ends)[0] for ends in (record.inputs, record.outputs))
            if op == "MEAN" and _is_free(graph, mean):
                _part(graph.tensors[source], graph.tensors[mean])
    return bytes(changed)


def _is_free(graph: Graph, index: int) -> bool:
    """Whether all that read a tensor take any scale; its shape may be changed before."""
    readers = [
        (op, integers(record.outputs)[0])
        for op, record in graph.operators
        if index in integers(record.inputs)
    ]
    return all(
        op in _TAKERS or (op in ("RESHAPE", "SQUEEZE") and _is_free(graph, made))
        for op, made in readers
    )


def _part(source: Any, mean: Any) -> None:
    scales = [tensor.quantization and tensor.quantization.scale for tensor in (source, mean)]
    if all(scale is not None and len(scale) for scale in scales) and scales[0][0] == scales[1][0]:
        scales[1][0] *= APART
