"""One graph of a `.tflite` file: its operators, its tensors and the values stored for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.storage import (
    FLOATS,
    Array,
    Damage,
    count_distinct,
    count_zeros,
    decode,
    integers,
    is_readable,
    less_zero_point,
    type_name,
)

_OPS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
UNPACKING = ("DEQUANTIZE", "DENSIFY")  # of constants: done once, when the file is loaded
KERNEL_INPUTS = {  # where an operator's weights are among its inputs
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "FULLY_CONNECTED": (1,),
    "TRANSPOSE_CONV": (1,),
    "CONV_3D": (1,),
    "CONV_3D_TRANSPOSE": (1,),
    "BATCH_MATMUL": (0, 1),
    "SVDF": (1, 2),
    "RNN": (1, 2),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
    "LSTM": (*range(1, 9), 16),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), 16),
}
_RANKS = {
    "CONV_2D": 4,
    "DEPTHWISE_CONV_2D": 4,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 4,
    "CONV_3D": 5,
    "CONV_3D_TRANSPOSE": 5,
}


@dataclass(frozen=True)
class Weight:
    """A constant that an operator multiplies its input by; biases are none.

    `values` are those that are multiplied, of the tensor's shape: floats, or integers less their
    zero point, whose scale is left out since it makes neither zeros nor equal values.
    """

    name: str
    operator: str
    values: Array
    storage: str  # type in the file, such as `float16`, `int4` or `sparse float32`

    @property
    def zeros(self) -> int:
        return count_zeros(self.values)

    @property
    def distinct(self) -> int:
        """How many different values it has, 0 among them."""
        return count_distinct(self.values)


@dataclass(frozen=True)
class Graph:
    """Tensors are told by their number in it; -1 among an operator's inputs is one left out."""

    content: bytes
    model: Any
    record: Any

    @cached_property
    def operators(self) -> list[tuple[str, Any]]:
        """Name and record of each operator, in order."""
        codes = self.model.operatorCodes
        return [(name_of_code(codes[op.opcodeIndex]), op) for op in self.record.operators or []]

    @property
    def name(self) -> str:
        """That of its signature where it has one, since apps call it by that."""
        number = next(i for i, one in enumerate(self.model.subgraphs) if one is self.record)
        found = [one for one in self.model.signatureDefs or [] if one.subgraphIndex == number]
        names = [_text(one.signatureKey) for one in found] or [_text(self.record.name)]
        return " ".join(names) or f"graph {number}"

    @property
    def tensors(self) -> list[Any]:
        return self.record.tensors or []

    def type_of(self, index: int) -> str:
        """Type of a tensor's elements, such as `int8`."""
        return type_name(self.tensors[index].type)

    def shape_of(self, index: int) -> tuple[int, ...]:
        return tuple(integers(self.tensors[index].shape))

    def name_of(self, index: int) -> str:
        return _text(self.tensors[index].name)

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values are stored, in this file or in one beside it."""
        return self.tensors[index].externalBuffer > 0 or len(self._bytes(index)) > 0

    def values(self, index: int) -> Array | None:
        """A constant as it is multiplied, see `Weight`.

        None for types without numbers and for values in another file. Raises Damage where bytes
        and shape do not fit.
        """
        tensor, data = self.tensors[index], self._bytes(index)
        if not len(data) or not is_readable(self.type_of(index)):
            return None
        stored = decode(data, self.type_of(index), self.shape_of(index), tensor.sparsity)
        return less_zero_point(stored, tensor.quantization)

    def weights(self) -> Iterator[tuple[int, Weight]]:
        """Each weight that multiplies, with the number of its tensor."""
        for op, record in self.operators:
            for index in self.kernels(op, integers(record.inputs)):
                values = self.values(index)
                if values is not None:
                    yield index, Weight(self.name_of(index), op, values, self._storage(index))

    def kernels(self, op: str, inputs: list[int]) -> list[int]:
        """The tensors with an operator's weights, in the form they are stored in."""
        places = [at for at in KERNEL_INPUTS.get(op, ()) if at < len(inputs) and inputs[at] >= 0]
        kernels = [self.stored(inputs[at]) for at in places]
        return [index for index in kernels if self.is_constant(index)]

    def stored(self, index: int) -> int:
        """The constant that a tensor is unpacked from, else the tensor itself."""
        seen: set[int] = set()
        while index in self._packed and index not in seen:
            seen.add(index)
            index = self._packed[index]
        return index

    @cached_property
    def _packed(self) -> dict[int, int]:
        """What operators unpack -> the constant, or an earlier step of unpacking it."""
        found: dict[int, int] = {}
        for op, record in self.operators:
            inputs, outputs = integers(record.inputs), integers(record.outputs)
            if op in UNPACKING and (inputs[0] in found or self.is_constant(inputs[0])):
                found[outputs[0]] = inputs[0]
        return found

    def float_operators(self) -> list[str]:
        """Names of the operators that read or write a floating-point tensor."""
        return [
            op
            for op, record in self.operators
            if any(
                self.type_of(index) in FLOATS
                for index in (*integers(record.inputs), *integers(record.outputs))
                if index >= 0
            )
        ]

    def check(self) -> None:
        """Raises Damage, or what the flatbuffer's reader raises, where parts do not fit."""
        for index in range(len(self.tensors)):
            if min(self.shape_of(index), default=0) < 0:
                raise Damage(f"{self.name_of(index)} has a negative side")
            self.values(index)
        ends = (*integers(self.record.inputs), *integers(self.record.outputs))
        self._check_tensors("the graph", ends, least=0)
        for op, record in self.operators:
            self._check_operator(op, integers(record.inputs), integers(record.outputs))

    def _check_operator(self, op: str, inputs: list[int], outputs: list[int]) -> None:
        self._check_tensors(op, inputs, least=-1)
        self._check_tensors(op, outputs, least=0)
        if op in UNPACKING and not (inputs and inputs[0] >= 0 and outputs):
            raise Damage(f"{op} has no input or no output")
        if op in _RANKS:
            if len(inputs) < 2 or min(inputs[:2]) < 0 or not outputs:
                raise Damage(f"{op} has no kernel or no output")
            kernel = self.shape_of(inputs[1])
            if kernel and (len(kernel) != _RANKS[op] or not prod(kernel)):
                raise Damage(f"{op} has a kernel of shape {list(kernel)}")

    def _check_tensors(self, user: str, indices: "list[int] | tuple[int, ...]", least: int) -> None:
        if not all(least <= index < len(self.tensors) for index in indices):
            raise Damage(f"{user} uses a tensor that is not there")

    def _storage(self, index: int) -> str:
        return f"{'sparse ' if self.tensors[index].sparsity else ''}{self.type_of(index)}"

    def _bytes(self, index: int) -> Array:
        """A tensor's bytes; those of large files lie behind the flatbuffer."""
        buffer = self.model.buffers[self.tensors[index].buffer]
        if buffer.data is not None and len(buffer.data):
            return np.asarray(buffer.data, np.uint8)
        if buffer.offset <= 1:  # 1 is what writers put there until they know the place
            return np.empty(0, np.uint8)
        if buffer.offset + buffer.size > len(self.content):
            raise Damage(f"the values of {self.name_of(index)} lie behind the file's end")
        return np.frombuffer(self.content, np.uint8, buffer.size, buffer.offset)


def name_of_code(code: Any) -> str:
    """An operator's name; custom ones bring their own, newer ones than the schema have a number."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return _text(code.customCode) or "CUSTOM"
    return str(_OPS.get(number, f"BUILTIN_{number}"))


def _text(name: bytes | str | None) -> str:
    return name if isinstance(name, str) else (name or b"").decode(errors="replace")
