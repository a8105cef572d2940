"""New operators that move values, with the versions that their types need."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.editing import Array, Editor


def reshape(editor: Editor, source: int, shape: Sequence[int], name: str) -> tuple[Any, int]:
    """The operator that sees a tensor as of another shape, and what it writes."""
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    sides = editor.constant(np.array(shape, np.int32), f"{name}/shape")
    made = editor.activation(shape, name, source)
    return editor.operator("RESHAPE", [source, sides], [made], options), made


def split(editor: Editor, source: int, parts: Sequence[int]) -> Any:
    """Equal parts of the channels."""
    axis = editor.constant(np.array(3, np.int32), f"{editor.name(parts[0])}/axis")
    options = schema.SplitOptionsT()
    options.numSplits = len(parts)
    return editor.operator("SPLIT", [axis, source], parts, options, _version(editor, source))


def slice_(editor: Editor, source: int, start: int, part: int) -> Any:
    """Channels from `start` on, as many as `part` has."""
    ends = {"begin": [0, 0, 0, start], "size": editor.shape(part)}
    constants = [
        editor.constant(np.array(numbers, np.int32), f"{editor.name(part)}/{what}")
        for what, numbers in ends.items()
    ]
    options, version = schema.SliceOptionsT(), _version(editor, source)
    return editor.operator("SLICE", [source, *constants], [part], options, version)


def concatenation(editor: Editor, parts: Sequence[int], whole: int) -> Any:
    """Of channels."""
    options = schema.ConcatenationOptionsT()
    options.axis = 3
    return editor.operator("CONCATENATION", parts, [whole], options, _version(editor, whole))


def joined(editor: Editor, parts: Sequence[int], name: str, before: Any) -> int:
    """The tensor of channels side by side, made just before an operator."""
    *sides, _ = editor.shape(parts[0])
    width = sum(editor.shape(part)[3] for part in parts)
    whole = editor.activation((*sides, width), name, parts[0])
    editor.insert(before, concatenation(editor, parts, whole))
    return whole


def pad(editor: Editor, source: int, amounts: Array, whole: int) -> Any:
    """Zeros; `amounts` are [axes, 2]."""
    constant = editor.constant(amounts.astype(np.int32), f"{editor.name(whole)}/paddings")
    options, version = schema.PadOptionsT(), _version(editor, source)
    return editor.operator("PAD", [source, constant], [whole], options, version)


def _version(editor: Editor, index: int) -> int:
    """Of operators that move values: the first one has no int8 and no int16."""
    return {np.int8: 2, np.int16: 3}.get(editor.dtype(index), 1)
