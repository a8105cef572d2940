"""A `.tflite` in the form that it is downloaded in; `docs/packed.md` describes every byte.

What the tensors hold is coded by models of weights, everything else by zlib.
"""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from struct import Struct

import numpy as np

from tflite_light.errors import UserError
from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Array, Damage
from tflite_light.tflite.packed import tensors
from tflite_light.tflite.packed.constants import Constant, constants
from tflite_light.tflite.packed.planes import Shape
from tflite_light.tflite.packed.rans import Coder, Decoder, Encoder
from tflite_light.tflite.packed.tensors import Plan

MAGIC, VERSION = b"TFLp", 1
LARGEST_BYTES = 1 << 30  # of the file: what a reader may be made to allocate
_START = Struct("<4sBxHI")  # magic, version, lanes, CRC-32 of all that follows
_SIZES = Struct("<QII32s")  # of the file, of the head, of the head deflated; the file's SHA-256
_COUNTS = Struct("<II")  # records, bytes of tables
_RECORD = Struct("<QIHHIBBHB")  # from the last one's end; shape; width, model, codebook, zero
_LARGE = 4096  # bytes, from which a tensor has frequencies of its own
_LANE = 8192  # symbols, for each of which a lane pays its two bytes
_MOST_LANES = 1024


@dataclass(frozen=True)
class _Record:
    constant: Constant
    plan: Plan


