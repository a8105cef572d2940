"""Channel shuffles and splits, taken by the weights around them.

A channel that a convolution makes may lie anywhere among its others, if those who read it know
where. So each convolution puts first what is read first; then a unit of ShuffleNet v2 reads a slice
of each unit before it, as they are, and nothing is reshaped, transposed or passed on. Where a slice
costs more than multiplying a few channels by zero, it is not made. The answers are the same, of
integers to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise
from math import gcd, inf
from typing import Any

import numpy as np

from tflite_light.lowering._movement import MOVERS, Channel, Region, regions
from tflite_light.tflite.editing import Array, Editor

_JOINED = 5  # XNNPACK leaves a concatenation of more to TFLite's slower kernel
_SPLIT = 4  # as many parts XNNPACK's split has, at most
_PASSING = ("PAD", "RELU", "RELU6", "MAX_POOL_2D", "AVERAGE_POOL_2D")  # channel by channel
_LEVELS = 10  # of which all ways to cut are tried

Segment = tuple[int, int]  # from a place to another, without it


def rewrite(editor: Editor, operator: float) -> None:
    """`operator` is what one more costs, in multiply-adds."""
    for region in regions(editor):
        if {editor.kind(one) for one in region.movers} == {"CONCATENATION"}:
            continue
        plan = _plan(editor, region, operator)
        if plan and plan.operators < len(region.movers):
            _apply(editor, region, plan)


@dataclass(frozen=True)
class _Entry:
    """A tensor that is read in parts: its channels in their new order, cut into segments."""

    order: list[int]
    segments: list[Segment]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(end - start for start, end in self.segments)


@dataclass(frozen=True)
class _Plan:
    entries: dict[int, _Entry]
    reads: dict[int, list[tuple[int, int]]]  # of each exit: entries and numbers of their segments

    @property
    def operators(self) -> int:
        cuts = sum(_cut_operators(entry.sizes) for entry in self.entries.values())
        return cuts + sum(-(-(len(parts) - 1) // (_JOINED - 1)) for parts in self.reads.values())


def _plan(editor: Editor, region: Region, operator: float) -> _Plan | None:
    readers = editor.readers()
    prices = {index: _price(editor, index, readers) for index in region.exits}
    if any(price is None for price in prices.values()):
        return None
    exits = sorted(region.exits, key=lambda index: _first(editor, region, readers[index])[0])
    costs = [prices[each] or 0 for each in exits]
    entries = {}
    for index in region.entries:
        used: list[list[int]] = [[] for _ in range(editor.shape(index)[3])]
        for number, each in enumerate(exits):
            for tensor, channel in region.exits[each]:
                if tensor == index:
                    used[channel].append(number)
        order = list(range(len(used)))
        if _is_free(editor, region, index, readers):
            order.sort(key=lambda channel: used[channel])
        entries[index] = _Entry(order, _cut([used[channel] for channel in order], costs, operator))
    reads = {
        each: [
            (index, number)
            for index, entry in entries.items()
            for number, (start, end) in enumerate(entry.segments)
            if {(index, channel) for channel in entry.order[start:end]} & set(region.exits[each])
        ]
        for each in exits
    }
    return _Plan(entries, reads)


def _first(editor: Editor, region: Region, readers: list[Any]) -> tuple[int, Any]:
    """The first of a tensor's readers outside, and which operator it is."""
    outside = {id(one) for one in _outside(region, readers)}
    return next((at, one) for at, one in enumerate(editor.operators) if id(one) in outside)


def _outside(region: Region, readers: list[Any]) -> list[Any]:
    inside = {id(one) for one in region.movers}
    return [one for one in readers if id(one) not in inside]


def _price(editor: Editor, index: int, readers: dict[int, list[Any]]) -> float | None:
    """The multiply-adds of one channel more in a tensor; None where its channels must stay in their
    order, infinity where none may be added.
    """
    total = 0.0
    for one in readers[index]:
        found = None if one is None else _price_of(editor, one, index, readers)
        if found is None:
            return None
        total += found
    return total


def _price_of(
    editor: Editor, reader: Any, index: int, readers: dict[int, list[Any]]
) -> float | None:
    kind = editor.kind(reader)
    if kind in MOVERS:
        return 0.0
    if int(reader.inputs[0]) != index:
        return None
    output = int(reader.outputs[0])
    if kind in _PASSING:
        return _price_behind(editor, output, readers)
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return None
    kernel, channels = editor.weight(reader, 1), editor.shape(index)[3]
    if kernel is None or kernel.shape[3] != channels:
        return None
    if kernel.dtype == np.int8 and editor.dtype(index) == np.float32:
        return inf  # what is added would change the tensor's range
    pixels = int(np.prod(editor.shape(output)[1:3]))
    if kind == "CONV_2D":
        return pixels * float(np.prod(kernel.shape[:3]))
    after = _price_behind(editor, output, readers)
    return None if after is None else pixels * float(np.prod(kernel.shape[1:3])) + after


def _price_behind(editor: Editor, output: int, readers: dict[int, list[Any]]) -> float | None:
    """Of what passes channels on: nothing behind it may move them in turn."""
    if any(one is None or editor.kind(one) in MOVERS for one in readers[output]):
        return None
    return _price(editor, output, readers)


def _is_free(editor: Editor, region: Region, index: int, readers: dict[int, list[Any]]) -> bool:
    """Whether a tensor's channels may be in another order."""
    producer = editor.producers().get(index)
    if producer is None or editor.kind(producer) != "CONV_2D" or _outside(region, readers[index]):
        return False
    kernel = editor.weight(producer, 1)
    return kernel is not None and kernel.shape[3] == editor.shape(int(producer.inputs[0]))[3]


