"""How the channels of a region can come to its readers with few operators and few products."""

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from tflite_light.lowering._cutting import Segment, cut, cut_operators, join_operators
from tflite_light.lowering._movement import Region
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.moving import MOVED

WEIGHT = 60  # what a weight more costs, in multiply-adds: files are loaded, and sent over the air
_PASSING = ("PAD", "RELU", "RELU6", "MAX_POOL_2D", "AVERAGE_POOL_2D")


@dataclass(frozen=True)
class Entry:
    """A tensor that is read in parts: its channels in their new order, cut into segments."""

    order: list[int]
    segments: list[Segment]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(end - start for start, end in self.segments)


@dataclass(frozen=True)
class Plan:
    entries: dict[int, Entry]
    reads: dict[int, list[tuple[int, int]]]  # of each exit: entries and numbers of their segments

    @property
    def operators(self) -> int:
        cuts = sum(cut_operators(entry.sizes) for entry in self.entries.values())
        return cuts + sum(join_operators(len(parts)) for parts in self.reads.values())


def passes(editor: Editor, operator: Any) -> bool:
    """Whether it works channel by channel, and knows nothing of each."""
    if editor.kind(operator) != "PAD":
        return editor.kind(operator) in _PASSING
    amounts = editor.values(int(operator.inputs[1]))
    return amounts is not None and amounts.shape == (4, 2) and not amounts[3].any()


def plan(editor: Editor, region: Region, operator: float, most: float = inf) -> Plan | None:
    """None where channels must stay in their order, or one is read twice side by side.

    `operator` is what one more costs; to kernels of `most` weights or more no channel is added.
    """
    if any(len({*channels}) < len(channels) for channels in region.exits.values()):
        return None
    readers = editor.readers()
    prices = {index: _price(editor, index, readers, most) for index in region.exits}
    if any(price is None for price in prices.values()):
        return None
    exits = sorted(region.exits, key=lambda index: first_reader(editor, region, readers[index])[0])
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
        entries[index] = Entry(order, cut([used[channel] for channel in order], costs, operator))
    reads = {
        each: [
            (index, number)
            for index, entry in entries.items()
            for number, (start, end) in enumerate(entry.segments)
            if {(index, channel) for channel in entry.order[start:end]} & set(region.exits[each])
        ]
        for each in exits
    }
    return Plan(entries, reads)


def first_reader(editor: Editor, region: Region, readers: list[Any]) -> tuple[int, Any]:
    """The first of a tensor's readers outside, and which operator it is."""
    others = {id(one) for one in outside(region, readers)}
    return next((at, one) for at, one in enumerate(editor.operators) if id(one) in others)


def outside(region: Region, readers: list[Any]) -> list[Any]:
    inside = {id(one) for one in region.movers}
    return [one for one in readers if id(one) not in inside]


def _price(editor: Editor, index: int, readers: dict[int, list[Any]], most: float) -> float | None:
    """What one channel more in a tensor costs, in multiply-adds; None where its channels must stay
    in their order, infinity where none may be added.
    """
    total = 0.0
    for one in readers[index]:
        found = None if one is None else _price_of(editor, one, index, readers, most)
        if found is None:
            return None
        total += found
    return total


def _price_of(
    editor: Editor, reader: Any, index: int, readers: dict[int, list[Any]], most: float
) -> float | None:
    kind = editor.kind(reader)
    if kind in MOVED:
        return 0.0
    if int(reader.inputs[0]) != index:
        return None
    output = int(reader.outputs[0])
    if passes(editor, reader):
        return _price_behind(editor, output, readers, most)
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return None
    kernel, channels = editor.weight(reader, 1), editor.shape(index)[3]
    if kernel is None or kernel.shape[3] != channels:
        return None
    hybrid = kernel.dtype == np.int8 and editor.dtype(index) == np.float32
    if hybrid or kernel.size >= most:
        return inf  # what is added would change the tensor's range
    places = int(np.prod(editor.shape(output)[1:3])) + WEIGHT
    if kind == "CONV_2D":
        return places * float(np.prod(kernel.shape[:3]))
    after = _price_behind(editor, output, readers, most)
    return None if after is None else places * float(np.prod(kernel.shape[1:3])) + after


def _price_behind(
    editor: Editor, output: int, readers: dict[int, list[Any]], most: float
) -> float | None:
    """Of what passes channels on: nothing behind it may move them in turn."""
    if any(one is None or editor.kind(one) in MOVED for one in readers[output]):
        return None
    return _price(editor, output, readers, most)


def _is_free(editor: Editor, region: Region, index: int, readers: dict[int, list[Any]]) -> bool:
    """Whether a tensor's channels may be in another order."""
    producer = editor.producers().get(index)
    if producer is None or editor.kind(producer) != "CONV_2D" or outside(region, readers[index]):
        return False
    kernel = editor.weight(producer, 1)
    return kernel is not None and kernel.shape[3] == editor.shape(int(producer.inputs[0]))[3]
