"""Packed files: smaller than others make them, and restored to the bit or refused."""

import gzip
import lzma
import resource
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Call, as_json, complaint
from hypothesis import given, settings
from hypothesis import strategies as st
from test_damage import FILES
from tflites import GraphWriter, Writer, outside

from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.lowering import lowered
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.shufflenet_v1 import ShuffleNetV1
from tflite_light.models.tiny import Tiny
from tflite_light.stack import keras
from tflite_light.tflite import packed
from tflite_light.tflite.file import File
from tflite_light.tflite.packed.rans import Decoder, Encoder, frequencies
from tflite_light.tflite.packed.rivals import code_bits, huffman_bytes

HOSTED = sorted((ROOT / "tests" / "hosted").glob("*.gz"))
MUTATIONS = 2000
MEMORY = 64 << 10  # KiB
START = struct.Struct("<4sBIQ")


def restored(content: bytes) -> tuple[bytes, bytes]:
    """A file packed, and what comes out of it."""
    small = packed.pack(File(content))
    return small, packed.unpack(small)


def with_kernels(*kernels: Any, **more: Any) -> bytes:
    """A file whose constants are these arrays."""
    writer = Writer()
    graph: GraphWriter = writer.graph("main")
    for kernel in kernels:
        graph.constant(kernel, **more)
    return writer.bytes()


def clustered(shape: tuple[int, ...], values: int = 256, zeros: float = 2 / 3) -> Any:
    """A kernel as Deep Compression leaves it."""
    rng = np.random.default_rng(0)
    codebook = np.sort(rng.normal(0, 0.1, values)).astype(np.float32)
    places = np.clip(rng.normal(values / 2, values / 6, shape), 0, values - 1).astype(int)
    return np.where(rng.random(shape) < zeros, np.float32(0), codebook[places])


def entropy_bytes(kernel: Any) -> float:
    counts = np.unique(kernel, return_counts=True)[1]
    return float((counts * np.log2(kernel.size / counts)).sum() / 8)


@pytest.mark.parametrize("kind", FILES)
def test_files_of_every_kind_are_restored(kind: str) -> None:
    assert restored(FILES[kind])[1] == FILES[kind]


@pytest.mark.parametrize("path", HOSTED, ids=lambda path: path.name.partition(".")[0])
def test_files_of_others_are_restored(path: Path) -> None:
    content = gzip.decompress(path.read_bytes())
    small, again = restored(content)
    assert again == content
    assert len(small) < 1.02 * len(lzma.compress(content, preset=9))


def test_a_contract_behind_the_flatbuffer_stays(model: Path) -> None:
    content = model.read_bytes()
    assert content.rfind(b"PK\x05\x06") > 0
    small, again = restored(content)
    assert again == content
    assert len(small) < 1.02 * len(lzma.compress(content, preset=9))


def test_values_behind_the_flatbuffer_are_packed_like_those_in_it() -> None:
    content = with_kernels(clustered((64, 3, 3, 32)))
    sizes = [len(restored(one)[0]) for one in (content, outside(content))]
    assert restored(outside(content))[1] == outside(content)
    assert abs(sizes[0] - sizes[1]) < 300


def test_a_clustered_kernel_takes_its_entropy_and_its_codebook() -> None:
    kernel = clustered((128, 3, 3, 64))
    small, _ = restored(with_kernels(kernel))
    assert len(small) < 1.01 * entropy_bytes(kernel) + 4 * 257 + 500


def test_kernels_whose_places_resemble_their_neighbours_take_less_than_their_entropy() -> None:
    kernel = clustered((128, 3, 3, 64), values=32)
    smooth = np.where(kernel, np.abs(kernel) * np.sign(kernel[:, :1, :1]), kernel)
    small, again = restored(with_kernels(smooth))
    assert again == with_kernels(smooth)
    assert len(small) < 0.97 * entropy_bytes(smooth)


def test_pruned_floats_pay_for_a_zero_once() -> None:
    kernel = np.random.default_rng(0).normal(0, 0.1, (64, 3, 3, 64)).astype(np.float32)
    kernel[np.random.default_rng(1).random(kernel.shape) < 0.5] = 0
    content = with_kernels(kernel)
    small, again = restored(content)
    assert again == content
    assert len(small) < kernel.size / 8 * (1 + 0.5 * (23 + 1 + 3)) + 1500  # bits: zero; the rest
    assert len(small) < 0.97 * len(lzma.compress(content, preset=9))


@pytest.mark.parametrize(
    "architecture",
    [ShuffleNetV1(alpha=0.5), MobileNetV2(alpha=0.35), Tiny()],
    ids=["grouped", "separable", "small"],
)
def test_an_int8_file_takes_no_more_than_by_xz(architecture: Any) -> None:
    """ShuffleNet's grouped convolutions, made whole ones by zeros, took 11 % more."""
    keras.utils.set_random_seed(0)
    pictures = Synthetic(count=20, number_of_classes=2, side=32).load(Image(size=32)).train
    converted = Int8(calibration_images=4).convert(architecture.build((32, 32, 3), 10), pictures)
    content = lowered(converted, "any", lambda _: True)
    small, again = restored(content)
    assert again == content
    assert len(small) <= 1.001 * len(lzma.compress(content, preset=9)) + 150  # bytes: container


