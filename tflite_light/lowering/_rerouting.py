"""A plan for a region carried out: channels in a new order, cut, joined, and read so."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from tflite_light.lowering._cutting import JOINED, cuts, finer
from tflite_light.lowering._movement import Channel, Region
from tflite_light.lowering._movers import joined, slice_, split
from tflite_light.lowering._planning import Entry, Plan, first_reader, outside, passes
from tflite_light.tflite.editing import Array, Editor


def apply(editor: Editor, region: Region, plan: Plan) -> None:
    readers, producers = editor.readers(), editor.producers()
    parts: dict[tuple[int, int], list[int]] = {}
    first_of = {each: first_reader(editor, region, readers[each])[1] for each in plan.reads}
    for index, entry in plan.entries.items():
        users = [each for each, read in plan.reads.items() if index in {i for i, _ in read}]
        if not users:
            continue
        if entry.order != sorted(entry.order):
            order = np.array(entry.order)
            for at in (1, 2):
                values = editor.weight(producers[index], at)
                if values is not None:
                    editor.set_weight(producers[index], at, values[order], order)
        parts |= cut_apart(editor, index, entry, first_of[users[0]])
    made: dict[tuple[int, ...], int] = {}
    needed = {each: [*chain(*(parts[one] for one in read))] for each, read in plan.reads.items()}
    following = [*[*needed.values()][1:], []]
    for (each, read), later in zip(plan.reads.items(), following, strict=True):
        joined = _join(editor, needed[each], later, made, editor.name(each), first_of[each])
        held = [
            (index, channel)
            for index, number in read
            for channel in plan.entries[index].order[slice(*plan.entries[index].segments[number])]
        ]
        order = np.array([_place(region.exits[each], one) for one in held])
        for reader in outside(region, readers[each]):
            _read(editor, reader, joined, order, readers)


def _place(channels: Sequence[Channel], wanted: Channel) -> int:
    return channels.index(wanted) if wanted in channels else -1


def cut_apart(
    editor: Editor, index: int, entry: Entry, before: Any
) -> dict[tuple[int, int], list[int]]:
    """The tensors of an entry's segments, and the operators that make them."""
    *sides, _ = editor.shape(index)
    sizes = finer(entry.sizes)
    bounds = [0, *np.cumsum(sizes).tolist()]
    made: dict[tuple[int, int], int] = {(0, len(sizes)): index}
    for cut in cuts(sizes):
        spans = list(pairwise(cut))
        names = [f"{editor.name(index)}/channels{bounds[a]}to{bounds[b]}" for a, b in spans]
        outputs = [
            editor.activation((*sides, bounds[b] - bounds[a]), name, index)
            for (a, b), name in zip(spans, names, strict=True)
        ]
        if len(spans) > 1:
            made_by = split(editor, made[cut[0], cut[-1]], outputs)
        else:
            made_by = slice_(editor, index, bounds[cut[0]], outputs[0])
        editor.insert(before, made_by)
        made |= dict(zip(spans, outputs, strict=True))
    return {
        (index, number): [made[n, n + 1] for n in range(len(sizes)) if start <= bounds[n] < end]
        for number, (start, end) in enumerate(entry.segments)
    }


def _join(
    editor: Editor,
    parts: list[int],
    later: list[int],
    made: dict[tuple[int, ...], int],
    name: str,
    before: Any,
) -> int:
    """One tensor of all parts, in their order. Where they are too many for one operator, those that
    the next reader needs, too, are joined first, for both.
    """
    for some, whole in made.items():
        if parts[: len(some)] == list(some) and len(parts) > len(some):
            parts = [whole, *parts[len(some) :]]
    if len(parts) > JOINED:
        shared = next((at for at, part in enumerate(parts) if part not in later), len(parts))
        first = parts[: min(max(shared, len(parts) - JOINED + 1), JOINED)]
        made[*first] = joined(editor, first, f"{name}/first{len(first)}", before)
        return _join(editor, [made[*first], *parts[len(first) :]], later, made, name, before)
    return parts[0] if len(parts) == 1 else joined(editor, parts, f"{name}/read", before)


def _read(
    editor: Editor, reader: Any, source: int, order: Array, readers: dict[int, list[Any]]
) -> None:
    """Lets an operator read `source`, whose channels were at `order` before; -1 are not read."""
    reader.inputs = [source, *reader.inputs[1:]]
    if not passes(editor, reader):
        _reorder(editor, reader, order)
    if editor.kind(reader) != "CONV_2D":
        old = int(reader.outputs[0])
        shape = (*editor.shape(old)[:3], len(order))
        new = editor.activation(shape, editor.name(old), old)
        reader.outputs = [new]
        for one in readers[old]:
            _read(editor, one, new, order, readers)


def _reorder(editor: Editor, reader: Any, order: Array) -> None:
    kernel, bias = editor.weight(reader, 1), editor.weight(reader, 2)
    assert kernel is not None
    taken = np.where(order >= 0, kernel[..., order], 0).astype(kernel.dtype)
    if editor.kind(reader) == "CONV_2D":
        editor.set_weight(reader, 1, taken, np.arange(len(kernel)))
        return
    scales = np.maximum(order, 0)
    editor.set_weight(reader, 1, taken, scales)
    if bias is not None:
        taken = np.where(order >= 0, bias[order], 0).astype(bias.dtype)
        editor.set_weight(reader, 2, taken, scales)
