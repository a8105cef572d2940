"""One tensor: a codebook where it has few values, bytes by planes, and the model of its symbols."""

import lzma
from dataclasses import dataclass
from math import prod

import numpy as np

from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.packed import planes
from tflite_light.tflite.packed.planes import Shape
from tflite_light.tflite.packed.rans import Coder, Encoder
from tflite_light.tflite.packed.words import (
    Form,
    disordered,
    ordered,
    planes_of,
    words_of,
)

PLAIN, KERNELS = 1, 2  # models; 0 is none
_MOST = 256  # entries of a codebook
_LEAST_USES = 4  # of an entry, on average, that pay for it
_GAIN = 0.995  # what the slower model has to save
_HOPELESS = 1.15  # of a model's size at a quick look; what LZMA2 took less for had 0.96 at most
_LEARNT = 256  # bytes that LZMA2 has to save: it learns what else it codes anew
WINDOW = 1 << 20  # bytes of LZMA2 that a reader keeps; preset 9 would be 64 MiB
_LZMA2 = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": WINDOW, "lc": 0, "pb": 0}]


@dataclass(frozen=True)
class Plan:
    """How a tensor is written; `zero` is the symbol that signed ones are counted from."""

    model: int
    zero: int
    codebook: Array  # of the words' type, floats in rising order; empty where there is none


def plan(words: Array, shape: Shape) -> Plan | None:
    """The smallest one of the models that apply, tried; None where LZMA2 takes less."""
    codebook = _codebook(words)
    symbols = _symbols(words, codebook)
    zero = int(np.bincount(symbols[0]).argmax())
    choices = [Plan(PLAIN, zero, codebook)]
    if len(symbols) == 1:
        choices.append(Plan(KERNELS, zero, codebook))
    costs = [_cost(choice, words, shape) for choice in choices]
    best = int(np.argmin(costs))
    return choices[best] if _pays(costs[best], words) else None


def pools(words: Array) -> bool:
    """Whether small tensors, joined, take less by one model than by LZMA2."""
    return _pays(_cost(Plan(PLAIN, 0, words[:0]), words, (1, 1, 1, len(words))), words)


def code(coder: Coder, plan: Plan, shape: Shape, form: Form, words: Array | None) -> Array:
    """A tensor's words; given to be written, None to be read."""
    symbols = None if words is None else _symbols(words, plan.codebook)
    if plan.model == KERNELS:
        signed = None if symbols is None else (symbols[0] - np.uint8(plan.zero)).reshape(shape)
        found = (planes.kernels(coder, shape, signed) + np.uint8(plan.zero)).reshape(1, -1)
    else:
        depth = 1 if len(plan.codebook) else form.itemsize
        found = planes.plain(coder, prod(shape), depth, symbols)
    return _looked_up(found[0], plan.codebook) if len(plan.codebook) else words_of(found, form)


def steps(codebook: Array) -> Array:
    """From entry to entry, uint32: small numbers, as they rise. `codebook_of` undoes it."""
    return np.diff(ordered(codebook), prepend=np.uint32(0))


def codebook_of(steps: Array, form: Form) -> Array:
    return disordered(np.cumsum(steps, dtype=np.uint32), form)


def _codebook(words: Array) -> Array:
    """A tensor's values in the order of floats, where they are few for its size."""
    few = words.dtype.itemsize > 1 and len(np.unique(words[: 16 * _MOST])) <= _MOST
    values = np.unique(words) if few else words[:0]
    if len(values) > min(_MOST, len(words) // _LEAST_USES):
        return words[:0]
    return values[np.argsort(ordered(values))]


def _symbols(words: Array, codebook: Array) -> Array:
    """Bytes of shape (planes, words): places in the codebook, or the words' own."""
    if not len(codebook):
        return planes_of(words)
    return np.searchsorted(ordered(codebook), ordered(words)).astype(np.uint8)[None]


def _looked_up(places: Array, codebook: Array) -> Array:
    if places.max(initial=0) >= len(codebook):
        raise Damage("a value is not in its codebook")
    return np.take(codebook, places)


def _pays(cost: float, words: Array) -> bool:
    """LZMA2 finds repetitions, as in grouped convolutions that were made whole ones by zeros."""
    content = words.tobytes()
    if len(lzma.compress(content, preset=1)) > _HOPELESS * cost:
        return True  # without a thorough look, which takes ten times as long
    alone = len(lzma.compress(content, lzma.FORMAT_RAW, filters=_LZMA2))
    return cost <= alone + _LEARNT


def _cost(choice: Plan, words: Array, shape: Shape) -> float:
    """Bytes, and some more for models that are slower to read."""
    encoder = Encoder()
    code(encoder, choice, shape, words.dtype, words)
    size = encoder.size_bytes() + choice.codebook.nbytes
    return size * (_GAIN if choice.model == PLAIN else 1)
