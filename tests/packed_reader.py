"""A second reader of packed files, written from `docs/packed.md` alone: slow, and plain Python."""

import hashlib
import lzma
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from typing import NamedTuple

FULL = 1 << 14
FORMS = {0: 1, 1: 2, 2: 4, 3: 4}  # bytes of a word
Table = tuple[list[int], list[int]]


class Record(NamedTuple):
    gap: int
    outer: int
    height: int
    width: int
    inner: int
    form: int
    model: int
    entries: int
    zero: int

    @property
    def words(self) -> int:
        return self.outer * self.height * self.width * self.inner


def unpack(packed: bytes) -> bytes:
    magic, version, checksum, length = struct.unpack_from("<4sBIQ", packed)
    assert (magic, version, length) == (b"TFLp", 1, len(packed) - 17)
    assert zlib.crc32(packed[17:]) == checksum
    size, large, small, lanes, digest = struct.unpack_from("<QIIH32s", packed, 17)
    head = lzma.decompress(packed[67 : 67 + small], lzma.FORMAT_XZ)
    assert len(head) == large
    count, table_bytes = struct.unpack_from("<II", head)
    layout = struct.Struct("<QIHHIBBHB")
    records = [Record(*layout.unpack_from(head, 8 + layout.size * i)) for i in range(count)]
    at = 8 + layout.size * count
    coder = Coder(head[at : at + table_bytes], packed[67 + small :], lanes)
    content = file(records, tensors(records, coder), head[at + table_bytes :])
    coder.finish()
    assert (len(content), hashlib.sha256(content).digest()) == (size, digest)
    return content


def file(records: list[Record], tensors: list[bytes], rest: bytes) -> bytes:
    content, at = [], 0
    for record, tensor in zip(records, tensors, strict=True):
        content += [rest[at : at + record.gap], tensor]
        at += record.gap
    return b"".join([*content, rest[at:]])


def tensors(records: list[Record], coder: "Coder") -> list[bytes]:
    steps = iter(plain(coder, sum(record.entries for record in records), 2))
    books = [entries([next(steps) for _ in range(one.entries)], one.form) for one in records]
    small = {
        form: iter(plain(coder, sum(r.words for r in records if (r.model, r.form) == (0, form)), form))
        for form in (2, 3)
    }  # fmt: skip
    return [tensor(*pair, coder, small) for pair in zip(records, books, strict=True)]


def tensor(
    record: Record, book: list[int], coder: "Coder", small: dict[int, Iterator[int]]
) -> bytes:
    match record.model:
        case 0:
            words = [next(small[record.form]) for _ in range(record.words)]
        case 1:
            words = plain(coder, record.words, 0 if book else record.form)
        case 2:
            words = kernels(coder, record)
    words = [book[word] for word in words] if book else words
    return b"".join(word.to_bytes(FORMS[record.form], "little") for word in words)


def entries(steps: list[int], form: int) -> list[int]:
    sums = (total % 2**32 for total in accumulate(steps))
    words = (s ^ 2**31 if s >> 31 else s ^ (2**32 - 1) for s in sums)
    return [word >> 16 if form == 1 else word for word in words]


def plain(coder: "Coder", count: int, form: int) -> list[int]:
    words = [0] * count
    for plane in range(FORMS[form]):
        stage = coder.stage(2 if plane else 1, 256)
        contexts = [int(word == 0) if plane else 0 for word in words]
        symbols = coder.symbols(stage, contexts)
        words = [word << 8 | symbol for word, symbol in zip(words, symbols, strict=True)]
    return [unsigned(word, form) for word in words]


def unsigned(word: int, form: int) -> int:
    """The word whose sign was moved to the lowest bit."""
    if form == 0:
        return word
    if form == 3:
        return word >> 1 ^ (2**32 - 1 if word & 1 else 0)
    return word >> 1 | (word & 1) << (8 * FORMS[form] - 1)


def kernels(coder: "Coder", record: Record) -> list[int]:
    outer, height, width, inner = record[1:5]
    places = height * width
    counted = places <= 9
    filled = coder.stage(4 * places**2 if counted else 4, 2)
    negative, magnitude = coder.stage(9, 2), coder.stage(2, 129)
    number = outer * inner
    values: dict[tuple[int, int], list[int]] = {}
    before = [0] * number
    for row, column in product(range(height), range(width)):
        left = values.get((row, column - 1), [0] * number)
        above = values.get((row - 1, column), [0] * number)
        place = row * width + column
        contexts = [
            bool(a) + 2 * bool(b) + 4 * counted * (place * places + n)
            for a, b, n in zip(left, above, before, strict=True)
        ]
        asked = coder.symbols(filled, contexts)
        where = [kernel for kernel in range(number) if asked[kernel]]
        signs = coder.symbols(negative, [3 * sign(left[k]) + sign(above[k]) + 4 for k in where])
        sizes = coder.symbols(magnitude, signs)
        now = values[row, column] = [0] * number
        for kernel, minus, size in zip(where, signs, sizes, strict=True):
            now[kernel] = -size if minus else size
        before = [n + one for n, one in zip(before, asked, strict=True)]
    return [
        (record.zero + values[row, column][first * inner + last]) % 256
        for first, row, column, last in product(*map(range, record[1:5]))
    ]


def sign(value: int) -> int:
    return (value > 0) - (value < 0)


class Coder:
    """Symbols out of words of 2 bytes, by interleaved rANS."""

    def __init__(self, tables: bytes, words: bytes, lanes: int) -> None:
        self.tables = tables
        self.states = list(struct.unpack_from(f"<{lanes}I", words))
        self.words = iter(struct.unpack(f"<{len(words) // 2 - 2 * lanes}H", words[4 * lanes :]))

    def stage(self, contexts: int, alphabet: int) -> list[Table]:
        taken, self.tables = self.tables[: contexts * alphabet], self.tables[contexts * alphabet :]
        return [table(taken[alphabet * i : alphabet * (i + 1)]) for i in range(contexts)]

    def symbols(self, stage: list[Table], contexts: Sequence[int]) -> list[int]:
        lane, found = 0, []
        for context in contexts:
            shares, starts = stage[context]
            if max(shares) == FULL:
                found.append(shares.index(FULL))
                continue
            found.append(self.symbol(lane, shares, starts))
            lane = (lane + 1) % len(self.states)
        return found

    def symbol(self, lane: int, shares: list[int], starts: list[int]) -> int:
        state = self.states[lane]
        number = state % FULL
        symbol = bisect_right(starts, number) - 1  # of symbols that start together, the last one
        state = shares[symbol] * (state >> 14) + number - starts[symbol]
        self.states[lane] = state << 16 | next(self.words) if state < 65536 else state
        return symbol

    def finish(self) -> None:
        assert not self.tables
        assert next(self.words, None) is None
        assert set(self.states) == {65536}


def table(taken: bytes) -> Table:
    weights = [(8 + (b - 1) % 8) << (b - 1) // 8 if b else 0 for b in taken]
    total, above = sum(weights), sum(weight > 0 for weight in weights)
    shares = [1 + weight * (FULL - above) // total if weight else 0 for weight in weights]
    shares[shares.index(max(shares))] += FULL - sum(shares)
    return shares, [end - share for end, share in zip(accumulate(shares), shares, strict=True)]
