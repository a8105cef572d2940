"""`docs/packed.md` is enough to write a reader: one written from it alone restores every form."""

from pathlib import Path

import numpy as np
import packed_reader
import pytest
from test_damage import FILES
from test_packed import clustered, with_kernels

from tflite_light.tflite import packed
from tflite_light.tflite.file import File

RANDOM = np.random.default_rng(0)
CASES = {
    **FILES,
    "codebooks": with_kernels(clustered((16, 3, 3, 16)), clustered((64, 64))),
    "large kernels": with_kernels(clustered((16, 5, 5, 16))),
    "halves": with_kernels(clustered((16, 3, 3, 16)).astype(np.float16)),
    "floats": with_kernels(RANDOM.normal(0, 1, (8, 3, 3, 32)).astype(np.float32)),
    "bytes": with_kernels(RANDOM.integers(-20, 20, (16, 3, 3, 16)).astype(np.int8)),
    "integers": with_kernels(np.arange(3000, dtype=np.int32) - 1500, RANDOM.integers(0, 2**40, 99)),
    "small": with_kernels(*[np.arange(10).astype(kind) for kind in ("f4", "i4", "f2", "u1")]),
}


def test_a_reader_written_from_the_page_restores_an_exported_file(model: Path) -> None:
    content = model.read_bytes()
    assert packed_reader.unpack(packed.pack(File(content))) == content


@pytest.mark.parametrize("kind", CASES)
def test_a_reader_written_from_the_page_restores_every_form(kind: str) -> None:
    assert packed_reader.unpack(packed.pack(File(CASES[kind]))) == CASES[kind]
