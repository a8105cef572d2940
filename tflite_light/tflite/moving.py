"""Operators that only move values, and what each does to an array that stands for its input."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tflite_light.tflite.editing import Array, Editor


def moved(editor: Editor, operator: Any) -> list[int]:
    """What an operator reads that is not constant."""
    return [int(i) for i in operator.inputs if i >= 0 and editor.values(int(i)) is None]


def _reshaped(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array]:
    return [arrays[0].reshape(editor.shape(int(operator.outputs[0])))]


def _transposed(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array] | None:
    axes = editor.values(int(operator.inputs[1]))
    return None if axes is None else [arrays[0].transpose(axes)]


def _sliced(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array] | None:
    starts, sizes = (editor.values(int(i)) for i in operator.inputs[1:3])
    if starts is None or sizes is None:
        return None
    ends = np.where(sizes < 0, arrays[0].shape, starts + sizes)
    return [arrays[0][tuple(map(slice, starts, ends))]]


def _strided(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array] | None:
    options = operator.builtinOptions
    starts, ends, steps = (editor.values(int(i)) for i in operator.inputs[1:4])
    if starts is None or ends is None or steps is None:
        return None
    if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask or options.offset:
        return None
    axes = [
        slice(
            None if options.beginMask >> axis & 1 else int(start),
            None if options.endMask >> axis & 1 else int(end),
            int(step),
        )
        for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True))
    ]
    return [arrays[0][tuple(axes)]]


def _split(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array] | None:
    axis = editor.values(int(operator.inputs[0]))
    return None if axis is None else np.split(arrays[0], len(operator.outputs), int(axis.item()))


def _joined(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array] | None:
    options = operator.builtinOptions
    if options.fusedActivationFunction or len(arrays) != len(operator.inputs):
        return None
    return [np.concatenate(arrays, options.axis)]


def _gathered(editor: Editor, operator: Any, arrays: list[Array]) -> Iterable[Array] | None:
    places, options = editor.values(int(operator.inputs[1])), operator.builtinOptions
    if places is None or (options and options.batchDims):
        return None
    return [arrays[0].take(places, options.axis if options else 0)]


Move = Callable[[Editor, Any, list[Array]], Iterable[Array] | None]
MOVED: dict[str, Move] = {
    "RESHAPE": _reshaped,
    "TRANSPOSE": _transposed,
    "SLICE": _sliced,
    "STRIDED_SLICE": _strided,
    "SPLIT": _split,
    "CONCATENATION": _joined,
    "GATHER": _gathered,
}
SAME_SCALE = {*MOVED, "PAD", "MAX_POOL_2D"}  # what they write has values of what they read


def freed(editor: Editor, operator: Any) -> list[Any]:
    """The operators that must be in float for what one writes not to be rounded, in order: itself,
    those that read it, and so on through those that only hand its values on.
    """
    readers, found = editor.readers(), [operator]
    for one in found:
        if one is operator or editor.kind(one) in SAME_SCALE:
            read = [reader for to in one.outputs for reader in readers[int(to)]]
            found += [reader for reader in read if reader is not None and reader not in found]
    return [one for one in editor.operators if one in found]
