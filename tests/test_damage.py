"""Files that somebody changed: each is read, or refused in words; nothing hangs or takes memory."""

import contextlib
import io
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflites import KINDS

from tflite_light.errors import UserError
from tflite_light.report import costs
from tflite_light.runs.inspecting import inspect
from tflite_light.tflite.promises import Zeros

MUTATIONS = 40_000
FILES = {name: make() for name, make in KINDS.items()}
PEAK = 64 * 1024  # KiB that reading one of these files, of 2 kB, may add to the process
Edit = Callable[[bytearray], None]

places = st.integers(0, max(map(len, FILES.values())))
numbers = st.one_of(
    st.sampled_from([0, 1, 2, -1, -2, 127, 128, 255, 2**15, 2**16, 2**31 - 1, -(2**31)]),
    st.integers(-300, 3000),
    st.integers(-(2**31), 2**31 - 1),
)


def _flip(place: int, bits: int) -> Edit:
    def edit(content: bytearray) -> None:
        content[place % len(content)] ^= bits

    return edit


def _write(place: int, number: int, size: int) -> Edit:
    """A field changed: at a multiple of its size, as writers align them."""

    def edit(content: bytearray) -> None:
        at = place % len(content) // size * size
        content[at : at + size] = (number % 256**size).to_bytes(size, "little")

    return edit


def _cut(place: int, length: int) -> Edit:
    def edit(content: bytearray) -> None:
        del content[place % len(content) : place % len(content) + length]

    return edit


def _splice(place: int, source: str, start: int, length: int, over: bool) -> Edit:
    """A part of this or another file, put in or written over what was there."""

    def edit(content: bytearray) -> None:
        at = place % len(content)
        content[at : at + length * over] = FILES[source][start : start + length]

    return edit


edits = st.one_of(
    st.builds(_flip, places, st.integers(1, 255)),
    st.builds(_write, places, numbers, st.sampled_from([1, 2, 4, 4, 8])),
    st.builds(_cut, places, st.one_of(st.integers(1, 64), st.just(10**6))),
    st.builds(
        _splice, places, st.sampled_from(sorted(FILES)), places, st.integers(1, 200), st.booleans()
    ),
)


def _read_or_refuse(path: Path, content: bytes) -> bool:
    """Whether a file is read: everything that commands ask of it, in JSON and in text."""
    path.write_bytes(content)
    try:
        found = inspect(path)
    except UserError:
        return False
    json.dumps(found.to_json(), allow_nan=False)
    assert found.file
    found.file.float_operators()
    Zeros(0.5, "compress.0.prune.sparsity").shortfall(found.file)
    with contextlib.redirect_stdout(io.StringIO()):
        costs.show(found)
        costs.compare([found, found])
    return True


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _hold(path: Path, examples: int) -> list[bool]:
    """Whether each of so many mutations was read; each takes 5 s of work and `PEAK` at most."""
    read = []

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(FILES)), st.lists(edits, min_size=1, max_size=3))
    def every(kind: str, changes: list[Edit]) -> None:
        content = bytearray(FILES[kind])
        for change in changes:
            if len(content) > 8:
                change(content)
        content[4:8] = b"TFL3"
        began, peak = time.process_time(), _peak()
        read.append(_read_or_refuse(path, bytes(content)))
        assert time.process_time() - began < 5
        assert _peak() - peak < PEAK

    every()
    return read


@pytest.mark.parametrize("kind", FILES)
def test_whole_files_of_every_kind_are_read(kind: str, tmp_path: Path) -> None:
    assert _read_or_refuse(tmp_path / "whole.tflite", FILES[kind])


def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    read = _hold(tmp_path / "mutated.tflite", MUTATIONS // 200)
    assert len(read) >= 200
    assert 10 < sum(read) < 180


@pytest.mark.slow
def test_many_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    read = _hold(tmp_path / "mutated.tflite", MUTATIONS)
    assert len(read) >= MUTATIONS
    assert MUTATIONS // 10 < sum(read) < MUTATIONS * 9 // 10


def test_a_small_file_is_no_large_tree(tmp_path: Path) -> None:
    """A thousand entries that are all one graph, with a thousand that are all one tensor: 8 kB."""
    builder = flatbuffers.Builder()
    schema.TensorStart(builder)
    tensors = _thousand(builder, schema.TensorEnd(builder))
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graphs = _thousand(builder, schema.SubGraphEnd(builder))
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    path = tmp_path / "tree.tflite"
    path.write_bytes(builder.Output())
    assert path.stat().st_size < 9000
    with pytest.raises(UserError, match="its parts overlap"):
        inspect(path)


def _thousand(builder: Any, entry: int) -> int:
    builder.StartVector(4, 1000, 4)
    for _ in range(1000):
        builder.PrependUOffsetTRelative(entry)
    return int(builder.EndVector())
