"""The operators of a file by the Keras layers that they were converted from."""

from collections.abc import Collection, Iterable, Iterator, Sequence
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
    """One that writes the tensors `outputs`, and the `layers` that it was converted from."""

    kind: str
    outputs: tuple[str, ...]
    layers: tuple[str, ...]
    is_float: bool

    def __str__(self) -> str:
        return f"{self.kind} of {self.layers[0] if self.layers else self.outputs[0]}"

    def fits(self, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, one) for name in self.layers for one in patterns)


def operators(file: File, layers: Sequence[str] = ()) -> Iterator[Operator]:
    """Each operator of every graph that writes anything; `layers` are those of the network."""
    for graph in file.graphs:
        for kind, record in graph.operators:
            inputs, outputs = integers(record.inputs), integers(record.outputs)
            made = tuple(graph.name_of(at) for at in outputs)
            names = [*made, *(graph.name_of(at) for at in graph.kernels(kind, inputs))]
            last = not {*graph.outputs}.isdisjoint(outputs)
            if made:
                yield Operator(kind, made, called(names, layers, last), graph.is_float(record))


def called(names: Iterable[str], layers: Sequence[str], last: bool) -> tuple[str, ...]:
    """Those of `layers`, in their order, that an operator became, by the names of its tensors.

    The converter names a tensor after all that became one operator, such as
    `net/stem_relu/Relu6;net/stem_conv/Conv2D`, and a network's last one after no layer: there the
    kernel has the name, or it is of the network's last layer. Layers may have a `/` in their names.
    """
    known = dict.fromkeys(layers)
    found = {_leading(path, known) for name in names for path in name.split(";")}
    return tuple(one for one in known if one in found) or ((layers[-1],) if last and layers else ())


def _leading(path: str, layers: Collection[str]) -> str | None:
    """The layer that a tensor's name begins with, behind the model's; what follows are operators,
    one of which may be called as a layer is. QAT calls layers `quant_` and what they were."""
    parts = path.split("/")[1:]
    spans = [(a, b) for a in range(len(parts)) for b in range(len(parts), a, -1)]
    names = ["/".join(parts[a:b]) for a, b in spans]
    both = (one for name in names for one in (name, name.removeprefix("quant_")))
    return next((one for one in both if one in layers), None)


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


def clipped_sums(file: File) -> list[str]:
    """Of an integer file, the sums that are written in the steps of what is added."""
    return [
        graph.name_of(integers(record.outputs)[0])
        for graph in file.graphs
        for kind, record in graph.operators
        if kind == "SUM" and not graph.is_float(record)
        if np.array_equal(
            *(_scales(graph.tensors[integers(end)[0]]) for end in (record.inputs, record.outputs))
        )
    ]


def _scales(tensor: Any) -> Any:
    scales = tensor.quantization.scale
    return [] if scales is None else scales
