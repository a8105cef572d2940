"""Operators that only move channels, and where each channel comes from behind them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.tflite.editing import Array, Editor

Channel = tuple[int, int]  # the tensor that has it, and its place there


@dataclass(frozen=True)
class Region:
    """Movers that are connected. `exits` are tensors that others read: of each, its channels in
    order, all of them from `entries`."""

    movers: list[Any]
    entries: list[int]
    exits: dict[int, list[Channel]]


def regions(editor: Editor) -> list[Region]:
    """All whose channels stay at their pixels, and whose tensors have one quantisation."""
    movers = [one for one in editor.operators if editor.kind(one) in _MOVED]
    found = [_region(editor, group) for group in _connected(editor, movers)]
    return [one for one in found if one]


def _connected(editor: Editor, movers: list[Any]) -> list[list[Any]]:
    """Groups of movers, each in the order in which they run."""
    group_of: dict[int, list[Any]] = {}
    for one in movers:
        tensors = [int(i) for i in (*_moved(editor, one), *one.outputs)]
        linked = [group_of[i] for i in tensors if i in group_of]
        joined = [*{id(each): each for group in linked for each in group}.values(), one]
        for each in joined:
            for index in (*_moved(editor, each), *each.outputs):
                group_of[int(index)] = joined
    order = {id(one): place for place, one in enumerate(movers)}
    groups = {id(group): group for group in group_of.values()}
    return [sorted(group, key=lambda one: order[id(one)]) for group in groups.values()]


def _moved(editor: Editor, operator: Any) -> list[int]:
    """What an operator reads that is not constant."""
    return [int(i) for i in operator.inputs if i >= 0 and editor.values(int(i)) is None]


def _region(editor: Editor, movers: list[Any]) -> Region | None:
    made = {int(i) for one in movers for i in one.outputs}
    read = list(dict.fromkeys(i for one in movers for i in _moved(editor, one)))
    entries = [index for index in read if index not in made]
    readers, inside = editor.readers(), {id(one) for one in movers}
    exits = [i for i in made if any(id(reader) not in inside for reader in readers[i])]
    shapes = {editor.shape(index)[:3] for index in (*entries, *exits)}
    if not exits or len(shapes) != 1 or any(len(editor.shape(i)) != 4 for i in (*entries, *exits)):
        return None
    if len({_scale(editor, index) for index in (*entries, *made)}) > 1:
        return None
    widths = [editor.shape(index)[3] for index in entries]
    starts = np.cumsum([0, *widths])
    pixels = int(np.prod(next(iter(shapes))))
    places: dict[int, Array] = {}
    for index, start, width in zip(entries, starts, widths, strict=False):
        ids = start + np.arange(width) + starts[-1] * np.arange(pixels)[:, None]
        places[index] = ids.reshape(editor.shape(index)).astype(np.int32)
    for one in movers:
        found = _MOVED[editor.kind(one)](editor, one, [places[i] for i in _moved(editor, one)])
        if found is None:
            return None
        places |= {int(to): array for to, array in zip(one.outputs, found, strict=True)}
    channels = {index: _channels(places[index], int(starts[-1]), pixels) for index in exits}
    if any(ids is None for ids in channels.values()):
        return None
    owners = [
        (entry, place)
        for entry, width in zip(entries, widths, strict=True)
        for place in range(width)
    ]
    found_at = {i: [owners[c] for c in ids] for i, ids in channels.items() if ids is not None}
    return Region(movers, entries, found_at)


def _scale(editor: Editor, index: int) -> tuple[float, ...]:
    found = editor.tensor(index).quantization
    if found is None or found.scale is None:
        return ()
    return (*map(float, found.scale), *map(float, found.zeroPoint))


def _channels(ids: Array, count: int, pixels: int) -> Array | None:
    """Those along the last axis, if they are the same at each pixel, which is its own."""
    flat = ids.reshape(pixels, -1)
    same = flat[0] + count * np.arange(pixels)[:, None]
    return flat[0] if np.array_equal(flat, same) else None


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
_MOVED: dict[str, Move] = {
    "RESHAPE": _reshaped,
    "TRANSPOSE": _transposed,
    "SLICE": _sliced,
    "STRIDED_SLICE": _strided,
    "SPLIT": _split,
    "CONCATENATION": _joined,
    "GATHER": _gathered,
}
MOVERS = tuple(_MOVED)