def test_equal_small_tensors_are_left_to_lzma() -> None:
    one = np.random.default_rng(0).normal(0, 0.1, 200).astype(np.float32)
    content = with_kernels(*[one] * 40)
    small, again = restored(content)
    assert again == content
    assert len(small) <= len(lzma.compress(content, preset=9)) + 150


types = st.sampled_from(["float32", "float16", "int32", "uint8", "int8", "int64"])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(types, st.integers(1, 7), st.integers(1, 200)), min_size=1, max_size=3),
    st.integers(1, 70000),
    st.integers(0, 9),
)
def test_any_tensors_are_restored(kinds: list[tuple[str, int, int]], most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernels = []
    for kind, side, channels in kinds:
        bytes_ = rng.integers(0, most, (channels, side, 2, side)).astype("<u8")
        size = np.dtype(kind).itemsize
        few = rng.permutation(bytes_.view(np.uint8).ravel())[: bytes_.size * size]
        kernels.append(few.view(kind)[: bytes_.size].reshape(bytes_.shape))
    content = with_kernels(*kernels)
    assert restored(content)[1] == content


def test_equal_files_are_packed_equally() -> None:
    content = with_kernels(clustered((64, 3, 3, 32)))
    assert packed.pack(File(content)) == packed.pack(File(bytes(bytearray(content))))


@pytest.mark.parametrize("lanes", [1, 7, 64])
@pytest.mark.parametrize("alphabet", [2, 256])
def test_symbols_take_their_entropy(lanes: int, alphabet: int) -> None:
    rng = np.random.default_rng(0)
    contexts = rng.integers(0, 3, 20_000)
    symbols = np.minimum(rng.geometric(0.1 + 0.3 * contexts) - 1, alphabet - 1)
    encoder = Encoder()
    encoder.stage(3, alphabet).code(contexts, symbols)
    words = encoder.words(lanes)
    decoder = Decoder(encoder.tables(), words, lanes)
    assert (decoder.stage(3, alphabet).code(contexts) == symbols).all()
    decoder.finish()
    entropy = sum(entropy_bytes(symbols[contexts == context]) for context in range(3))
    assert entropy - 1 < 2 * len(words) < 1.005 * entropy + 4 * lanes + 8


def test_every_symbol_that_occurs_has_a_share_and_all_of_them_are_one() -> None:
    weights = np.array([[2**32] * 128 + [1] * 128, [0] * 256, [0] * 255 + [5]], np.int64)
    shares = frequencies(weights)
    assert shares.sum(1).tolist() == [1 << 14] * 3
    assert shares[0].min() == 1
    assert shares[2, 255] == 1 << 14


def test_huffman_codes_are_counted_as_the_paper_stores_them() -> None:
    assert code_bits(np.array([5, 2, 1, 1])) == 5 * 1 + 2 * 2 + 2 * 3
    kernel = clustered((64, 3, 3, 32))
    content = with_kernels(kernel)
    rest = len(content) - kernel.nbytes
    coded = huffman_bytes(File(content)) - rest - 4 * len(np.unique(kernel))
    assert entropy_bytes(kernel) < coded < entropy_bytes(kernel) * 1.1


def refuse(small: bytes) -> str:
    with pytest.raises(UserError) as error:
        packed.unpack(small, "x.packed")
    return str(error.value)


def test_what_is_wrong_with_a_packed_file_is_named() -> None:
    small = packed.pack(File(FILES["plain"]))
    assert "x.packed is not a packed file.\nhint: Give a file that `tf" in refuse(FILES["plain"])
    assert "x.packed is not a packed file" in refuse(b"")
    assert "x.packed was cut off: 4 bytes are left.\nhint: Copy" in refuse(small[:4])
    assert f"x.packed was cut off: {len(small) - 9:,} of {len(small):,} b" in refuse(small[:-9])
    assert "x.packed is damaged: it is longer than it says.\nhint" in refuse(small + b"\0")
    flipped = small[:-1] + bytes([small[-1] ^ 4])
    assert "x.packed is damaged: bytes were changed, its checksum does not fit" in refuse(flipped)
    newer = small[:4] + b"\2" + small[5:]
    assert "of version 2 of packed files; 1 is read here.\nhint: Install a newer" in refuse(newer)


def _signed(small: bytes) -> bytes:
    """A packed file whose start fits the rest: as someone would make it on purpose."""
    body = small[START.size :]
    return START.pack(b"TFLp", 1, zlib.crc32(body), len(body)) + body


def _hold(count: int) -> list[bool]:
    """Whether each mutation was refused; each takes a second and `MEMORY` at most."""
    writer = [clustered((16, 3, 3, 16)), clustered((64, 64)), np.arange(40, dtype=np.int32)]
    content = with_kernels(*writer)
    small, rng, refused = packed.pack(File(content)), np.random.default_rng(0), list[bool]()
    for number in range(count):
        changed = bytearray(small)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(changed) if number % 3 else min(len(changed), 200)))
            match rng.integers(4):
                case 0:
                    changed[at] ^= 1 << rng.integers(8)
                case 1:
                    changed[at : at + 4] = rng.bytes(4)
                case 2:
                    del changed[at : at + int(rng.integers(1, 400))]
                case _:
                    changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
            changed = changed or bytearray(small[:1])
        mutated = bytes(changed)
        if number % 2 and len(mutated) > START.size:
            mutated = _signed(mutated)
        began, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            assert packed.unpack(mutated) == content
            refused.append(False)
        except UserError:
            refused.append(True)
        assert time.process_time() - began < 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < MEMORY
    return refused


