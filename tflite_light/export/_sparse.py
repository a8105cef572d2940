"""Kernels stored without their zeros."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tflite_light.graph.convert import convert
from tflite_light.stack import tf

if TYPE_CHECKING:
    from tflite_light.tflite.editing import Editor

Sparse = Field(
    False,
    description="leave zeros out of kernels that are mostly zero: a smaller file, no faster",
)


def converted(converter_of: Callable[[], Any], sparse: bool) -> bytes:
    """What a fresh converter makes, with or without the zeros of kernels; the file as runtimes can
    run it, which the converter leaves otherwise in three cases.

    Dense kernels whose inputs are no multiple of a block's four lose those of the last block, and
    kernels of zeros alone have no values, by which no runtime takes them for constants: both are
    stored whole, as another conversion has them. Dense layers' of float16, stored in blocks, are
    made float32 without being made dense first: what does that reads beyond their end, and answers
    are NaN or anything.
    """
    if not sparse:
        return convert(converter_of())
    converter = converter_of()
    converter.optimizations = [
        *converter.optimizations,
        tf.lite.Optimize.EXPERIMENTAL_SPARSITY,
    ]
    return _mended(convert(converter), lambda: convert(converter_of()))


def _mended(content: bytes, plain: Callable[[], bytes]) -> bytes:
    from tflite_light.tflite.editing import Editor

    editor = Editor(content)
    readers = editor.readers()
    known = functools.cache(lambda: _values(editor, Editor(plain())))

    @functools.cache
    def whole(index: int) -> int:
        return editor.constant(known()[index], f"{editor.name(index)}/whole", like=index)

    for one in list(editor.operators):
        kind, stored = editor.kind(one), [int(index) for index in one.inputs]
        if kind == "DENSIFY" and _is_lost(editor, stored[0]):
            kernel, made = whole(stored[0]), int(one.outputs[0])
            for reader in readers[made]:
                reader.inputs = [kernel if index == made else index for index in reader.inputs]
            editor.operators.remove(one)
            continue
        one.inputs = [
            whole(index) if index >= 0 and _is_lost(editor, index) else index for index in stored
        ]
        if kind == "DEQUANTIZE" and editor.tensor(int(one.inputs[0])).sparsity:
            name = f"{editor.name(stored[0])}/dense"
            dense = editor.activation(editor.shape(stored[0]), name, like=stored[0])
            editor.insert(one, editor.operator("DENSIFY", stored, [dense]))
            one.inputs = [dense]
    return editor.write() if editor.changed else content


def _is_lost(editor: "Editor", index: int) -> bool:
    """Whether a sparse tensor lacks values: it has none, or a block of it is not full."""
    tensor = editor.tensor(index)
    if not tensor.sparsity:
        return False
    data, shape = editor.model.buffers[tensor.buffer].data, editor.shape(index)
    if data is None or not len(data):
        return True
    blocked = [] if tensor.sparsity.blockMap is None else tensor.sparsity.blockMap
    sides = [dimension.denseSize for dimension in tensor.sparsity.dimMetadata[len(shape) :]]
    return any(shape[axis] % side for axis, side in zip(blocked, sides, strict=True))


def _values(editor: "Editor", plain: "Editor") -> dict[int, Any]:
    """What constants of one file hold in another of the same layers."""
    found = {}
    for index, alike in zip(_stored(editor), _stored(plain), strict=True):
        found[index] = plain.values(alike) if alike >= 0 else None
    return found


def _stored(editor: "Editor") -> list[int]:
    """What layers read, one after the other, before it is made dense or float32."""
    from tflite_light.tflite.graph import UNPACKING

    producers, found = editor.producers(), []
    layers = (one for one in editor.operators if editor.kind(one) not in UNPACKING)
    for index in (int(index) for layer in layers for index in layer.inputs):
        while index in producers and editor.kind(producers[index]) in UNPACKING:
            index = int(producers[index].inputs[0])
        found.append(index)
    return found
