"""Grouped int8 convolutions that were not made dense, as one small convolution a group.

The answers are the same to the bit: each value is the same sum of products. ShuffleNet v1's file is
also smaller so, by the zeros that a dense kernel has.
"""

import copy
from itertools import pairwise
from typing import Any

import numpy as np

from tflite_light.lowering._cutting import JOINED
from tflite_light.lowering._movers import concatenation, joined
from tflite_light.lowering._planning import Entry
from tflite_light.lowering._rerouting import cut_apart
from tflite_light.lowering._several import grouped, groups
from tflite_light.tflite.editing import Editor

_OF_INT8 = 3  # the version of CONV_2D that has int8 and no groups


def rewrite(editor: Editor) -> None:
    for one in grouped(editor):
        number = groups(editor, one)
        source, whole = int(one.inputs[0]), int(one.outputs[0])
        width = editor.shape(source)[3] // number
        segments = list(pairwise(range(0, width * number + 1, width)))
        cut = cut_apart(editor, source, Entry([], segments), one)
        inputs = [part for parts in cut.values() for part in parts]
        outputs = [_part(editor, one, each, of, number) for each, of in enumerate(inputs)]
        while len(outputs) > JOINED:
            first = joined(editor, outputs[:JOINED], f"{editor.name(whole)}/first", one)
            outputs = [first, *outputs[JOINED:]]
        editor.insert(one, concatenation(editor, outputs, whole))
        editor.operators.remove(one)


def _part(editor: Editor, convolution: Any, group: int, source: int, number: int) -> int:
    """What a group makes of the channels `source`."""
    whole = int(convolution.outputs[0])
    *sides, channels = editor.shape(whole)
    rows = np.arange(channels).reshape(number, -1)[group]
    made = editor.activation((*sides, len(rows)), f"{editor.name(whole)}/group{group}", whole)
    one = copy.copy(convolution)
    one.inputs, one.outputs = [source, *convolution.inputs[1:]], [made]
    for place in (1, 2):
        values = editor.weight(one, place)
        if values is not None:
            editor.set_weight(one, place, values[rows], rows)
    editor.set_version(one, _OF_INT8)
    editor.insert(convolution, one)
    return made
