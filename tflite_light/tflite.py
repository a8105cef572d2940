"""What is inside a `.tflite` file, read from its flatbuffer: nothing here runs it."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.errors import UserError

_TYPES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
_OPS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
_KERNEL_INPUT = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
_FLOATS = {"FLOAT16", "FLOAT32", "FLOAT64"}


@dataclass(frozen=True)
class File:
    """A parsed file."""

    content: bytes

    @cached_property
    def _model(self) -> Any:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(self.content, 0))

    @cached_property
    def operators(self) -> list[tuple[str, Any]]:
        """Name and record of each operator of the (only) graph, in order."""
        codes = [
            max(code.builtinCode, code.deprecatedBuiltinCode) for code in self._model.operatorCodes
        ]
        return [(_OPS[codes[op.opcodeIndex]], op) for op in self._model.subgraphs[0].operators]

    def float_operators(self) -> list[str]:
        """Names of the operators that read or write a floating-point tensor."""
        tensors = self._model.subgraphs[0].tensors
        return [
            name
            for name, op in self.operators
            if any(
                _TYPES[tensors[index].type] in _FLOATS
                for index in (*op.inputs, *op.outputs)
                if index >= 0
            )
        ]

    def kernels(self) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        """Name and values, less the zero point, of each weight that multiplies; no biases."""
        tensors = self._model.subgraphs[0].tensors
        for name, op in self.operators:
            if name in _KERNEL_INPUT:
                tensor = tensors[op.inputs[_KERNEL_INPUT[name]]]
                yield tensor.name.decode(), self._values(tensor)

    def zeros(self) -> float:
        """Share of all kernel weights that are exactly zero."""
        values = [kernel for _, kernel in self.kernels()]
        return sum(int((kernel == 0).sum()) for kernel in values) / sum(
            kernel.size for kernel in values
        )

    def deflated_bytes(self) -> int:
        """Size after deflate, as an app bundle or a download compresses it."""
        return len(zlib.compress(self.content, 9))

    def _values(self, tensor: Any) -> np.ndarray[Any, Any]:
        buffer = self._model.buffers[tensor.buffer].data
        kind = np.dtype(_TYPES[tensor.type].lower())
        values = np.frombuffer(bytes(buffer), kind).reshape(tensor.shape)
        points = tensor.quantization.zeroPoint if tensor.quantization else None
        if points is None or not np.any(points):
            return values
        shape = [1] * values.ndim
        shape[tensor.quantization.quantizedDimension if len(points) > 1 else 0] = len(points)
        shifted: np.ndarray[Any, Any] = values.astype(np.int32) - np.reshape(points, shape)
        return shifted


def read(path: Path) -> File:
    """Raises UserError when `path` is not a TFLite file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if content[4:8] != b"TFL3":
        raise UserError(
            f"{path} is not a TFLite file. Give a .tflite that `tflite-light export` wrote."
        )
    return File(content)
