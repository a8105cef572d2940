"""A ghost module of few int8 channels (Han et al. 2020, arXiv 1911.11907), without its joining.

A convolution makes `x`, a depthwise one `d` of it, and both are joined, which XNNPACK does as two
copies pixel by pixel. Its int8 kernels compute 16 channels at a time, on x86 and Arm: up to 8 take
as long as twice as many. So the convolution makes each channel twice, and the depthwise one passes
the first half on by a 1 in the middle of zeros, of scale 1. The values are the same to the bit, by
XNNPACK and TFLite's reference kernels; its other ones round by kernel (a step, in one of 84 drawn
networks). GhostNet has two at 112 px, and thinned by half three: 0.07 ms each of its 3.1 and 2.1.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.lowering import TOGETHER
from tflite_light.tflite.editing import Array, Editor


def rewrite(editor: Editor, floats: bool = False) -> None:
    """Of int8 files; with `floats` of float ones, whose form is then that of int8."""
    type_ = np.float32 if floats else np.int8
    for one in [one for one in editor.operators if editor.kind(one) == "CONCATENATION"]:
        producers = editor.producers()
        if len(one.inputs) == 2 and all(int(index) in producers for index in one.inputs):
            makers = [producers[int(index)] for index in one.inputs]
            for at, (plain, cheap) in enumerate((makers, makers[::-1])):
                if _is_ghost(editor, plain, cheap, one, type_):
                    _join(editor, plain, cheap, one, first=at == 0)
                    break


def _is_ghost(editor: Editor, plain: Any, cheap: Any, joining: Any, type_: Any) -> bool:
    kinds = editor.kind(plain), editor.kind(cheap)
    if kinds != ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return False
    made, whole = int(plain.outputs[0]), int(joining.outputs[0])
    readers = editor.readers()
    if int(cheap.inputs[0]) != made or len(readers[made]) != 2:
        return False
    if readers[int(cheap.outputs[0])] != [joining]:
        return False
    none = schema.ActivationFunctionType.NONE
    return (
        editor.shape(whole)[-1] <= TOGETHER
        and joining.builtinOptions.axis in (-1, 3)
        and joining.builtinOptions.fusedActivationFunction == none
        and _in_the_same_steps(editor, [made, int(cheap.outputs[0]), whole], type_)
        and _is_by_channel(editor, plain, type_)
        and _is_by_channel(editor, cheap, type_)
        and _keeps_places(editor, cheap)
        and cheap.builtinOptions.fusedActivationFunction
        in (none, plain.builtinOptions.fusedActivationFunction)
    )


def _in_the_same_steps(editor: Editor, tensors: list[int], type_: Any) -> bool:
    """Of one type, and integers of one scale and zero point."""
    if not all(editor.dtype(index) == type_ for index in tensors):
        return False
    if type_ == np.float32:
        return True
    if not all(len(editor.scales(index)) for index in tensors):
        return False
    steps = [editor.tensor(index).quantization for index in tensors]
    return len({(float(one.scale[0]), int(one.zeroPoint[0])) for one in steps}) == 1


def _is_by_channel(editor: Editor, one: Any, type_: Any) -> bool:
    """Weights, integers with a scale for each channel, and biases; no groups."""
    kernel = editor.weight(one, 1)
    if kernel is None or kernel.dtype != type_ or editor.weight(one, 2) is None:
        return False
    depthwise = editor.kind(one) == "DEPTHWISE_CONV_2D"
    reads_all = depthwise or kernel.shape[3] == editor.shape(int(one.inputs[0]))[3]
    scales = len(editor.scales(int(one.inputs[1])))
    return reads_all and (type_ == np.float32 or scales == editor.shape(int(one.outputs[0]))[3])


def _keeps_places(editor: Editor, cheap: Any) -> bool:
    """Each channel of the result is of the same channel and the places around the same place."""
    options, kernel = cheap.builtinOptions, editor.weight(cheap, 1)
    sides = () if kernel is None else kernel.shape[1:3]
    return (
        editor.shape(int(cheap.inputs[0])) == editor.shape(int(cheap.outputs[0]))
        and (options.strideH, options.strideW) == (1, 1)
        and options.padding == schema.Padding.SAME
        and all(side % 2 for side in sides)
    )


def _join(editor: Editor, plain: Any, cheap: Any, joining: Any, *, first: bool) -> None:
    """`first` says whether the plain channels come before the cheap ones."""
    old, whole = int(plain.outputs[0]), int(joining.outputs[0])
    *sides, channels = editor.shape(old)
    twice = np.tile(np.arange(channels), 2)
    for place in (1, 2):
        values = editor.weight(plain, place)
        assert values is not None
        editor.set_weight(plain, place, values[twice], twice)
    doubled = editor.activation((*sides, 2 * channels), f"{editor.name(old)}/twice", like=old)
    plain.outputs = [doubled]
    for place in (1, 2):
        _beside(editor, cheap, place, first=first)
    cheap.inputs, cheap.outputs = [doubled, *cheap.inputs[1:]], [whole]
    editor.operators.remove(joining)


def _beside(editor: Editor, cheap: Any, place: int, *, first: bool) -> None:
    """Gives a kernel or biases that pass channels on, of scale 1, beside what is there."""
    old = int(cheap.inputs[place])
    values, scales = editor.values(old), editor.scales(old)
    assert values is not None
    axis, order = values.ndim - 1, 1 if first else -1
    both = [_passing(values), values][::order]
    new = editor.constant(np.concatenate(both, axis), editor.name(old), like=old)
    if len(scales):
        unit = 1.0 if place == 1 else editor.scales(int(cheap.inputs[0]))[0]
        steps = [np.full(len(scales), unit), scales][::order]
        editor.set_scales(new, np.concatenate(steps), axis)
    cheap.inputs = [*cheap.inputs[:place], new, *cheap.inputs[place + 1 :]]


def _passing(values: Array) -> Array:
    """Of the shape of these: a kernel with a 1 in the middle, or biases of 0."""
    found = np.zeros_like(values)
    if values.ndim > 1:
        found[:, values.shape[1] // 2, values.shape[2] // 2] = 1
    return found