def _cut(levels: list[list[int]], prices: list[float], operator: float) -> list[Segment]:
    """Where a tensor is cut, so that operators and products with zeros cost least together.

    `levels` has the readers of each channel, `prices` what one channel more costs a reader.
    """
    count = len(levels)
    changes = [place for place in range(1, count) if levels[place] != levels[place - 1]]
    if len(changes) > _LEVELS:
        return list(pairwise((0, *changes, count)))
    ways = chain.from_iterable(combinations(changes, n) for n in range(len(changes) + 1))
    options = [list(pairwise((0, *way, count))) for way in ways]
    return min(options, key=lambda segments: _cost(segments, levels, prices, operator))


def _cost(
    segments: list[Segment], levels: list[list[int]], prices: list[float], operator: float
) -> float:
    total = operator * float(_cut_operators(tuple(end - start for start, end in segments)))
    for start, end in segments:
        part = levels[start:end]
        for reader in set(chain.from_iterable(part)):
            total += operator / (_JOINED - 1)
            if missing := sum(reader not in level for level in part):
                total += prices[reader] * missing
    return total


def _cut_operators(sizes: tuple[int, ...]) -> int:
    """Operators that cut a tensor: a split into equal parts is one, a slice is one."""
    return len(_cuts(_finer(sizes)))


def _finer(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The same, but in equal parts where one split makes them all."""
    part = gcd(*sizes)
    count = sum(sizes) // part
    return (part,) * count if count <= _SPLIT and len(sizes) > 1 else sizes


def _cuts(sizes: tuple[int, ...], first: int = 0) -> list[tuple[int, ...]]:
    """Splits, as the numbers of the segments where their equal parts begin and the last one ends;
    or slices, as single segments (number, number + 1), where that takes fewer operators.
    """
    count = len(sizes)
    slices: list[tuple[int, ...]] = [
        (first + number, first + number + 1) for number in range(count)
    ]
    if count < 2:
        return []
    best = slices
    for parts in range(2, _SPLIT + 1):
        ends = _equal(sizes, parts)
        if ends:
            marks = [first, *(first + end for end in ends)]
            found = [tuple(marks)] + [
                cut
                for start, end in pairwise(marks)
                for cut in _cuts(sizes[start - first : end - first], start)
            ]
            best = min(best, found, key=len)
    return best


def _equal(sizes: tuple[int, ...], parts: int) -> list[int]:
    """Numbers of segments after which equal parts end; none where there are no such."""
    whole, sums = sum(sizes), [int(end) for end in np.cumsum(sizes)]
    wanted = [whole * part // parts for part in range(1, parts + 1)]
    if whole % parts or not set(wanted) <= set(sums):
        return []
    return [sums.index(end) + 1 for end in wanted]


def _apply(editor: Editor, region: Region, plan: _Plan) -> None:
    readers, producers = editor.readers(), editor.producers()
    parts: dict[tuple[int, int], list[int]] = {}
    first_of = {each: _first(editor, region, readers[each])[1] for each in plan.reads}
    for index, entry in plan.entries.items():
        if entry.order != sorted(entry.order):
            order = np.array(entry.order)
            for at in (1, 2):
                values = editor.weight(producers[index], at)
                if values is not None:
                    editor.set_weight(producers[index], at, values[order], order)
        first = next(
            first_of[each] for each, read in plan.reads.items() if index in {i for i, _ in read}
        )
        parts |= _cut_apart(editor, index, entry, first)
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
        for reader in _outside(region, readers[each]):
            _read(editor, reader, joined, order, readers)


def _place(channels: Sequence[Channel], wanted: Channel) -> int:
    return channels.index(wanted) if wanted in channels else -1


def _cut_apart(
    editor: Editor, index: int, entry: _Entry, before: Any
) -> dict[tuple[int, int], list[int]]:
    """The tensors of an entry's segments, and the operators that make them."""
    *sides, _ = editor.shape(index)
    sizes = _finer(entry.sizes)
    bounds = [0, *np.cumsum(sizes).tolist()]
    made: dict[tuple[int, int], int] = {(0, len(sizes)): index}
    for cut in _cuts(sizes):
        spans = list(pairwise(cut))
        names = [f"{editor.name(index)}/channels{bounds[a]}to{bounds[b]}" for a, b in spans]
        outputs = [
            editor.activation((*sides, bounds[b] - bounds[a]), name, index)
            for (a, b), name in zip(spans, names, strict=True)
        ]
        if len(spans) > 1:
            made_by = editor.split(made[cut[0], cut[-1]], outputs)
        else:
            made_by = editor.slice(index, bounds[cut[0]], outputs[0])
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
    if len(parts) > _JOINED:
        shared = next((at for at, part in enumerate(parts) if part not in later), len(parts))
        first = parts[: min(max(shared, len(parts) - _JOINED + 1), _JOINED)]
        made[*first] = _joined(editor, first, f"{name}/first{len(first)}", before)
        return _join(editor, [made[*first], *parts[len(first) :]], later, made, name, before)
    return parts[0] if len(parts) == 1 else _joined(editor, parts, f"{name}/read", before)


def _joined(editor: Editor, parts: list[int], name: str, before: Any) -> int:
    *sides, _ = editor.shape(parts[0])
    width = sum(editor.shape(part)[3] for part in parts)
    whole = editor.activation((*sides, width), name, parts[0])
    editor.insert(before, editor.concatenation(parts, whole))
    return whole


def _read(
    editor: Editor, reader: Any, source: int, order: Array, readers: dict[int, list[Any]]
) -> None:
    """Lets an operator read `source`, whose channels were at `order` before; -1 are not read."""
    reader.inputs = [source, *reader.inputs[1:]]
    if editor.kind(reader) not in _PASSING:
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
