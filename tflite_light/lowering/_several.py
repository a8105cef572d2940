"""Which grouped int8 convolutions are cheaper as several small ones than as one dense one.

Several ones multiply no zeros, but their inputs are cut out and their outputs joined; and a shuffle
between two grouped convolutions costs nothing only where one of them becomes dense and takes it.
Prices are fitted to ShuffleNet v1's blocks on an AMD EPYC with int8 dot products (190 of them a
ns): at 28 px one of two convolutions is best cut, in 0.90 of the time of two dense ones, at 14 px
and 7 px both are, in 0.72 and 0.56. Where products are dearer, more would be worth cutting.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tflite_light.lowering._cutting import cut_operators, join_operators
from tflite_light.lowering._planning import passes
from tflite_light.tflite.editing import Editor

_CUT, _JOINED, _SHUFFLED = 10, 5, 80  # multiply-adds that a value cut out, joined, shuffled costs
_OPERATOR = 400_000  # and an operator more
_SHUFFLE = ("RESHAPE", "TRANSPOSE", "RESHAPE")
_BETWEEN = {*_SHUFFLE, "DEPTHWISE_CONV_2D"}


def grouped(editor: Editor) -> list[Any]:
    """The int8 convolutions each of whose outputs reads a part of the inputs."""
    convolutions = [one for one in editor.operators if editor.kind(one) == "CONV_2D"]
    int8 = [one for one in convolutions if editor.dtype(int(one.inputs[0])) == np.int8]
    return [one for one in int8 if groups(editor, one) > 1]


def groups(editor: Editor, convolution: Any) -> int:
    kernel, source = editor.values(int(convolution.inputs[1])), int(convolution.inputs[0])
    return 1 if kernel is None else editor.shape(source)[3] // kernel.shape[3]


def chosen(editor: Editor) -> list[Any]:
    gains = [(_gain(editor, one), one) for one in grouped(editor)]
    pairs = list(_shuffled(editor))
    found: list[Any] = []
    for gain, one in sorted(gains, key=lambda pair: -pair[0]):
        taken = {id(each) for each in found}
        shuffles = [
            values
            for a, b, values in pairs
            if (a is one and id(b) in taken) or (b is one and id(a) in taken)
        ]
        if gain > sum(_SHUFFLED * values + len(_SHUFFLE) * _OPERATOR for values in shuffles):
            found.append(one)
    return found


def _gain(editor: Editor, convolution: Any) -> float:
    """The products with zeros that are saved, less what cutting and joining cost."""
    source, made = int(convolution.inputs[0]), int(convolution.outputs[0])
    shape, parts = editor.shape(int(convolution.inputs[1])), groups(editor, convolution)
    values_in, values_out = (int(np.prod(editor.shape(end))) for end in (source, made))
    zeros = values_out * int(np.prod(shape[1:])) * (parts - 1)
    operators = cut_operators((shape[3],) * parts) + parts - 1 + join_operators(parts)
    return zeros - _CUT * values_in - _JOINED * values_out - _OPERATOR * operators


def _shuffled(editor: Editor) -> Iterator[tuple[Any, Any, int]]:
    """Two grouped convolutions with a shuffle between them, and how many values it moves."""
    producers = editor.producers()
    found = {id(one) for one in grouped(editor)}
    for one in grouped(editor):
        index, values = int(one.inputs[0]), 0
        before = producers.get(index)
        while before and (editor.kind(before) in _BETWEEN or passes(editor, before)):
            if editor.kind(before) == "TRANSPOSE":
                values = int(np.prod(editor.shape(index)))
            index = int(before.inputs[0])
            before = producers.get(index)
        if values and id(before) in found:
            yield before, one, values
