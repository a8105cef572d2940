"""What each place of a layer's output is made of."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.editing import Array, Editor

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
PLACES = 256  # of a picture, at most: the rest resembles its neighbours


def patches(editor: Editor, operator: Any, values: Array) -> Array:
    """What a layer multiplies, [groups, places, inputs of a group], of what it reads, [1, ...].

    A depthwise convolution has a group a channel. Inputs are in the order of the kernel's.
    """
    kind, kernel = editor.kind(operator), editor.shape(int(operator.inputs[1]))
    if kind == "FULLY_CONNECTED":
        return values.reshape(1, -1, kernel[-1])
    found = _windows(operator.builtinOptions, kernel[1:3], values[0])
    places, height, width, channels = found.shape
    if kind == "DEPTHWISE_CONV_2D":
        return found.reshape(places, height * width, channels).transpose(2, 0, 1)
    groups = channels // kernel[3]
    split = found.reshape(places, height * width, groups, kernel[3])
    return split.transpose(2, 0, 1, 3).reshape(groups, places, -1)


def _windows(options: Any, kernel: tuple[int, ...], values: Array) -> Array:
    """[places, height, width, channels] of a kernel, at places spread over the output."""
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor or 1, options.dilationWFactor or 1
    pads, outs = [], []
    for size, side, stride, dilation in zip(values.shape, kernel, strides, dilations, strict=False):
        reach = (side - 1) * dilation + 1
        if options.padding == schema.Padding.SAME:
            out = -(-size // stride)
            pads.append(same_padding(size, out, reach, stride))
        else:
            out = (size - reach) // stride + 1
            pads.append((0, 0))
        outs.append(out)
    padded = np.pad(values, [*pads, (0, 0)])
    count = outs[0] * outs[1]
    chosen = np.unique(np.linspace(0, count - 1, min(PLACES, count)).astype(int))
    y, x = np.divmod(chosen, outs[1])
    down = y[:, None] * strides[0] + np.arange(kernel[0]) * dilations[0]
    across = x[:, None] * strides[1] + np.arange(kernel[1]) * dilations[1]
    found: Array = padded[down[:, :, None], across[:, None, :]]
    return found


def same_padding(size: int, out: int, reach: int, stride: int) -> tuple[int, int]:
    """What TFLite's SAME puts before and behind a side, for a kernel that reaches so far."""
    total = max((out - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2
