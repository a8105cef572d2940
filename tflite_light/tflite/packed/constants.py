"""Where a `.tflite` file keeps the values of its tensors."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Array
from tflite_light.tflite.packed.head import MOST_TENSORS, MOST_WORDS, SMALLEST_BYTES
from tflite_light.tflite.packed.planes import Shape
from tflite_light.tflite.packed.words import BYTE, FLOAT, FORMS, HALF, INTEGER

_MOST = 0xFFFF  # of a kernel's height or width
_FORMS = {
    **dict.fromkeys(("float32", "float64"), FLOAT),
    **dict.fromkeys(("float16", "bfloat16"), HALF),
    **dict.fromkeys(("int32", "uint32", "int64", "uint64"), INTEGER),
}  # others are taken byte by byte


@dataclass(frozen=True)
class Constant:
    """Bytes of a file: as many words of a form as `shape` has places."""

    start: int
    shape: Shape
    form: int  # in FORMS

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def end(self) -> int:
        return self.start + self.count * FORMS[self.form].itemsize

    def words(self, content: bytes) -> Array:
        return np.frombuffer(content, FORMS[self.form], self.count, self.start)


def constants(file: File) -> list[Constant]:
    """In order and without overlaps, whatever tensors share; no more than a reader takes."""
    found = list[Constant]()
    for one in sorted(_all(file), key=lambda one: (one.start, -one.end)):
        if not found or one.start >= found[-1].end:
            found.append(one)
    return found[:MOST_TENSORS]


def _all(file: File) -> Iterator[Constant]:
    whole = _address(np.frombuffer(file.content, np.uint8))
    for graph in file.graphs:
        for index in range(len(graph.tensors)):
            data = graph.stored_bytes(index)
            if SMALLEST_BYTES <= len(data) <= MOST_WORDS:
                form = _FORMS.get(graph.type_of(index), BYTE)
                form = BYTE if len(data) % FORMS[form].itemsize else form
                shape = _kernel(graph.shape_of(index), len(data) // FORMS[form].itemsize)
                yield Constant(_address(data) - whole, shape, form)


def _kernel(shape: tuple[int, ...], count: int) -> Shape:
    """That of a convolution's kernel; of what is none, sparse or less than a byte, a row."""
    if len(shape) == 4 and prod(shape) == count and max(shape[1:3]) <= _MOST:
        outer, height, width, inner = shape
        return outer, height, width, inner
    return 1, 1, 1, count


def _address(data: Array) -> int:
    return int(np.lib.array_utils.byte_bounds(data)[0])
