"""The operators of a file by the Keras layers that they were converted from."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.file import File
from tflite_light.tflite.storage import integers

CASTS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Operator:
    """One that writes the tensor `output`; `layers` has the parts of its names, layers among them.

    The converter names a tensor after all that became one operator, such as
    `net/stem_relu/Relu6;net/stem_conv/Conv2D`, and a network's last one after no layer: there the
    kernel has the name.
    """

    kind: str
    output: str
    layers: frozenset[str]
    is_float: bool

    def fits(self, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, one) for name in self.layers for one in patterns)


def operators(file: File) -> Iterator[Operator]:
    """Each operator of every graph that writes anything."""
    for graph in file.graphs:
        for kind, record in graph.operators:
            inputs, outputs = integers(record.inputs), integers(record.outputs)
            names = [graph.name_of(at) for at in (*outputs, *graph.kernels(kind, inputs))]
            parts = frozenset(part for name in names for part in re.split("[/;]", name))
            if outputs:
                yield Operator(kind, names[0], parts, graph.is_float(record))


def called(parts: Collection[str], layers: Sequence[str], last: bool) -> str | None:
    """The first of `layers` that an operator's names have. A network's last operator is of its last
    layer where it has no layer's name.
    """
    named = next((layer for layer in layers if layer in parts), None)
    return layers[-1] if named is None and last and layers else named


def constant(file: File) -> list[str]:
    """Of a calibrated file, the tensors that never changed, by their names.

    The calibrator widens their ranges by the smallest float32 there is.
    """
    spans = [(tensor.name, tensor.quantization) for tensor in file.graphs[0].tensors]
    return [
        name
        for name, span in spans
        if span and span.min is not None and span.max is not None
        if np.all(span.max - span.min <= np.finfo(np.float32).tiny)
    ]


def rangeless(file: File) -> list[str]:
    """Of an integer file, the tensors whose range was set where nothing ever changed."""
    return [
        str(tensor.name)
        for graph in file.graphs
        for index, tensor in enumerate(graph.tensors)
        if not graph.is_constant(index) and tensor.quantization
        if any(0 < scale <= np.finfo(np.float32).tiny for scale in _scales(tensor))
    ]


def blank(file: File) -> list[str]:
    """Of a file of int16, the constants that are computed with and have no step: all are zeros."""
    return [
        str(tensor.name)
        for graph in file.graphs
        for index, tensor in enumerate(graph.tensors)
        if tensor.type == schema.TensorType.INT16 and graph.is_constant(index)
        if any(scale == 0 for scale in _scales(tensor))
    ]


def _scales(tensor: Any) -> Any:
    scales = tensor.quantization.scale
    return [] if scales is None else scales
