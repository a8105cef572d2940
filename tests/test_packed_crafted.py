"""Packed files made on purpose, whose checksum fits: few bytes never fill a reader's memory."""

import lzma
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, complaint
from tflites import GraphWriter, Writer

from tflite_light.errors import UserError
from tflite_light.tflite import packed
from tflite_light.tflite.file import File

BYTES = (1, 2, 4, 4)  # of a word of each form
STEPS = bytes(3 * (256 + 3 * 2 * 256))  # tables of the three tensors that are no records
PLAIN, KERNELS = bytes(256), bytes(4 * 2 + 9 * 2 + 2 * 129)  # every symbol is 0, and takes no word
FILLED = (b"\0\1" * 4) + (b"\0\1" * 9) + 2 * (b"\0\1" + bytes(127))  # every one is -1
Row = tuple[int, ...]  # gap, four sides, form, model, entries, zero


def crafted(rows: list[Row], tables: bytes = b"", rest: bytes = b"", **claims: Any) -> bytes:
    """A packed file of one lane that says what it is told to say."""
    records = b"".join(struct.pack("<QIHHIBBHB", *row) for row in rows)
    head = struct.pack("<II", claims.get("count", len(rows)), len(STEPS + tables))
    head += records + STEPS + tables + rest
    window = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": claims.get("window", 1 << 20)}
    small = lzma.compress(head, lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=[window])
    size = sum(int(np.prod(row[1:5], dtype=object)) * BYTES[row[5]] for row in rows) + len(rest)
    sizes = (claims.get("size", size), claims.get("head", len(head)), len(small), 1, bytes(32))
    body = struct.pack("<QIIH32s", *sizes) + small + struct.pack("<I", 1 << 16)
    return struct.pack("<4sBIQ", b"TFLp", 1, zlib.crc32(body), len(body)) + body


def row(words: int, form: int = 0, model: int = 1, entries: int = 0) -> Row:
    return (0, words, 1, 1, 1, form, model, entries, 0)


ENDLESS: dict[str, tuple[bytes, str]] = {
    "a file of 2^40 bytes": (crafted([], size=1 << 40), "its sizes are out of range"),
    "a file of 2^24 + 1 bytes in 200": (crafted([row(2**24 + 1)], PLAIN), "sizes are out of range"),
    "a head of 4 GiB": (crafted([], head=2**32 - 1), "its sizes are out of range"),
    "a head of 17 MiB in 3 KiB": (crafted([], rest=bytes(17 << 20)), "its sizes are out of range"),
    "more in its head than it says": (crafted([], rest=bytes(1 << 20), head=99), "of another size"),
    "a window of 48 MiB": (crafted([], window=48 << 20), "Memory usage limit exceeded"),
    "2^32 records": (crafted([], rest=bytes(99), count=2**32 - 1), "its head ends early"),
    "empty records": (crafted([row(0)] * 9999, rest=bytes(2**18)), "smaller than its record"),
    "records for each byte": (crafted([row(1)] * 9999), "more tensors than fit the file"),
    "2^64 kernels of no place": (
        crafted([(0, 2**32 - 1, 0, 0, 2**32 - 1, 0, 2, 0, 0)], KERNELS, bytes(99)),
        "smaller than its record",
    ),
    "codebooks larger than their tensors": (
        crafted([row(16, 2, 1, 256)] * 999, bytes(7 * 256) * 999),
        "smaller than its record",
    ),
    "a tensor larger than the file": (
        crafted([row(1 << 31)], PLAIN, size=1 << 20),
        "a tensor is too large",
    ),
}  # fmt: skip


def refused(small: bytes) -> tuple[str, int]:
    """What is said about a file, and the most bytes that were held at once until then."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as error:
            packed.unpack(small, "x.packed")
        return str(error.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ENDLESS)
def test_claims_are_refused_before_memory_is_taken(kind: str) -> None:
    small, problem = ENDLESS[kind]
    message, peak = refused(small)
    assert message.startswith("x.packed is damaged: ")
    assert problem in message
    assert message.endswith(".\nhint: Copy or download it again.")
    assert peak < 20 << 20


@pytest.mark.parametrize(
    ("tables", "form", "model", "most"),
    [(PLAIN, 0, 1, 8), (bytes(7 * 256), 2, 1, 8), (KERNELS, 0, 2, 16), (FILLED, 0, 2, 32)],
    ids=["bytes", "floats", "zeros in kernels", "kernels"],
)
def test_a_reader_takes_few_times_the_file(tables: bytes, form: int, model: int, most: int) -> None:
    """Symbols that take no bits: 200 bytes are a tensor of 4 MiB."""
    small = crafted([row((4 << 20) // BYTES[form], form, model)], tables)
    message, peak = refused(small)
    assert len(small) < 200
    assert "what it holds is not what was packed" in message
    assert peak < most * (4 << 20)


def test_many_records_take_little() -> None:
    message, peak = refused(crafted([row(4, 2, 0)] * 10_000))
    assert "what it holds is not what was packed" in message
    assert peak < 10_000 * 1000


def with_zeros(size: int) -> bytes:
    writer = Writer()
    graph: GraphWriter = writer.graph("main")
    graph.constant(np.zeros(size, np.uint8))
    return writer.bytes()


def test_what_would_not_be_unpacked_is_not_packed() -> None:
    fits = with_zeros(15 << 20)
    small = packed.pack(File(fits))
    assert len(fits) > 1000 * len(small)
    assert packed.unpack(small) == fits
    with pytest.raises(UserError, match=r"17,8\d\d,\d{3} bytes would become less than 1/200"):
        packed.pack(File(with_zeros(17 << 20)))


def test_crafted_files_write_nothing(call: Call, tmp_path: Path) -> None:
    for number, (small, problem) in enumerate(ENDLESS.values()):
        (tmp_path / f"{number}.packed").write_bytes(small)
        assert problem in complaint(call("unpack", f"{number}.packed"))
    assert {path.suffix for path in tmp_path.iterdir()} == {".packed"}
