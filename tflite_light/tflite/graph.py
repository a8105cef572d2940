"""One graph of a `.tflite` file: its operators, its tensors and the values stored for them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.storage import (
    FLOATS,
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
RANKS = {  # of their kernels
    "CONV_2D": 4,
    "DEPTHWISE_CONV_2D": 4,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 4,
    "CONV_3D": 5,
    "CONV_3D_TRANSPOSE": 5,
}
_HIGHEST_RANK = 64  # numpy's limit; TFLite's operators take 8 at most
_MOST_ELEMENTS = 2**56  # more than any memory has


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

    @property
    def distinct_by_channel(self) -> int:
        """The most that one output channel has; those are a kernel's first axis, as a rule."""
        return int(self._distinct().max(initial=1))

    def not_zero(self, whole: bool) -> int:
        """How many different values it has, or an output channel of it at most, besides 0."""
        if whole:
            return self.distinct - bool(self.zeros)
        zero = (self.values.reshape(len(self.values), -1) == 0).any(axis=1)
        return int((self._distinct() - zero).max(initial=0))

    def kept(self, outputs: int, inputs: int) -> Array:
        """How many weights are not 0 in each group of so many output and input channels, the last
        ones perhaps of fewer."""
        made, *sides, read = self.values.shape
        margins = [(0, -made % outputs), *((0, 0) for _ in sides), (0, -read % inputs)]
        whole = np.pad(self.values != 0, margins)
        split = (len(whole) // outputs, outputs, -1, whole.shape[-1] // inputs, inputs)
        found: Array = whole.reshape(split).sum(axis=(1, 4))
        return found

    def _distinct(self) -> Array:
        """Of each output channel."""
        channels = np.sort(self.values.reshape(len(self.values), -1), axis=1)
        found: Array = 1 + (np.diff(channels, axis=1) != 0).sum(axis=1)
        return found


@dataclass(frozen=True)
class Graph:
    """Tensors are known by their number in it; -1 among an operator's tensors is one left out."""

    content: bytes
    model: Any
    number: int

    @property
    def record(self) -> Any:
        return self.model.subgraphs[self.number]

    @cached_property
    def operators(self) -> list[tuple[str, Any]]:
        """Name and record of each operator, in order."""
        codes = self.model.operatorCodes
        return [(name_of_code(codes[op.opcodeIndex]), op) for op in self.record.operators]

    @cached_property
    def codes(self) -> list[tuple[str, int]]:
        """Name and version of each operator: a feature that came later raises the version."""
        codes = self.model.operatorCodes
        return [(name, codes[op.opcodeIndex].version) for name, op in self.operators]

    @property
    def name(self) -> str:
        """That of its signature where it has one, since apps call it by that."""
        signatures = self.model.signatureDefs
        keys = [one.signatureKey for one in signatures if one.subgraphIndex == self.number]
        return " ".join(keys) or self.record.name or f"graph {self.number}"

    @property
    def tensors(self) -> list[Any]:
        found: list[Any] = self.record.tensors
        return found

    @property
    def inputs(self) -> list[int]:
        return [index for index in integers(self.record.inputs) if index >= 0]

    @property
    def outputs(self) -> list[int]:
        return [index for index in integers(self.record.outputs) if index >= 0]

    def type_of(self, index: int) -> str:
        """Type of a tensor's elements, such as `int8`."""
        return type_name(self.tensors[index].type)

    def shape_of(self, index: int) -> tuple[int, ...]:
        return tuple(integers(self.tensors[index].shape))

    def sides_of(self, index: int) -> tuple[int, ...]:
        """Its shape with -1 for each side that is open until the file runs.

        (-1,) where the rank is open too.
        """
        shape, signature = self.shape_of(index), integers(self.tensors[index].shapeSignature)
        if self.is_constant(index):
            return shape
        if not signature:
            scalar = self.tensors[index].hasRank or not self._ranks_are_given
            return shape if shape or scalar else (-1,)
        if len(signature) != len(shape):
            return (-1,)
        pairs = zip(shape, signature, strict=True)
        return tuple(-1 if least < 0 else side for side, least in pairs)

    @cached_property
    def _ranks_are_given(self) -> bool:
        """Whether the writer distinguishes scalars from tensors of any rank; old ones do not."""
        return any(tensor.hasRank for tensor in self.tensors)

    def name_of(self, index: int) -> str:
        return str(self.tensors[index].name)

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values are stored, in this file or in one beside it."""
        return self.tensors[index].externalBuffer > 0 or self._is_stored(index)

    def _is_stored(self, index: int) -> bool:
        """Whether its values are in this file; a sparse one of zeros alone has no bytes there."""
        return len(self.stored_bytes(index)) > 0 or self.tensors[index].sparsity is not None

    def place_of(self, index: int) -> tuple[int, int]:
        """What is equal for tensors, of other graphs too, that share their stored values.

        Sparse ones of zeros alone share an empty buffer, but no values.
        """
        if not self.tensors[index].externalBuffer and not len(self.stored_bytes(index)):
            return -1 - self.number, index
        return self.tensors[index].buffer, self.tensors[index].externalBuffer

    def values(self, index: int) -> Array | None:
        """A constant as it is multiplied, see `Weight`.

        None for types without numbers and for values in another file. Raises Damage where bytes
        and shape do not fit.
        """
        tensor, data = self.tensors[index], self.stored_bytes(index)
        if not self._is_stored(index) or not is_readable(self.type_of(index)):
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

    def grouped(self) -> set[int]:
        """Kernels of grouped convolutions: they have fewer channels than they are given."""
        pairs = [(op, integers(record.inputs)) for op, record in self.operators]
        return {
            kernel
            for op, inputs in pairs
            if op == "CONV_2D"
            for kernel in self.kernels(op, inputs)
            if self.shape_of(kernel)[-1:] != self.shape_of(inputs[0])[-1:]
        }

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
        return [op for op, record in self.operators if self.is_float(record)]

    def is_float(self, record: Any) -> bool:
        """Whether an operator reads or writes a floating-point tensor."""
        ends = (*integers(record.inputs), *integers(record.outputs))
        return any(self.type_of(index) in FLOATS for index in ends if index >= 0)

    def check(self) -> None:
        """Raises Damage where parts do not fit, so that all that is asked later has an answer."""
        for index in range(len(self.tensors)):
            self._check_tensor(index)
        self._check_places("the graph", (*self.inputs, *self.outputs), self.tensors)
        codes = [record.opcodeIndex for record in self.record.operators]
        self._check_places("an operator", codes, self.model.operatorCodes)
        for op, record in self.operators:
            inputs, outputs = integers(record.inputs), integers(record.outputs)
            self._check_places(op, (*inputs, *outputs), self.tensors)
            self._check_operator(op, inputs, outputs)

    def _check_tensor(self, index: int) -> None:
        self._check_places("a tensor", [self.tensors[index].buffer], self.model.buffers)
        name, shape = self.name_of(index), self.shape_of(index)
        if len(shape) > _HIGHEST_RANK or prod(side or 1 for side in shape) > _MOST_ELEMENTS:
            raise Damage(f"{name} has more elements than memory")
        if min(shape, default=0) < 0:
            raise Damage(f"{name} has a negative side")
        self.values(index)

    def _check_operator(self, op: str, inputs: list[int], outputs: list[int]) -> None:
        if op in UNPACKING and (min(inputs, default=-1) < 0 or min(outputs, default=-1) < 0):
            raise Damage(f"{op} has no input or no output")
        if op in RANKS:
            if len(inputs) < 2 or min(inputs[:2]) < 0 or min(outputs, default=-1) < 0:
                raise Damage(f"{op} has no kernel or no output")
            kernel = self.shape_of(inputs[1])
            if kernel and (len(kernel) != RANKS[op] or not prod(kernel)):
                raise Damage(f"{op} has a kernel of shape {list(kernel)}")

    def _check_places(self, user: str, places: Iterable[int], of: list[Any]) -> None:
        """-1 is a tensor that is left out."""
        if not all(-1 <= place < len(of) for place in places):
            raise Damage(f"{user} uses a part that is not there")

    def _storage(self, index: int) -> str:
        return f"{'sparse ' if self.tensors[index].sparsity else ''}{self.type_of(index)}"

    def stored_bytes(self, index: int) -> Array:
        """A tensor's bytes; those of large files lie behind the flatbuffer."""
        buffer = self.model.buffers[self.tensors[index].buffer]
        if buffer.data is not None and len(buffer.data):
            data: Array = buffer.data
            return data
        if buffer.offset <= 1 or not buffer.size:  # 1: a writer that did not know the place yet
            return np.empty(0, np.uint8)
        if buffer.offset + buffer.size > len(self.content):
            raise Damage(f"the values of {self.name_of(index)} lie behind the file's end")
        return np.frombuffer(self.content, np.uint8, buffer.size, buffer.offset)


def name_of_code(code: Any) -> str:
    """An operator's name; custom ones bring their own, newer ones than the schema have a number."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return code.customCode or "CUSTOM"
    return str(_OPS.get(number, f"BUILTIN_{number}"))


def is_known(op: str) -> bool:
    """Whether an operator is one of TFLite's own, as of the schema here."""
    return op in _OPS.values()