def pack(file: File) -> bytes:
    """Raises UserError where a file is too large."""
    content = file.content
    if len(content) > LARGEST_BYTES:
        raise UserError(
            f"{len(content):,} bytes are more than can be packed: {LARGEST_BYTES:,}.",
            "Send it by a tool for files of any kind, such as xz.",
        )
    records, coder = list(_records(file)), Encoder()
    for record in records:
        if record.plan.model:
            _code(coder, record, _words_at(content, record.constant))
    lanes = min(max(coder.symbols() // _LANE, 1), _MOST_LANES)
    head = _head(content, records, coder.tables())
    deflated = zlib.compress(head, 9)
    digest = hashlib.sha256(content).digest()
    sizes = _SIZES.pack(len(content), len(head), len(deflated), digest)
    body = sizes + deflated + coder.words(lanes).tobytes()
    return _START.pack(MAGIC, VERSION, lanes, zlib.crc32(body)) + body


def unpack(packed: bytes) -> bytes:
    """The file, to the bit. Raises Damage with what is wrong, also where it is of another kind."""
    lanes, body = _checked(packed)
    if len(body) < _SIZES.size:
        raise Damage("it was cut off")
    size, head_size, deflated, digest = _SIZES.unpack_from(body)
    if max(size, head_size) > LARGEST_BYTES:
        raise Damage("it claims to hold more than 1 GiB")
    words = body[_SIZES.size + deflated :]
    head = _Head(_inflated(body[_SIZES.size : _SIZES.size + deflated], head_size))
    if len(words) % 2:
        raise Damage("half a word is left over")
    content = _restored(head, np.frombuffer(words, "<u2"), lanes, size)
    if hashlib.sha256(content).digest() != digest:
        raise Damage("what it holds is not what was packed")
    return content


def _records(file: File) -> Iterator[_Record]:
    for one in constants(file):
        if one.count * one.width >= _LARGE:
            yield _Record(one, tensors.plan(_words_at(file.content, one), one.shape))
        elif one.width == 4:
            yield _Record(one, Plan(0, 0, tensors.NO_CODEBOOK))


def _code(coder: Coder, record: _Record, words: Array | None) -> Array:
    one = record.constant
    return tensors.code(coder, record.plan, one.shape, one.width, words)


def _words_at(content: bytes, one: Constant) -> Array:
    return np.frombuffer(content, f"<u{one.width}", one.count, one.start)


def _head(content: bytes, records: list[_Record], tables: list[Array]) -> bytes:
    """All that is deflated: counts, records, tables, small tensors, codebooks, the file's rest."""
    ends = [0, *(record.constant.end for record in records)]
    rows = [_row(record, end) for record, end in zip(records, ends, strict=False)]
    table = np.concatenate([NO_TABLE, *(one.ravel() for one in tables)])
    small = [_words_at(content, record.constant) for record in records if not record.plan.model]
    codebooks = [tensors.steps(record.plan.codebook) for record in records]
    starts = [*(record.constant.start for record in records), len(content)]
    rest = [content[end:start] for end, start in zip(ends, starts, strict=True)]
    return b"".join(
        [
            _COUNTS.pack(len(rows), len(table)),
            *rows,
            np.diff(table, prepend=np.uint8(0)).tobytes(),
            tensors.shuffled(np.concatenate([tensors.NO_CODEBOOK, *small])),
            tensors.shuffled(np.concatenate([tensors.NO_CODEBOOK, *codebooks])),
            *rest,
        ]
    )


NO_TABLE = np.empty(0, np.uint8)


def _row(record: _Record, end: int) -> bytes:
    one, plan = record.constant, record.plan
    entries = len(plan.codebook)
    return _RECORD.pack(one.start - end, *one.shape, one.width, plan.model, entries, plan.zero)


def _checked(packed: bytes) -> tuple[int, bytes]:
    """Lanes and body of a file that is whole and of this version."""
    if packed[: len(MAGIC)] != MAGIC[: len(packed)] or not packed:
        raise Damage("it is not a packed file")
    if len(packed) < _START.size:
        raise Damage("it was cut off")
    _, version, lanes, checksum = _START.unpack_from(packed)
    if version > VERSION:
        raise Damage(f"it is of version {version}, newer than {VERSION}, which is read here")
    body = packed[_START.size :]
    if zlib.crc32(body) != checksum:
        raise Damage("it was cut off or changed: its checksum is another")
    return lanes, body


def _inflated(deflated: bytes, size: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        head = stream.decompress(deflated, size + 1)
    except zlib.error as error:
        raise Damage(str(error)) from None
    if len(head) != size or not stream.eof:
        raise Damage("its head is of another size")
    return head


@dataclass
class _Head:
    """Takes the parts of the head in their order."""

    content: bytes

    def take(self, size: int) -> bytes:
        if size > len(self.content):
            raise Damage("its head ends early")
        part, self.content = self.content[:size], self.content[size:]
        return part

    def words(self, counts: list[int]) -> list[Array]:
        """What was shuffled, divided into so many each."""
        words = tensors.unshuffled(self.take(4 * sum(counts)))
        bounds = [0, *np.cumsum(counts).tolist()]
        return [words[start:end] for start, end in pairwise(bounds)]


@dataclass(frozen=True)
class _Entry:
    """A record as it is read, before its codebook is known."""

    gap: int
    shape: Shape
    width: int
    model: int
    entries: int
    zero: int

    @classmethod
    def of(cls, row: bytes) -> "_Entry":
        gap, outer, height, wide, inner, width, model, entries, zero = _RECORD.unpack(row)
        entry = cls(gap, (outer, height, wide, inner), width, model, entries, zero)
        one_plane = entries or width == 1
        if width not in (1, 2, 4) or model > tensors.KERNELS or entries > 256:
            raise Damage("a record is out of range")
        if (model == tensors.KERNELS and not one_plane) or (not model and (width != 4 or entries)):
            raise Damage("a record contradicts itself")
        return entry

    @property
    def bytes(self) -> int:
        return prod(self.shape) * self.width


def _restored(head: _Head, words: Array, lanes: int, size: int) -> bytes:
    records, tables = _COUNTS.unpack(head.take(_COUNTS.size))
    entries = [_Entry.of(row) for (row,) in Struct(f"{_RECORD.size}s").iter_unpack(head.take(records * _RECORD.size))]
    if sum(entry.gap + entry.bytes for entry in entries) > size:
        raise Damage("its tensors are larger than the file")
    levels = np.cumsum(np.frombuffer(head.take(tables), np.uint8), dtype=np.uint8)
    coder = Decoder(levels, words, lanes)
    small = head.words([0 if entry.model else prod(entry.shape) for entry in entries])
    steps = head.words([entry.entries for entry in entries])
    parts = list[bytes]()
    for entry, values, step in zip(entries, small, steps, strict=True):
        if entry.model:
            plan = Plan(entry.model, entry.zero, tensors.codebook_of(step, entry.width))
            values = tensors.code(coder, plan, entry.shape, entry.width, None)
        parts += [head.take(entry.gap), values.tobytes()]
    coder.finish()
    content = b"".join([*parts, head.content])
    if len(content) != size:
        raise Damage("it holds another number of bytes than it says")
    return content
