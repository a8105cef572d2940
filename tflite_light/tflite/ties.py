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


def without_ties(content: bytes) -> bytes:
    """A file whose means have no scale equal to their input's; the same where none had."""
    changed = bytearray(content)  # so that the tensors' scales, views of it, can be written
    model = layout.read(changed)
    for number in range(len(model.subgraphs)):
        graph = Graph(content, model, number)
        for op, record in graph.operators:
            if op == "MEAN":
                _part(
                    *(graph.tensors[integers(ends)[0]] for ends in (record.inputs, record.outputs))
                )
    return bytes(changed)


def _part(source: Any, mean: Any) -> None:
    scales = [tensor.quantization and tensor.quantization.scale for tensor in (source, mean)]
    if all(scale is not None and len(scale) for scale in scales) and scales[0][0] == scales[1][0]:
        scales[1][0] *= APART
