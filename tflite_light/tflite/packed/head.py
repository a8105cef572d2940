"""The compressed head of a packed file: what its tensors are, and all that is no tensor."""

import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from struct import Struct

import numpy as np

from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.packed.planes import Shape
from tflite_light.tflite.packed.tensors import KERNELS, WINDOW
from tflite_light.tflite.packed.words import BYTE, FLOAT, FORMS, INTEGER

_COUNTS = Struct("<II")  # tensors, bytes of tables
_TENSOR = Struct("<QIHHIBBHB")  # the fields of `Tensor` in their order
_EXTREME = 9 | lzma.PRESET_EXTREME  # up to 1 % less, but up to 2 % more where tensors are in it
_QUICK = 1 << 19  # bytes, up to which it is tried
_MEMORY = 4 << 20  # that a reader's xz may take
SMALLEST_BYTES = 16  # of a tensor; below it a record costs more than it saves
MOST_WORDS = 1 << 24  # of a tensor; a reader takes up to 30 bytes for each, at once
MOST_TENSORS = 1 << 16


@dataclass(frozen=True, slots=True)
class Tensor:
    """A record: `gap` bytes behind the last one's, words of a form in a shape.

    Without a model it shares frequencies with all others that have none.
    """

    gap: int
    shape: Shape
    form: int
    model: int
    entries: int  # of its codebook; 0 where it has none
    zero: int

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.count * FORMS[self.form].itemsize

    def check(self) -> None:
        if self.form >= len(FORMS) or self.model > KERNELS or self.entries > 256:
            raise Damage("a tensor's record is out of range")
        if self.size_bytes < SMALLEST_BYTES or self.entries > self.count:
            raise Damage("a tensor is smaller than its record")
        if self.count > MOST_WORDS:
            raise Damage("a tensor is too large")
        if self.model == KERNELS and not (self.entries or self.form == BYTE):
            raise Damage("a tensor of several planes has a model for one")
        if not self.model and (self.form not in (FLOAT, INTEGER) or self.entries):
            raise Damage("a tensor without a model has no words of 4 bytes")


@dataclass(frozen=True)
class Head:
    tensors: Sequence[Tensor]
    tables: Array  # uint8
    rest: bytes  # the file without its tensors

    def size_bytes(self) -> int:
        """Of the file."""
        return sum(one.size_bytes for one in self.tensors) + len(self.rest)

    def joined(self, words: Sequence[Array]) -> bytes:
        """The file, of the words of its tensors and its rest."""
        parts, at = list[bytes](), 0
        for one, values in zip(self.tensors, words, strict=True):
            parts += [self.rest[at : at + one.gap], values.tobytes()]
            at += one.gap
        return b"".join([*parts, self.rest[at:]])

    def compressed(self) -> tuple[int, bytes]:
        """Size before and the bytes of an xz stream."""
        rows = [
            _TENSOR.pack(one.gap, *one.shape, one.form, one.model, one.entries, one.zero)
            for one in self.tensors
        ]
        counts = _COUNTS.pack(len(rows), len(self.tables))
        content = b"".join([counts, *rows, self.tables.tobytes(), self.rest])
        presets = (9, _EXTREME) if len(content) <= _QUICK else (9,)
        return len(content), min((_compressed(content, one) for one in presets), key=len)

    @classmethod
    def of(cls, compressed: bytes, size: int, file_size: int) -> "Head":
        """Raises Damage where it is not whole, or its tensors are no part of the file."""
        content = _expanded(compressed, size)
        if len(content) < _COUNTS.size:
            raise Damage("its head is empty")
        count, tables = _COUNTS.unpack_from(content)
        first = _COUNTS.size + count * _TENSOR.size
        if first + tables > len(content):
            raise Damage("its head ends early")
        if count > min(file_size // SMALLEST_BYTES, MOST_TENSORS):
            raise Damage("it has more tensors than fit the file")
        rows = [_tensor(row) for row in _TENSOR.iter_unpack(content[_COUNTS.size : first])]
        levels = np.frombuffer(content, np.uint8, tables, first)
        rest = content[first + tables :]
        if sum(one.gap for one in rows) > len(rest):
            raise Damage("its tensors lie behind the file's end")
        return cls(rows, levels, rest)


def _tensor(row: tuple[int, ...]) -> Tensor:
    gap, outer, height, wide, inner, form, model, entries, zero = row
    tensor = Tensor(gap, (outer, height, wide, inner), form, model, entries, zero)
    tensor.check()
    return tensor


def _compressed(content: bytes, preset: int) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": WINDOW}]
    return lzma.compress(content, lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=filters)


def _expanded(compressed: bytes, size: int) -> bytes:
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
        content = reader.decompress(compressed, size + 1)
    except lzma.LZMAError as error:
        raise Damage(f"its head cannot be read: {error}") from None
    if len(content) != size or not reader.eof or reader.unused_data:
        raise Damage("its head is of another size")
    return content
