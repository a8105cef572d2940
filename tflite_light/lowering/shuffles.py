"""Channel shuffles and splits, taken by the weights around them.

A channel that a convolution makes may lie anywhere among its others, if those who read it know
where. So each convolution puts first what is read first; then a unit of ShuffleNet v2 reads a slice
of each unit before it, as they are, and nothing is reshaped, transposed or passed on. Where a slice
costs more than multiplying a few channels by zero, it is not made. The answers are the same, of
integers to the bit.
"""

from math import inf
from typing import Any

import numpy as np

from tflite_light.lowering._movement import Region, regions
from tflite_light.lowering._planning import outside, passes, plan
from tflite_light.lowering._rerouting import apply
from tflite_light.tflite.editing import Editor


def rewrite(editor: Editor, operator: float, most: float = inf) -> None:
    """`operator` is what one more costs, in multiply-adds; what kernels of `most` weights or more
    read gets no channel more."""
    for region in regions(editor):
        if {editor.kind(one) for one in region.movers} == {"CONCATENATION"}:
            continue
        found = plan(editor, region, operator, most)
        if found and found.operators < len(region.movers):
            apply(editor, region, found)
        elif found is None and (makers := _makers(editor, region)):
            _make_in_order(editor, region, makers)


def _makers(editor: Editor, region: Region) -> list[Any]:
    """The convolution that makes a region's channels, and depthwise ones behind it. None where more
    than one operator reads them, or the convolution has groups.
    """
    ((exit_, channels), *others), (index, *more) = region.exits.items(), region.entries
    producers, readers = editor.producers(), editor.readers()
    if others or more or {*channels} != {(index, at) for at in range(len(channels))}:
        return []
    if None in readers[exit_] or len(channels) != editor.shape(index)[3]:
        return []
    found: list[Any] = []
    alone = not outside(region, readers[index])
    while alone and (maker := producers.get(index)):
        index = int(maker.inputs[0])
        alone = len(readers[index]) == 1
        if passes(editor, maker):
            continue
        kind = editor.kind(maker)
        kernel = editor.weight(maker, 1) if kind in ("CONV_2D", "DEPTHWISE_CONV_2D") else None
        if kernel is None or kernel.shape[3] != editor.shape(index)[3]:
            break
        found.append(maker)
        if kind == "CONV_2D":
            return found
    return []


def _make_in_order(editor: Editor, region: Region, makers: list[Any]) -> None:
    """What the makers make comes in the order that the region's reader wants."""
    ((exit_, channels),), (entry,) = region.exits.items(), region.entries
    order = np.array([place for _, place in channels])
    for maker in makers:
        kernel, bias = editor.weight(maker, 1), editor.weight(maker, 2)
        assert kernel is not None
        dense = editor.kind(maker) == "CONV_2D"
        editor.set_weight(maker, 1, kernel[order] if dense else kernel[..., order], order)
        if bias is not None:
            editor.set_weight(maker, 2, bias[order], order)
    for reader in outside(region, editor.readers()[exit_]):
        reader.inputs = [entry if int(index) == exit_ else index for index in reader.inputs]
