"""One tensor: a codebook where it has few values, bytes by planes, and the model of its symbols."""

from dataclasses import dataclass
from math import prod

import numpy as np

from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.packed import planes
from tflite_light.tflite.packed.planes import Shape
from tflite_light.tflite.packed.rans import Coder, Encoder

PLAIN, KERNELS = 1, 2  # models; 0 is none
_MOST = 256  # entries of a codebook
_LEAST_USES = 4  # of an entry, on average, that pay for it
_GAIN = 0.995  # what the slower model has to save
_NEGATIVE = np.uint32(1 << 31)
NONE = np.empty(0, np.uint32)


@dataclass(frozen=True)
class Plan:
    """How a tensor is written; `zero` is the symbol that signed ones are counted from."""

    model: int
    zero: int
    codebook: Array  # of the words' type, floats in rising order; empty where there is none


def plan(words: Array, shape: Shape) -> Plan:
    """The smaller one of the models that apply, tried."""
    codebook = _codebook(words)
    symbols = _symbols(words, codebook)
    zero = int(np.bincount(symbols[0]).argmax())
    choices = [Plan(PLAIN, zero, codebook)]
    if len(symbols) == 1:
        choices.append(Plan(KERNELS, zero, codebook))
    return min(choices, key=lambda choice: _cost(choice, words, shape))


def code(coder: Coder, plan: Plan, shape: Shape, width: int, words: Array | None) -> Array:
    """A tensor's words, of `width` bytes; given to be written, None to be read."""
    symbols = None if words is None else _symbols(words, plan.codebook)
    if plan.model == KERNELS:
        signed = None if symbols is None else (symbols[0] - np.uint8(plan.zero)).reshape(shape)
        found = planes.kernels(coder, shape, signed) + np.uint8(plan.zero)
        return _words(found.reshape(1, -1), plan.codebook, width)
    depth = 1 if len(plan.codebook) else width
    return _words(planes.plain(coder, prod(shape), depth, symbols), plan.codebook, width)


def steps(codebook: Array) -> Array:
    """From entry to entry, uint32: small numbers, as they rise. `codebook_of` undoes it."""
    return np.diff(_ordered(codebook), prepend=np.uint32(0))


def codebook_of(steps: Array, width: int) -> Array:
    ordered = np.cumsum(steps, dtype=np.uint32)
    wide = ordered ^ np.where(ordered & _NEGATIVE, _NEGATIVE, ~np.uint32(0))
    return (wide >> (32 - 8 * width)).astype(f"<u{width}")


def _ordered(words: Array) -> Array:
    """Floats as uint32 that rise as they do: negative ones inverted, others behind them."""
    wide = words.astype(np.uint32) << (32 - 8 * words.dtype.itemsize)
    return wide ^ np.where(wide & _NEGATIVE, ~np.uint32(0), _NEGATIVE)


def _codebook(words: Array) -> Array:
    """A tensor's values, where they are few for its size."""
    few = words.dtype.itemsize > 1 and len(np.unique(words[: 16 * _MOST])) <= _MOST
    values = np.unique(words) if few else words[:0]
    if len(values) > min(_MOST, len(words) // _LEAST_USES):
        return words[:0]
    return values[np.argsort(_ordered(values))]


def _symbols(words: Array, codebook: Array) -> Array:
    """Bytes of shape (planes, words): places in the codebook, or the words' own, highest first.

    Words are turned by a bit first, so that a float32's exponent is a byte and its sign the last.
    """
    if len(codebook):
        places = np.searchsorted(_ordered(codebook), _ordered(words))
        return places.astype(np.uint8)[None]
    width = words.dtype.itemsize
    if width == 1:
        return words[None]
    turned = (words << 1) | (words >> (8 * width - 1))
    return np.ascontiguousarray(turned.view(np.uint8).reshape(-1, width).T[::-1])


def _words(symbols: Array, codebook: Array, width: int) -> Array:
    if len(codebook):
        if symbols.max(initial=0) >= len(codebook):
            raise Damage("a value is not in its codebook")
        return codebook[symbols[0]]
    if width == 1:
        return symbols[0]
    turned = np.ascontiguousarray(symbols[::-1].T).view(f"<u{width}").ravel()
    return (turned >> 1) | (turned << (8 * width - 1))


def _cost(choice: Plan, words: Array, shape: Shape) -> float:
    encoder = Encoder()
    code(encoder, choice, shape, words.dtype.itemsize, words)
    return encoder.size_bytes() * (_GAIN if choice.model == PLAIN else 1)
