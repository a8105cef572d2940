"""A tensor's values as words of bits, and words as planes of bytes.

A word's form is its type here: bytes; floats of 2 and of 4 bytes, as unsigned integers; int32.
"""

import numpy as np

from tflite_light.tflite.flatbuffer import Array

FORMS = tuple(np.dtype(kind) for kind in ("u1", "<u2", "<u4", "<i4"))
BYTE, HALF, FLOAT, INTEGER = range(len(FORMS))
Form = np.dtype[np.generic]
_SIGN = np.uint32(1 << 31)


def planes_of(words: Array) -> Array:
    """Bytes of shape (bytes of a word, words), the highest first; `words_of` undoes it.

    Signs go to the lowest bit first: a float32's exponent is then a byte of its own, and small
    int32 of either sign are small numbers.
    """
    if words.dtype == FORMS[BYTE]:
        return words[None]
    bits = 8 * words.dtype.itemsize
    low = words >> (bits - 1)  # 0 or 1; of int32, 0 or all bits
    turned = words << 1 ^ low
    return np.ascontiguousarray(turned.view(np.uint8).reshape(-1, words.dtype.itemsize).T[::-1])


def words_of(planes: Array, form: Form) -> Array:
    if form == FORMS[BYTE]:
        return np.ravel(planes)
    unsigned = f"<u{form.itemsize}"
    turned = np.ascontiguousarray(planes[::-1].T).view(unsigned).ravel()
    sign = turned & 1
    high = 0 - sign if form == FORMS[INTEGER] else sign << (8 * form.itemsize - 1)
    words: Array = np.bitwise_xor(turned >> 1, high).view(form)
    return words


def ordered(words: Array) -> Array:
    """uint32 that rise as floats do: negative ones inverted, others behind them."""
    wide = words.astype(np.uint32) << (32 - 8 * words.dtype.itemsize)
    numbers: Array = wide ^ np.where(wide & _SIGN, ~np.uint32(0), _SIGN)
    return numbers


def disordered(numbers: Array, form: Form) -> Array:
    """The words of a form that `ordered` made numbers of."""
    wide = np.bitwise_xor(numbers, np.where(numbers & _SIGN, _SIGN, ~np.uint32(0)))
    return np.asarray((wide >> (32 - 8 * form.itemsize)).astype(form))
