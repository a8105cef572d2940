"""Which network a file holds, however its bytes are arranged.

tflite-support's writers, and others, unpack a model and pack it anew: same tensors, same operators,
other places. The digest is of all that decides what the network computes; names, metadata and
signatures are not looked at.
"""

import hashlib
import json
from typing import Any

from tflite_light.tflite.file import File
from tflite_light.tflite.graph import Graph
from tflite_light.tflite.storage import integers


def network(content: bytes) -> str:
    """The sha256 of a file's network. Raises Damage where parts do not fit."""
    graphs = [_graph(graph) for graph in File(content).graphs]
    return hashlib.sha256(json.dumps(graphs).encode()).hexdigest()


def _graph(graph: Graph) -> Any:
    return [
        [_tensor(graph, index) for index in range(len(graph.tensors))],
        [_operator(graph, number) for number in range(len(graph.operators))],
        integers(graph.record.inputs),
        integers(graph.record.outputs),
    ]


def _tensor(graph: Graph, index: int) -> Any:
    tensor = graph.tensors[index]
    scaled = tensor.quantization
    return [
        [graph.type_of(index), *graph.shape_of(index)],
        integers(tensor.shapeSignature),
        hashlib.sha256(graph.stored_bytes(index).tobytes()).hexdigest(),
        [tensor.isVariable, tensor.externalBuffer],
        [float(scale) for scale in _values(scaled and scaled.scale)],
        [*integers(scaled and scaled.zeroPoint), scaled.quantizedDimension] if scaled else [],
        repr(tensor.sparsity),
    ]


def _operator(graph: Graph, number: int) -> Any:
    """Name, version, ends and options."""
    record = graph.operators[number][1]
    kind, options = record.options
    return [
        *graph.codes[number],
        integers(record.inputs),
        integers(record.outputs),
        [kind, repr(options), repr(record.moreOptions), integers(record.customOptions)],
    ]


def _values(numbers: Any) -> Any:
    return [] if numbers is None else numbers
