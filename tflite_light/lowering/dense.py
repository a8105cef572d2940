"""Dense int8 layers with a scale for each output, as 1x1 convolutions.

XNNPACK of TFLite 2.16 takes such layers only as convolutions. It leaves dense ones to TFLite's own
kernels, which round otherwise: a value in 1,400 is a step off what XNNPACK of LiteRT 2.3 makes of
it, 5 steps at the end of an untrained GhostNet. A network with gates was also cut into as many
parts as it has gates. A mean before them and a product behind them keep four dimensions, which
saves GhostNet 7 products of four with two, so that only a head's end costs an operator.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.lowering._movers import reshape
from tflite_light.tflite.editing import Editor

_BY_CHANNEL = 3  # the version of CONV_2D that has int8 with a scale for each output


def rewrite(editor: Editor) -> None:
    for one in [one for one in editor.operators if editor.kind(one) == "FULLY_CONNECTED"]:
        if editor.values(int(one.inputs[1])) is not None and _is_by_output(editor, one):
            _replace(editor, one)


def _is_by_output(editor: Editor, dense: Any) -> bool:
    ends = [int(dense.inputs[0]), int(dense.outputs[0])]
    one_picture = all(len(editor.shape(end)) == 2 and editor.shape(end)[0] == 1 for end in ends)
    int8 = all(editor.dtype(end) == np.int8 for end in ends)
    return one_picture and int8 and len(editor.scales(int(dense.inputs[1]))) > 1


def _replace(editor: Editor, dense: Any) -> None:
    kernel = editor.values(int(dense.inputs[1]))
    source, flat = int(dense.inputs[0]), int(dense.outputs[0])
    name = editor.name(flat)
    assert kernel is not None
    options = schema.Conv2DOptionsT()
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    options.padding = schema.Padding.VALID
    options.fusedActivationFunction = dense.builtinOptions.fusedActivationFunction
    old = int(dense.inputs[1])
    weights = editor.constant(kernel[:, None, None], editor.name(old), like=old)
    made = editor.activation((1, 1, 1, len(kernel)), name, flat)
    inputs = [_spread(editor, dense, source), weights, _biases(editor, dense)]
    back, _ = reshape(editor, made, editor.shape(flat), f"{name}/flat")
    back.outputs = [flat]
    conv = editor.operator("CONV_2D", inputs, [made], options, _BY_CHANNEL)
    editor.insert(dense, conv, back)
    editor.operators.remove(dense)
    for reader in editor.readers()[flat]:
        if reader is not None and editor.kind(reader) == "MUL" and _keeps_rank(editor, reader):
            reader.inputs = [made if int(index) == flat else index for index in reader.inputs]


def _biases(editor: Editor, dense: Any) -> int:
    """The tensor of them; of zeros where there is none, which not every convolution may lack."""
    if len(dense.inputs) > 2 and dense.inputs[2] >= 0:
        return int(dense.inputs[2])
    source, kernel = int(dense.inputs[0]), int(dense.inputs[1])
    scales = editor.scales(source) * editor.scales(kernel)
    zeros = np.zeros(len(scales), np.int32)
    made = editor.constant(zeros, f"{editor.name(kernel)}/bias", like=kernel)
    editor.set_scales(made, scales)
    return made


def _keeps_rank(editor: Editor, product: Any) -> bool:
    """With a picture, along whose channels two dimensions go as four do."""
    return any(len(editor.shape(int(index))) == 4 for index in product.inputs)


def _is_of_places(editor: Editor, mean: Any) -> bool:
    """Over height and width of a picture whose channels come last."""
    axes, rank = editor.values(int(mean.inputs[1])), len(editor.shape(int(mean.inputs[0])))
    return rank == 4 and axes is not None and sorted(axes.reshape(-1) % rank) == [1, 2]


def _spread(editor: Editor, dense: Any, flat: int) -> int:
    """The tensor in four dimensions: as it was before it was made flat, or seen anew."""
    shape = (1, 1, 1, editor.shape(flat)[1])
    before: Any = editor.producers().get(flat)
    kind = before and editor.kind(before)
    if kind == "RESHAPE" and editor.shape(int(before.inputs[0])) == shape:
        return int(before.inputs[0])
    if kind == "MEAN" and editor.readers()[flat] == [dense] and _is_of_places(editor, before):
        editor.tensor(flat).shape = np.array(shape, np.int32)
        before.builtinOptions.keepDims = True
        return flat
    spread, seen = reshape(editor, flat, shape, f"{editor.name(flat)}/spread")
    editor.insert(dense, spread)
    return seen
