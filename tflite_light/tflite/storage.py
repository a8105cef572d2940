"""How a `.tflite` file stores a tensor's values: packed types and sparse layouts made plain."""

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_light.tflite.flatbuffer import Array, Damage

_TYPES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
_PACKED = {"int4": (4, True), "uint4": (4, False), "int2": (2, True)}  # bits, signed
_PLAIN = {"bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))}
_PLAIN |= {"float16", "float32", "float64", "complex64", "complex128"}
FLOATS = {"float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"}
_DENSEST = 1000  # elements a byte or a row: above it a sparse shape is damage, not a saving


def type_name(number: int) -> str:
    """Such as `int8`; a type that is newer than the schema here has a number."""
    return str(_TYPES.get(number, f"type_{number}")).lower()


def is_readable(kind: str) -> bool:
    """Whether values of a type can be decoded: strings, resources and 8-bit floats cannot."""
    return kind in _PLAIN or kind in _PACKED or kind == "bfloat16"


def decode(data: Array, kind: str, shape: tuple[int, ...], sparsity: Any = None) -> Array:
    """A tensor's values as stored, of `shape`; `data` are its bytes, `sparsity` its layout.

    What a sparse tensor leaves out is 0. Bytes behind the last value are padding, as for LiteRT.
    Raises Damage where the parts do not fit.
    """
    if sparsity is not None:
        return _dense(_stored(data, kind), shape, sparsity, len(data))
    count = math.prod(shape)
    size = -(-count * _bits(kind) // 8)
    if len(data) < size:
        raise Damage(f"{len(data)} bytes cannot hold {kind} of shape {list(shape)}")
    return _stored(data[:size], kind)[:count].reshape(shape)


def less_zero_point(values: Array, quantization: Any) -> Array:
    """Integers as they are multiplied: what stands for 0 is 0. Unchanged where it already is."""
    points = quantization.zeroPoint if quantization else None
    if points is None or not np.any(points) or values.dtype.kind not in "iu":
        return values
    axis = quantization.quantizedDimension
    shape = [1] * values.ndim
    if len(points) > 1:
        if not 0 <= axis < values.ndim or values.shape[axis] != len(points):
            raise Damage(f"{len(points)} zero points do not fit shape {list(values.shape)}")
        shape[axis] = len(points)
    shifted: Array = values.astype(np.int64) - np.reshape(points[: max(shape, default=1)], shape)
    return shifted


def count_zeros(values: Array) -> int:
    return values.size - int(np.count_nonzero(values))


def count_distinct(values: Array) -> int:
    """How many different values there are, 0 among them."""
    return int(np.unique(values).size)


def _bits(kind: str) -> int:
    if kind in _PACKED:
        return _PACKED[kind][0]
    return 16 if kind == "bfloat16" else 8 * np.dtype(kind).itemsize


def _stored(data: Array, kind: str) -> Array:
    """All values in a tensor's bytes, in one row."""
    if kind in _PACKED:
        return _unpacked(data, *_PACKED[kind])
    content = data.tobytes()
    if len(content) * 8 % _bits(kind):
        raise Damage(f"{len(content)} bytes hold no whole number of {kind} values")
    if kind == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32)
    values = np.frombuffer(content, kind)
    # NumPy 2.4 sorts float16 wrongly where a processor has AVX512_ICL, and counts too many values.
    return values.astype(np.float32) if kind == "float16" else values


def _unpacked(data: Array, bits: int, signed: bool) -> Array:
    """Values of less than a byte; the lowest bits are the first value."""
    parts = data.astype(np.uint8)[:, None] >> np.arange(0, 8, bits, dtype=np.uint8)
    values: Array = (parts & (2**bits - 1)).astype(np.int8).ravel()
    if signed:
        values[values >= 2 ** (bits - 1)] -= 2**bits
    return values


def _dense(stored: Array, shape: tuple[int, ...], sparsity: Any, size: int) -> Array:
    """Sparse values put where they belong.

    The layout is TACO's (Kjolstad et al. 2017), as `lite/schema/schema.fbs` of TensorFlow describes
    it: one level a dimension in `traversalOrder`, each dense or compressed sparse rows; dimensions
    behind the tensor's own are blocks of those that `blockMap` names.
    """
    order, blocks = (integers(part) for part in (sparsity.traversalOrder, sparsity.blockMap))
    rank, levels = len(shape), sparsity.dimMetadata or []
    entries = max([len(stored), *(_places(level.arraySegments).size for level in levels)])
    if sorted(order) != list(range(rank + len(blocks))) or len(levels) != len(order):
        raise Damage("a sparse tensor's levels do not fit its shape")
    most = _DENSEST * max(size, entries)
    if math.prod(shape) > most or not all(0 <= axis < rank for axis in blocks):
        raise Damage("a sparse tensor's values do not fit its shape")
    count, places, sides = 1, dict[int, Array](), dict[int, int]()
    for axis, level in zip(order, levels, strict=True):
        parents, here = _children(level, count, entries)
        places = {other: place[parents] for other, place in places.items()} | {axis: here}
        count, sides[axis] = len(here), level.denseSize
    for block, axis in enumerate(blocks, start=rank):
        places[axis] = places[axis] * sides[block] + places[block]
    if count != len(stored) or any(
        count and not 0 <= places[axis].min() <= places[axis].max() < shape[axis]
        for axis in range(rank)
    ):
        raise Damage("a sparse tensor's values do not fit its shape")
    values = np.zeros(shape, stored.dtype)
    values[tuple(places[axis] for axis in range(rank))] = stored
    return values


def _children(level: Any, count: int, most: int) -> tuple[Array, Array]:
    """Of each entry one level further in: which of the `count` entries it is in, and its place.

    A dense level has no more than `most`: it ends in values, or in a level with a segment for each.
    """
    if level.format == schema.DimensionType.DENSE:
        if not 0 <= count * level.denseSize <= most:
            raise Damage("a sparse tensor's level is too large")
        parents, places = np.divmod(np.arange(count * level.denseSize), max(level.denseSize, 1))
        return parents, places
    segments, places = _places(level.arraySegments), _places(level.arrayIndices)
    lengths = np.diff(segments)
    if segments.size != count + 1 or (segments[0], segments[-1]) != (0, places.size):
        raise Damage("a sparse tensor's segments do not fit its indices")
    if lengths.min(initial=0) < 0:
        raise Damage("a sparse tensor's segments do not fit its indices")
    return np.repeat(np.arange(count), lengths), places


def _places(part: Any) -> Array:
    values = part.values if part else None
    return np.empty(0, np.int64) if values is None else np.asarray(values, np.int64)


def integers(numbers: Any) -> list[int]:
    """A record's vector, which is None where it is left out."""
    return [] if numbers is None else [int(number) for number in numbers]
