"""Grouped convolutions as dense ones, whose kernels are zero between groups.

XNNPACK has no fast grouped int8 kernel, LiteRT's GPU gives wrong numbers for one, and NNAPI knows
none. A dense one multiplies `groups` times as much, most of it by zero; those for which several
small ones are cheaper stay for `several.py`.
"""

import numpy as np

from tflite_light.lowering._several import chosen
from tflite_light.tflite.editing import Array, Editor

_GROUPED = 6  # the version of CONV_2D that has groups; the converter gives it to all of a file
_DENSE = {(np.float32, np.float32): 1, (np.int8, np.int8): 3}  # by types of pictures and kernel
_DENSE |= {(np.float32, np.int8): 5}  # of dynamic range, with a scale a channel


def rewrite(editor: Editor, several: bool = False, floats: bool = False) -> None:
    """Of int8 files; with `floats` all, though XNNPACK and GPUs are quick with grouped ones.

    With `several` those stay that are cheaper so, which is for CPUs: operators cost others more.
    """
    staying = {id(one) for one in chosen(editor)} if several else set()
    for one in [one for one in editor.operators if editor.kind(one) == "CONV_2D"]:
        kernel = editor.weight(one, 1)
        source = int(one.inputs[0])
        version = _DENSE.get((editor.dtype(source), editor.dtype(int(one.inputs[1]))))
        if kernel is None or not version or editor.version(one) != _GROUPED or id(one) in staying:
            continue
        channels = editor.shape(source)[3]
        grouped = kernel.shape[3] != channels
        if grouped and (floats or editor.dtype(source) == np.int8):
            editor.set_weight(one, 1, _dense(kernel, channels), np.arange(len(kernel)))
            grouped = False
        if not grouped:
            editor.set_version(one, version)


def _dense(kernel: Array, channels: int) -> Array:
    outputs, height, width, own = kernel.shape
    groups = channels // own
    wide = np.zeros((outputs, height, width, channels), kernel.dtype)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        wide[rows, ..., group * own : (group + 1) * own] = kernel[rows]
    return wide
