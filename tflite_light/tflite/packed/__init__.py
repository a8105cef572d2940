"""A `.tflite` in the form that it is downloaded in; `docs/packed.md` describes every byte.

Values of tensors are coded by models of weights (`planes.py`), all else by LZMA2 (`head.py`).
"""

import hashlib
import zlib
from collections.abc import Sequence
from struct import Struct

import numpy as np

from tflite_light.errors import UserError
from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.packed import tensors
from tflite_light.tflite.packed.constants import constants
from tflite_light.tflite.packed.head import Head, Tensor
from tflite_light.tflite.packed.rans import Coder, Decoder, Encoder
from tflite_light.tflite.packed.tensors import Plan

MAGIC, VERSION = b"TFLp", 1
LARGEST_BYTES = 1 << 30  # of the file: what a reader may be made to allocate
_START = Struct("<4sBxHI")  # magic, version, lanes, CRC-32 of all that follows
_SIZES = Struct("<QII32s")  # of the file, of the head, of the head compressed; the file's SHA-256
_LARGE = 4096  # bytes, from which a tensor has frequencies of its own
_LANE = 4096  # symbols, for each of which a lane pays its two bytes
_MOST_LANES = 1024


def pack(file: File) -> bytes:
    """Raises UserError where a file is too large."""
    content = file.content
    if len(content) > LARGEST_BYTES:
        raise UserError(
            f"{len(content):,} bytes are more than can be packed, {LARGEST_BYTES:,}.",
            "Compress it by a tool for files of any kind, such as xz.",
        )
    found, words, plans, rest, end = list[Tensor](), list[Array](), list[Plan](), b"", 0
    for one in constants(file):
        values = np.frombuffer(content, f"<u{one.width}", one.count, one.start)
        if len(values) * one.width >= _LARGE:
            plan = tensors.plan(values, one.shape)
        elif one.width == 4:
            plan = Plan(0, 0, values[:0])
        else:
            continue
        gap, end, rest = one.start - end, one.end, rest + content[end : one.start]
        entries = len(plan.codebook)
        found.append(Tensor(gap, one.shape, one.width, plan.model, entries, plan.zero))
        words.append(values)
        plans.append(plan)
    coder = Encoder()
    _code(coder, found, plans, words)
    return _container(content, Head(found, coder.tables(), rest + content[end:]), coder)


def unpack(packed: bytes) -> bytes:
    """The file, to the bit. Raises Damage with what is wrong, also where it is of another kind."""
    lanes, body = _checked(packed)
    size, head_size, compressed, digest = _SIZES.unpack_from(body)
    if max(size, head_size) > LARGEST_BYTES:
        raise Damage("it claims to hold more than 1 GiB")
    head = Head.of(body[_SIZES.size : _SIZES.size + compressed], head_size)
    words = body[_SIZES.size + compressed :]
    if head.size_bytes() != size or len(words) % 2:
        raise Damage("its parts do not fit its size")
    coder = Decoder(head.tables, np.frombuffer(words, "<u2"), lanes)
    content = _joined(head, _code(coder, head.tensors, None, None))
    coder.finish()
    if hashlib.sha256(content).digest() != digest:
        raise Damage("what it holds is not what was packed")
    return content


def _code(
    coder: Coder, found: Sequence[Tensor], plans: list[Plan] | None, words: list[Array] | None
) -> list[Array]:
    """Codebooks, all small tensors, then each of the others: the words of every tensor."""
    books = None if plans is None else [tensors.steps(plan.codebook) for plan in plans]
    books = _pool(coder, [one.entries for one in found], books)
    small = None if words is None else [w for w, one in zip(words, found, strict=True) if not one.model]
    pooled = iter(_pool(coder, [one.count for one in found if not one.model], small))
    out = list[Array]()
    for number, one in enumerate(found):
        if not one.model:
            out.append(next(pooled))
            continue
        plan = Plan(one.model, one.zero, tensors.codebook_of(books[number], one.width))
        known = None if words is None else words[number]
        out.append(tensors.code(coder, plan, one.shape, one.width, known))
    return out


def _pool(coder: Coder, counts: list[int], words: list[Array] | None) -> list[Array]:
    """Lists of 4-byte words as if they were one tensor."""
    known = None if words is None else np.concatenate([tensors.NONE, *words])
    plan = Plan(tensors.PLAIN, 0, tensors.NONE)
    joined = tensors.code(coder, plan, (1, 1, 1, sum(counts)), 4, known)
    return np.split(joined, np.cumsum(counts)[:-1]) if counts else []


def _joined(head: Head, words: list[Array]) -> bytes:
    """The file: its tensors where they belong, and its rest."""
    parts, at = list[bytes](), 0
    for one, values in zip(head.tensors, words, strict=True):
        parts += [head.rest[at : at + one.gap], values.tobytes()]
        at += one.gap
    return b"".join([*parts, head.rest[at:]])


def _container(content: bytes, head: Head, coder: Encoder) -> bytes:
    lanes = min(max(coder.symbols() // _LANE, 1), _MOST_LANES)
    size, compressed = head.compressed()
    digest = hashlib.sha256(content).digest()
    sizes = _SIZES.pack(len(content), size, len(compressed), digest)
    body = sizes + compressed + coder.words(lanes).tobytes()
    return _START.pack(MAGIC, VERSION, lanes, zlib.crc32(body)) + body


def _checked(packed: bytes) -> tuple[int, bytes]:
    """Lanes and body of a file that is whole and of this version."""
    if packed[: len(MAGIC)] != MAGIC:
        raise Damage("it is not a packed file")
    if len(packed) < _START.size + _SIZES.size:
        raise Damage("it was cut off")
    _, version, lanes, checksum = _START.unpack_from(packed)
    if version > VERSION:
        raise Damage(f"it is of version {version}, newer than {VERSION}, which is read here")
    body = packed[_START.size :]
    if zlib.crc32(body) != checksum:
        raise Damage("it was cut off or changed: its checksum is another")
    return lanes, body
