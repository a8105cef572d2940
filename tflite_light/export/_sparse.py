"""Kernels stored without their zeros."""

import functools
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tflite_light.stack import tf

if TYPE_CHECKING:
    from tflite_light.tflite.editing import Editor

Sparse = Field(
    False,
    description="leave zeros out of kernels that are mostly zero: a smaller file, no faster",
)


def mended(content: bytes) -> bytes:
    """The file as runtimes can run it, which the converter leaves otherwise in two cases.

    Kernels of zeros alone have no values, by which no runtime takes them for constants: they are
    stored whole. Dense layers' of float16, stored in blocks, are made float32 without being made
    dense first: what does that reads beyond their end, and answers are NaN or anything.
    """
    from tflite_light.tflite.editing import Editor

    editor = Editor(content)
    readers, whole = editor.readers(), functools.cache(functools.partial(_zeros, editor))
    for one in list(editor.operators):
        kind, stored = editor.kind(one), [int(index) for index in one.inputs]
        if kind == "DENSIFY" and _is_empty(editor, stored[0]):
            zeros, made = whole(stored[0]), int(one.outputs[0])
            for reader in readers[made]:
                reader.inputs = [zeros if index == made else index for index in reader.inputs]
            editor.operators.remove(one)
            continue
        one.inputs = [
            whole(index) if index >= 0 and _is_empty(editor, index) else index for index in stored
        ]
        if kind == "DEQUANTIZE" and editor.tensor(int(one.inputs[0])).sparsity:
            name = f"{editor.name(stored[0])}/dense"
            dense = editor.activation(editor.shape(stored[0]), name, like=stored[0])
            editor.insert(one, editor.operator("DENSIFY", stored, [dense]))
            one.inputs = [dense]
    return editor.write() if editor.changed else content


def _is_empty(editor: "Editor", index: int) -> bool:
    tensor = editor.tensor(index)
    data = editor.model.buffers[tensor.buffer].data
    return bool(tensor.sparsity) and (data is None or not len(data))


def _zeros(editor: "Editor", index: int) -> int:
    import numpy as np

    values = np.zeros(editor.shape(index), editor.dtype(index))
    return editor.constant(values, f"{editor.name(index)}/whole")


def optimizations(sparse: bool) -> list[Any]:
    return [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
