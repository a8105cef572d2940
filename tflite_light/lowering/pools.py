"""An int8 average of an odd window, made a depthwise convolution of ones.

XNNPACK has no int8 AVERAGE_POOL_2D, so TFLite's own does it, and what XNNPACK runs falls into
pieces around it: ShuffleNet v1's three take an eighth of its time. The convolution divides by the
scale of its kernel. A sum divided by an odd number is never half way between two steps, so that all
ways to round agree: the values are the same to the bit. A ReLU that keeps GPUs from merging
a padding with a pooling comes before the padding, which XNNPACK and GPUs merge with a convolution.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.editing import Editor

_OF_INT8 = 3  # the version of DEPTHWISE_CONV_2D that knows it


def rewrite(editor: Editor) -> None:
    for one in [one for one in editor.operators if editor.kind(one) == "AVERAGE_POOL_2D"]:
        if _is_odd_window(editor, one):
            _pad_last(editor, int(one.inputs[0]))
            editor.insert(one, _convolution(editor, one))
            editor.operators.remove(one)


def _is_odd_window(editor: Editor, pool: Any) -> bool:
    """Of int8 values, as many everywhere: a mean leaves out what SAME pads."""
    options = pool.builtinOptions
    odd = options.filterHeight * options.filterWidth % 2 == 1
    int8 = editor.dtype(int(pool.inputs[0])) == np.int8
    return int8 and odd and bool(options.padding == schema.Padding.VALID)


def _convolution(editor: Editor, pool: Any) -> Any:
    source, made, window = int(pool.inputs[0]), int(pool.outputs[0]), pool.builtinOptions
    channels, name = editor.shape(made)[3], editor.name(made)
    shape = (1, window.filterHeight, window.filterWidth, channels)
    share = 1 / (window.filterHeight * window.filterWidth)
    ones = editor.constant(np.ones(shape, np.int8), f"{name}/ones", like=source)
    editor.set_scales(ones, np.full(channels, share), axis=3)
    zeros = editor.constant(np.zeros(channels, np.int32), f"{name}/zeros", like=source)
    editor.set_scales(zeros, np.full(channels, share * editor.scales(source)[0]), axis=0)
    options = schema.DepthwiseConv2DOptionsT()
    options.strideH, options.strideW = window.strideH, window.strideW
    options.dilationHFactor = options.dilationWFactor = options.depthMultiplier = 1
    options.padding = window.padding
    options.fusedActivationFunction = window.fusedActivationFunction
    return editor.operator("DEPTHWISE_CONV_2D", [source, ones, zeros], [made], options, _OF_INT8)


def _pad_last(editor: Editor, pooled: int) -> None:
    """PAD, RELU become RELU, PAD: both leave zero as it is."""
    producers, readers = editor.producers(), editor.readers()
    relu = producers.get(pooled)
    if relu is None or editor.kind(relu) != "RELU" or len(readers[pooled]) > 1:
        return
    padded = int(relu.inputs[0])
    padding = producers.get(padded)
    if padding is None or editor.kind(padding) != "PAD" or len(readers[padded]) > 1:
        return
    source = int(padding.inputs[0])
    cut = editor.activation(editor.shape(source), f"{editor.name(pooled)}/cut", like=pooled)
    relu.inputs, relu.outputs = [source], [cut]
    padding.inputs, padding.outputs = [cut, *padding.inputs[1:]], [pooled]
    editor.operators.remove(relu)
    editor.insert(padding, relu)
