"""A `.tflite` file of one graph as objects that a rewrite changes, and written again."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Array = np.ndarray[Any, Any]
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_ALIGNMENT = 16  # bytes, of a buffer's values, as the converter has it
_OLD = 127  # the last operator whose number the schema's first versions can hold


class Editor:
    """Operators are in the order in which they run. A rewrite puts new ones where it wants them;
    what nothing reads any more is dropped when the file is written.
    """

    def __init__(self, content: bytes):
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
        self.graph = self.model.subgraphs[0]
        self.changed = False

    @property
    def operators(self) -> list[Any]:
        found: list[Any] = self.graph.operators
        return found

    def kind(self, operator: Any) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return str(_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def tensor(self, index: int) -> Any:
        return self.graph.tensors[index]

    def shape(self, index: int) -> tuple[int, ...]:
        sides = self.tensor(index).shape
        return () if sides is None else tuple(int(side) for side in sides)

    def dtype(self, index: int) -> Any:
        return _DTYPES.get(self.tensor(index).type)

    def values(self, index: int) -> Array | None:
        """A constant's; None of what is computed, and of sparse and packed ones."""
        tensor = self.tensor(index)
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.sparsity or not self.dtype(index):
            return None
        found: Array = np.asarray(data, np.uint8).view(self.dtype(index))
        return found.reshape(self.shape(index))

    def producers(self) -> dict[int, Any]:
        """Tensor -> the operator that writes it."""
        return {int(to): one for one in self.operators for to in one.outputs}

    def readers(self) -> dict[int, list[Any]]:
        """Tensor -> the operators that read it; the graph's own outputs have a reader None."""
        found: dict[int, list[Any]] = defaultdict(list)
        for one in self.operators:
            for index in one.inputs:
                found[int(index)].append(one)
        for index in self.graph.outputs:
            found[int(index)].append(None)
        return found

    def constant(self, values: Array, name: str, like: int | None = None) -> int:
        """A new one; with the quantisation of the tensor `like`, if given."""
        self.changed = True
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kinds = [kind for kind, dtype in _DTYPES.items() if dtype == values.dtype]
        return self._add(values.shape, name, kinds[0], like, len(self.model.buffers) - 1)

    def activation(self, shape: Iterable[int], name: str, like: int) -> int:
        """A new one, of the type and quantisation of the tensor `like`."""
        return self._add(shape, name, self.tensor(like).type, like, 0)

    def real(self, shape: Iterable[int], name: str) -> int:
        """A new float32 one."""
        return self._add(shape, name, schema.TensorType.FLOAT32, None, 0)

    def _add(
        self, shape: Iterable[int], name: str, kind: int, like: int | None, buffer: int
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.buffer = name, kind, buffer
        tensor.shape, tensor.hasRank = np.array(list(shape), np.int32), True
        tensor.quantization = None if like is None else self.tensor(like).quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        version: int = 1,
    ) -> Any:
        """A new one, which is in no place yet. `options` is a table of the schema."""
        one = schema.OperatorT()
        one.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind), version)
        one.inputs, one.outputs = list(inputs), list(outputs)
        one.builtinOptions = options
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            one.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        return one

    def version(self, operator: Any) -> int:
        return int(self.model.operatorCodes[operator.opcodeIndex].version)

    def set_version(self, operator: Any, version: int) -> None:
        self.changed = True
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        operator.opcodeIndex = self._code(number, version)

    def _code(self, number: int, version: int) -> int:
        codes = self.model.operatorCodes
        for place, code in enumerate(codes):
            found = max(code.builtinCode, code.deprecatedBuiltinCode)
            if (found, code.version) == (number, version):
                return place
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, _OLD)
        code.version = version
        codes.append(code)
        return len(codes) - 1

    def name(self, index: int) -> str:
        text = self.tensor(index).name
        return text.decode(errors="replace") if isinstance(text, bytes) else str(text or "")

    def weight(self, operator: Any, place: int) -> Array | None:
        """A kernel or bias that an operator reads, also where it is unpacked from float16 first."""
        if place >= len(operator.inputs) or operator.inputs[place] < 0:
            return None
        index = int(operator.inputs[place])
        unpacking = self.producers().get(index)
        if unpacking is not None and self.kind(unpacking) == "DEQUANTIZE":
            index = int(unpacking.inputs[0])
        return self.values(index)

    def scales(self, index: int) -> Array:
        """Of a tensor: one, or one a channel; none of floats."""
        found = self.tensor(index).quantization
        return np.array([] if found is None or found.scale is None else found.scale, np.float64)

    def set_scales(self, index: int, scales: Array, axis: int | None = None) -> None:
        """By channel, if there are several, along `axis`, or the one where they were."""
        old, new = self.tensor(index).quantization, schema.QuantizationParametersT()
        new.quantizedDimension = old.quantizedDimension if axis is None else axis
        new.scale, new.zeroPoint = scales.astype(np.float32), np.zeros(len(scales), np.int64)
        self.tensor(index).quantization = new

    def set_weight(
        self, operator: Any, place: int, values: Array, channels: Array | None = None
    ) -> None:
        """Gives an operator other values; `channels` are the old ones of whose scales they are."""
        index = int(operator.inputs[place])
        unpacking = self.producers().get(index)
        stored = index if unpacking is None else int(unpacking.inputs[0])
        new = self.constant(values, self.name(stored), like=stored)
        if channels is not None:
            self.tensor(new).quantization = _of_channels(self.tensor(stored).quantization, channels)
        if unpacking is not None:
            shown = self.real(values.shape, self.name(index))
            old = self.model.operatorCodes[unpacking.opcodeIndex]
            self.insert(operator, self.operator("DEQUANTIZE", [new], [shown], None, old.version))
            new = shown
        operator.inputs = [*operator.inputs[:place], new, *operator.inputs[place + 1 :]]

    def insert(self, before: Any, *operators: Any) -> None:
        self.changed = True
        place = next(at for at, one in enumerate(self.operators) if one is before)
        self.operators[place:place] = operators

    def up_to(self, index: int) -> tuple[bytes, int]:
        """A file that ends with a tensor, and its number there."""
        part = Editor(self.packed())
        part.graph.outputs = [index]
        part.model.signatureDefs = None
        content = part.write()
        return content, int(part.graph.outputs[0])

    def write(self) -> bytes:
        """The file, without what nothing reads. Numbers of tensors change, here, too."""
        self._drop_unread()
        self._drop_unused()
        return self.packed()

    def packed(self) -> bytes:
        for buffer in self.model.buffers:
            buffer.__class__ = _Aligned
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _drop_unread(self) -> None:
        read = {int(index) for index in self.graph.outputs}
        kept = []
        for one in reversed(self.operators):
            if read & {int(index) for index in one.outputs}:
                kept.append(one)
                read |= {int(index) for index in one.inputs}
        self.graph.operators = kept[::-1]

    def _drop_unused(self) -> None:
        """Tensors, buffers and operator codes that nothing refers to; the rest in its old order."""
        graph, model = self.graph, self.model
        used = {int(i) for one in graph.operators for i in (*one.inputs, *one.outputs) if i >= 0}
        used |= {int(index) for index in (*graph.inputs, *graph.outputs)}
        places = _places(used) | {-1: -1}
        for one in (graph, *graph.operators):
            one.inputs = [places[int(index)] for index in one.inputs]
            one.outputs = [places[int(index)] for index in one.outputs]
        for signature in model.signatureDefs or []:
            for end in (*signature.inputs, *signature.outputs):
                end.tensorIndex = places[end.tensorIndex]
        graph.tensors = [graph.tensors[index] for index in sorted(used)]
        every = model.subgraphs  # the bodies of loops, too
        holders = [*(tensor for one in every for tensor in one.tensors), *(model.metadata or [])]
        held = {0, *(one.buffer for one in holders)}
        buffers = _places(held)
        for one in holders:
            one.buffer = buffers[one.buffer]
        model.buffers = [model.buffers[index] for index in sorted(held)]
        operators = [operator for one in every for operator in one.operators or []]
        codes = _places({one.opcodeIndex for one in operators})
        model.operatorCodes = [model.operatorCodes[index] for index in codes]
        for one in operators:
            one.opcodeIndex = codes[one.opcodeIndex]


class _Aligned(schema.BufferT):  # type: ignore[misc]
    """The generated class writes values wherever they fall, which slows kernels on some phones."""

    def Pack(self, builder: Any) -> int:
        data = None if self.data is None else np.asarray(self.data, np.uint8).tobytes()
        place = 0
        if data:
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            place = builder.EndVector()
        schema.BufferStart(builder)
        if data:
            schema.BufferAddData(builder, place)
        return int(schema.BufferEnd(builder))


def _of_channels(old: Any, channels: Array) -> Any:
    if old is None or old.scale is None or len(old.scale) < 2:
        return old
    new = schema.QuantizationParametersT()
    new.quantizedDimension = old.quantizedDimension
    new.scale = np.asarray(old.scale)[channels]
    new.zeroPoint = np.asarray(old.zeroPoint)[channels]
    return new


def _places(kept: Iterable[int]) -> dict[int, int]:
    """Old number -> new one."""
    return {old: new for new, old in enumerate(sorted(kept))}
