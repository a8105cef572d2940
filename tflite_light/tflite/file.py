"""What is inside a `.tflite` file, read from its flatbuffer: nothing here runs it."""

import math
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
_KERNEL_SIDES = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2}
_WITH_NUMPY = {"bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))}
_WITH_NUMPY |= {"float16", "float32", "float64"}
_FLOATS = {"FLOAT16", "FLOAT32", "FLOAT64"}


@dataclass(frozen=True)
class File:
    """A parsed file."""

    content: bytes

    @cached_property
    def _model(self) -> Any:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(self.content, 0))

    @property
    def tensors(self) -> list[Any]:
        """Records of the (only) graph's tensors."""
        tensors: list[Any] = self._model.subgraphs[0].tensors
        return tensors

    @cached_property
    def operators(self) -> list[tuple[str, Any]]:
        """Name and record of each operator of the (only) graph, in order."""
        names = [_name(code) for code in self._model.operatorCodes]
        return [(names[op.opcodeIndex], op) for op in self._model.subgraphs[0].operators]

    @cached_property
    def codes(self) -> list[tuple[str, int]]:
        """Name and version of each operator: a feature that came later raises the version."""
        codes = self._model.operatorCodes
        return [(name, codes[op.opcodeIndex].version) for name, op in self.operators]

    def type_of(self, index: int) -> str:
        """Type of a tensor's elements, such as `int8`."""
        return str(_TYPES[self.tensors[index].type]).lower()

    def shape_of(self, index: int) -> tuple[int, ...]:
        return tuple(integers(self.tensors[index].shape))

    def name_of(self, index: int) -> str:
        return (self.tensors[index].name or b"").decode(errors="replace")

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values are in the file."""
        data = self._model.buffers[self.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def zeros_and_values(self, index: int) -> tuple[int, int] | None:
        """How many values of a constant are zero, and how many different ones it stores.

        What a sparse tensor leaves out is zero. None for types that NumPy does not have.
        """
        tensor, kind = self.tensors[index], self.type_of(index)
        if kind not in _WITH_NUMPY:
            return None  # int4 and the like
        stored = np.frombuffer(bytes(self._model.buffers[tensor.buffer].data), kind)
        points = tensor.quantization.zeroPoint if tensor.quantization else None
        zero = points[0] if points is not None and len(points) == 1 else 0  # by channel it is 0
        zeros = math.prod(self.shape_of(index)) - int(np.count_nonzero(stored != zero))
        different = np.unique(stored)
        return zeros, different.size + bool(zeros and zero not in different)

    def float_operators(self) -> list[str]:
        """Names of the operators that read or write a floating-point tensor."""
        return [
            name
            for name, op in self.operators
            if any(
                _TYPES[self.tensors[index].type] in _FLOATS
                for index in (*op.inputs, *op.outputs)
                if index >= 0
            )
        ]

    def kernels(self) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        """Name and values, less the zero point, of each weight that multiplies; no biases."""
        for name, op in self.operators:
            if name in _KERNEL_INPUT:
                tensor = self.tensors[op.inputs[_KERNEL_INPUT[name]]]
                yield tensor.name.decode(), self._values(tensor)

    def zeros(self) -> float:
        """Share of all kernel weights that are exactly zero."""
        values = [kernel for _, kernel in self.kernels()]
        zeros = sum(int((kernel == 0).sum()) for kernel in values)
        return zeros / (sum(kernel.size for kernel in values) or 1)

    def check(self) -> None:
        """Raises ValueError, or what the flatbuffer's reader raises, where parts do not fit."""
        if not self.operators:
            raise ValueError("no operators")
        for index in range(len(self.tensors)):
            self._check_tensor(index)
        for name, op in self.operators:
            inputs, outputs = integers(op.inputs), integers(op.outputs)
            if not outputs or not all(-1 <= i < len(self.tensors) for i in (*inputs, *outputs)):
                raise ValueError(f"{name} uses a tensor that is not there")
            sides = len(self.shape_of(inputs[1])) if name in _KERNEL_SIDES else None
            if sides != _KERNEL_SIDES.get(name):
                raise ValueError(f"{name} has a kernel with {sides} sides")

    def _check_tensor(self, index: int) -> None:
        tensor, kind, shape = self.tensors[index], self.type_of(index), self.shape_of(index)
        if min(shape, default=0) < 0:
            raise ValueError(f"{self.name_of(index)} has a negative side")
        if self.is_constant(index) and kind in _WITH_NUMPY and not tensor.sparsity:
            stored = len(self._model.buffers[tensor.buffer].data)
            if stored != math.prod(shape) * np.dtype(kind).itemsize:
                raise ValueError(f"{self.name_of(index)} is not as large as its shape")

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
    """Raises UserError when `path` is not a TFLite file, or a damaged one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if content[4:8] != b"TFL3":
        raise UserError(
            f"{path} is not a TFLite file. Give a .tflite that `tflite-light export` wrote."
        )
    file = File(content)
    try:
        file.check()
    except Exception as error:  # flatbuffers' reader trusts its input: damage raises anything
        raise UserError(
            f"{path} is damaged or was cut off. Copy it again, or export it anew."
        ) from error
    return file


def integers(numbers: Any) -> list[int]:
    """A record's shape, or its tensors' indices, of which -1 is an input that is left out."""
    return [] if numbers is None else [int(number) for number in numbers]


def _name(code: Any) -> str:
    """An operator's name; custom ones bring their own, newer ones than the schema have a number."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return str(code.customCode.decode())
    return str(_OPS.get(number, f"BUILTIN_{number}"))
