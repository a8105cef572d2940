"""Operators that only move channels, and where each channel comes from behind them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.moving import MOVED, moved

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
    movers = [one for one in editor.operators if editor.kind(one) in MOVED]
    found = [_region(editor, group) for group in _connected(editor, movers)]
    return [one for one in found if one]


def _connected(editor: Editor, movers: list[Any]) -> list[list[Any]]:
    """Groups of movers, each in the order in which they run."""
    group_of: dict[int, list[Any]] = {}
    for one in movers:
        tensors = [int(i) for i in (*moved(editor, one), *one.outputs)]
        linked = [group_of[i] for i in tensors if i in group_of]
        joined = [*{id(each): each for group in linked for each in group}.values(), one]
        for each in joined:
            for index in (*moved(editor, each), *each.outputs):
                group_of[int(index)] = joined
    order = {id(one): place for place, one in enumerate(movers)}
    groups = {id(group): group for group in group_of.values()}
    return [sorted(group, key=lambda one: order[id(one)]) for group in groups.values()]


def _region(editor: Editor, movers: list[Any]) -> Region | None:
    made = {int(i) for one in movers for i in one.outputs}
    read = list(dict.fromkeys(i for one in movers for i in moved(editor, one)))
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
        found = MOVED[editor.kind(one)](editor, one, [places[i] for i in moved(editor, one)])
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
