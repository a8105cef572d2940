"""The first convolution reads two columns of pixels as one of twice the channels.

XNNPACK's int8 kernels pad the channels of each place of a kernel to 8 (SSE, AVX, Arm with i8mm), or
to 4 (Arm with dot products alone). Of 3 channels most of that is nothing: 3x3 takes 72 products a
value, as 3x2 of 6 channels 48, and 7x7 392 or 224. On x86 a third of the stem's time goes, 0.2 ms
of MobileNet v2's 3; where the padding is to 4 it is 36 or 48, and a percent of the network's time
is lost. Weights stay, with zeros for the columns that a pair has too many.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.lowering._movers import pad, reshape
from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.patches import same_padding

_FEW = 4  # channels of a picture, at most


def rewrite(editor: Editor) -> None:
    producers = editor.producers()
    for one in [one for one in editor.operators if editor.kind(one) == "CONV_2D"]:
        found = _paired(editor, one, producers.get(int(one.inputs[0])))
        if found:
            _apply(editor, one, found)


@dataclass(frozen=True)
class _Pairs:
    """`source` is padded by rows (top, bottom) and by pairs (left, right); `kernel` reads pairs."""

    source: int
    rows: tuple[int, int]
    pairs: tuple[int, int]
    kernel: Array


def _paired(editor: Editor, conv: Any, before: Any) -> _Pairs | None:
    options, kernel = conv.builtinOptions, editor.values(conv.inputs[1])
    source = int(conv.inputs[0])
    if kernel is None or kernel.dtype != np.int8 or kernel.shape[3] > _FEW:
        return None
    if options.strideW != 2 or (options.dilationWFactor, options.dilationHFactor) != (1, 1):
        return None
    _, height, width, channels = editor.shape(source)
    _, out_height, out_width, _ = editor.shape(conv.outputs[0])
    if options.padding == schema.Padding.SAME:
        rows = same_padding(height, out_height, kernel.shape[1], options.strideH)
        left = same_padding(width, out_width, kernel.shape[2], 2)[0]
    else:
        rows, left = (0, 0), 0
        if before is not None and editor.kind(before) == "PAD":
            amounts = editor.values(before.inputs[1])
            if amounts is None or amounts[[0, 3]].any():
                return None
            source, rows, left = int(before.inputs[0]), tuple(amounts[1].tolist()), amounts[2, 0]
            width = editor.shape(source)[2]
    if width % 2 or channels != kernel.shape[3]:
        return None
    odd = left % 2
    taps = (kernel.shape[2] + odd + 1) // 2
    wide = np.zeros((*kernel.shape[:2], 2 * taps, channels), kernel.dtype)
    wide[:, :, odd : odd + kernel.shape[2]] = kernel
    left_pairs = (int(left) + odd) // 2
    right_pairs = out_width - 1 + taps - width // 2 - left_pairs
    if right_pairs < 0:
        return None
    wide = wide.reshape(*kernel.shape[:2], taps, 2 * channels)
    return _Pairs(source, rows, (left_pairs, right_pairs), wide)


def _apply(editor: Editor, conv: Any, found: _Pairs) -> None:
    name = editor.name(conv.outputs[0])
    _, height, width, channels = editor.shape(found.source)
    new, seen = reshape(
        editor, found.source, (1, height, width // 2, 2 * channels), f"{name}/pairs"
    )
    editor.insert(conv, new)
    options = conv.builtinOptions
    options.strideW = 1
    high, wide = editor.shape(conv.outputs[0])[1:3]
    whole = (high, wide) == (-(-height // options.strideH), width // 2)  # as many as SAME gives
    same = same_padding(height, high, found.kernel.shape[1], options.strideH)
    of_pairs = same_padding(width // 2, width // 2, found.kernel.shape[2], 1)
    if whole and (found.rows, found.pairs) == (same, of_pairs):
        options.padding = schema.Padding.SAME
    else:
        options.padding = schema.Padding.VALID
        if any((*found.rows, *found.pairs)):
            pads = np.array([[0, 0], found.rows, found.pairs, [0, 0]])
            shape = (1, height + sum(found.rows), width // 2 + sum(found.pairs), 2 * channels)
            padded = editor.activation(shape, f"{name}/pad", found.source)
            editor.insert(conv, pad(editor, seen, pads, padded))
            seen = padded
    old = int(conv.inputs[1])
    kernel = editor.constant(found.kernel, editor.name(old), like=old)
    conv.inputs = [seen, kernel, *conv.inputs[2:]]
