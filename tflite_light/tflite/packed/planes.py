"""How a tensor's values become symbols: two models, each written once for both directions.

Symbols are bytes of shape (outer, height, width, inner), a TFLite kernel's; None while reading.
"""

import numpy as np

from tflite_light.tflite.flatbuffer import Array
from tflite_light.tflite.packed.rans import Coder

Shape = tuple[int, int, int, int]
_SMALL_KERNEL = 9  # places, up to which the non-zeros before a place are counted
_MAGNITUDES = 129  # of a signed byte


def plain(coder: Coder, count: int, planes: int, symbols: Array | None) -> Array:
    """Each plane of bytes by its own frequencies; `symbols` has shape (planes, count).

    Where all planes before have a 0, a plane has frequencies of its own: pruned floats are zero
    in every byte, which then costs bits in the first alone.
    """
    out = np.empty((planes, count), np.uint8)
    blank = np.ones(count, np.uint8)
    for number in range(planes):
        stage = coder.stage(1 + (number > 0), 256)
        known = None if symbols is None else symbols[number]
        out[number] = stage.code(blank & (number > 0), known)
        blank &= out[number] == 0
    return out


def kernels(coder: Coder, shape: Shape, symbols: Array | None) -> Array:
    """Signed values, as three questions: is it zero, is it negative, how large is it.

    Place by place of the kernel, all kernels at once. Whether it is zero depends on the place, on
    how many before it are not, and on its neighbours to the left and above; the sign on theirs.
    """
    outer, height, width, inner = shape
    places, count = height * width, outer * inner
    counted = places if places <= _SMALL_KERNEL else 1
    filled = coder.stage(4 * counted * counted, 2)
    negative, magnitude = coder.stage(9, 2), coder.stage(2, _MAGNITUDES)
    out = np.zeros((height, width, count), np.int16)
    sign = np.zeros((height + 1, width + 1, count), np.int8)
    before = np.zeros(count, np.int16)
    known = None if symbols is None else _by_place(symbols.view(np.int8).astype(np.int16))
    for place in range(places):
        y, x = divmod(place, width)
        left, above = sign[y + 1, x], sign[y, x + 1]
        context = (left != 0) + np.int16(2) * (above != 0)
        if counted > 1:
            context = context + 4 * (place * counted + before)
        value = None if known is None else known[y, x]
        at = np.flatnonzero(filled.code(context, None if value is None else value != 0))
        value = None if value is None else value[at]
        context = 3 * left[at] + above[at] + 4
        minus = negative.code(context, None if value is None else value < 0)
        size = magnitude.code(minus, None if value is None else np.abs(value))
        out[y, x, at] = np.where(minus, -size, size)
        sign[y + 1, x + 1, at] = np.where(minus, -1, 1)
        before[at] += 1
    by_kernel = out.reshape(height, width, outer, inner).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(by_kernel).astype(np.uint8)


def _by_place(values: Array) -> Array:
    outer, height, width, inner = values.shape
    return values.transpose(1, 2, 0, 3).reshape(height, width, outer * inner)