def test_mutated_files_are_refused() -> None:
    assert sum(_hold(60)) >= 55


@pytest.mark.slow
def test_many_mutated_files_are_refused_or_restored() -> None:
    refused = _hold(MUTATIONS)
    assert sum(refused) > MUTATIONS * 0.95


def test_pack_and_unpack_by_the_command_line(call: Call, model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    (tmp_path / "mine.tflite").write_bytes(content)
    report = as_json(call("pack", "mine.tflite", "--json"))
    assert report["packed"] == "mine.tflite.packed"
    size = (tmp_path / "mine.tflite.packed").stat().st_size
    assert (report["size_bytes"], report["packed_bytes"]) == (len(content), size)
    assert report["ratio"] == len(content) / size
    assert size < min(report["huffman_bytes"], report["zlib_bytes"])
    assert report["xz_bytes"] == len(lzma.compress(content, preset=9))
    assert report["zlib_bytes"] == len(zlib.compress(content, 9))
    (tmp_path / "mine.tflite").unlink()
    found = as_json(call("unpack", "mine.tflite.packed", "--json"))
    assert found == {"unpacked": "mine.tflite", "size_bytes": len(content)}
    assert (tmp_path / "mine.tflite").read_bytes() == content
    text = call("pack", "mine.tflite", "-o", "small/x").stdout
    assert f"packed {size:>41,} bytes" in text
    assert text.endswith("small/x\n")
    assert call("unpack", "small/x", "-o", "y.tflite").stdout == "y.tflite\n"
    assert (tmp_path / "y.tflite").read_bytes() == content


def test_nothing_is_packed_or_unpacked_over_another_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(FILES["plain"])
    call("pack", "a.tflite")
    call("pack", "a.tflite")  # the same again
    (tmp_path / "a.tflite").write_bytes(b"mine")
    (tmp_path / "b.tflite").write_bytes(FILES["plain"])
    for command in (("unpack", "a.tflite.packed"), ("pack", "b.tflite", "-o", "a.tflite")):
        assert complaint(call(*command)) == (
            "a.tflite exists already.\n"
            "hint: Name another file by `-o`, or write over it by `--force`.\n"
        )
        assert (tmp_path / "a.tflite").read_bytes() == b"mine"
    call("unpack", "a.tflite.packed", "--force")
    assert (tmp_path / "a.tflite").read_bytes() == FILES["plain"]
    assert complaint(call("unpack", "none.packed")).startswith("none.packed cannot be read: No su")


def test_a_packed_file_is_not_unpacked_onto_itself(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(FILES["plain"])
    call("pack", "a.tflite", "-o", "small.bin")
    for force in ((), ("--force",)):
        message = complaint(call("unpack", "small.bin", *force))
        assert message.startswith(
            "small.bin does not end in .packed.\nhint: Name the .tflite by `-o`."
        )
    before = Path("small.bin").read_bytes()
    for command, file in (("unpack", "small.bin"), ("pack", "a.tflite")):
        message = complaint(call(command, file, "-o", file, "--force"))
        assert message == f"{file} is the file that is read.\nhint: Name another file by `-o`.\n"
    assert Path("small.bin").read_bytes() == before
    assert Path("a.tflite").read_bytes() == FILES["plain"]


def test_damage_writes_nothing(call: Call, tmp_path: Path) -> None:
    small = packed.pack(File(FILES["plain"]))
    (tmp_path / "a.packed").write_bytes(small[:-1])
    assert complaint(call("unpack", "a.packed", "-o", "b.tflite")).startswith("a.packed was cut")
    (tmp_path / "b.txt").write_bytes(b"no model")
    assert "b.txt is not a TFLite file" in complaint(call("pack", "b.txt"))
    assert complaint(call("pack", ".")) == ". is a folder.\nhint: Give a .tflite file.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.packed", "b.txt"]
