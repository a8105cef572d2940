"""PyTorch's checkpoints are read without running anything that they hold."""

import base64
import contextlib
import copy
import operator
import os
import pickle
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite_light.errors import UserError
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.weights.torch import Torch

# The data.pkl that torch.save of PyTorch 2.15 wrote for {"state_dict": ..., "epoch": 3, "best": 71.5}
# with an OrderedDict of two views of one storage, a transposed half-precision parameter, a bfloat16
# and a number, and the _metadata that a state dict has.
TORCH_PICKLE = zlib.decompress(
    base64.b85decode(
        b"c-nQ6NsrS&5QV*D8xwX0hJ6Qz#Y{3VY!`$OAT<(-x%ACy+f8iYvGd&J;S`BW2Kbl!6gur8(i}KgwyUe&_g>jQoCPeO"
        b"dzNJ>5+tKEPY8CBR7D{Z%Bxa&pX*fCGJU5{JUF8euFnU0Km^}qKFbK5gsM8pf~cXqP+nBaxXFt&B3Y`cj`k-Wy1vi*"
        b"22#~xCedq0y!S;V=u2Dl(C4=9*~Wmo`ku@iY_KhYH)WR39OmlFAsqABkahI4O&I>pR*sGnPJ}qgd&X9r3x!jeW@f#t"
        b"pA9mja(c?T%vs_LvzIvA&YdG{hB$BH#Q)-4_)na<sKuTnS$o)O#ScS#6vfwdhKnY{7?(74NVu%MYvY{*TwykI4{)_5"
        b"Un5)(apRYHx%m^fLfkg?<JSJ2BZRkRPvhM+<*uPja8FZQ!hJ(o!e3<@wS)(Rhan#EP2E@qWwRH>f|5+Ch-#61lPMk_"
        b"VSK8}*;+p^`a5`{_4S&!wf^W(cTAXs*l8Ac$~SaVq<11xK?2Xr`7YN*3(psLVLti3td;(c@RHd|shD?lP0p(%!z<?U"
        b"&MLB0gx4S5O#iGVttR*j@*=!y"
    )
)  # fmt: skip
TORCH_MEMBERS = {
    "byteorder": b"little",
    "data/0": np.arange(24, dtype="<f4").tobytes(),
    "data/1": np.arange(12, dtype="<f2").tobytes(),
    "data/2": bytes.fromhex("003f00c04040"),
    "data/3": (3).to_bytes(8, "little"),
    "version": b"3\n",
}


def checkpoint(
    folder: Path, program: bytes, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED
) -> str:
    """A file as torch.save lays it out."""
    path = folder / "weights.pth"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {"data.pkl": program, **members}.items():
            archive.writestr(f"weights/{name}", content)
    return str(path)


def test_a_checkpoint_that_torch_wrote_is_read(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, TORCH_PICKLE, TORCH_MEMBERS)
    found = Torch(path=path).arrays(SqueezeNet())
    base = np.arange(24, dtype=np.float32)
    expected: dict[str, Any] = {
        "a.weight": base.reshape(2, 3, 2, 2),
        "a.bias": base[5:7],
        "b.weight": np.arange(12, dtype=np.float16).reshape(4, 3).T,
        "b.bias": np.array([0.5, -2, 3], np.float32),
        "n.num_batches_tracked": np.int64(3),
    }
    assert found.keys() == {f"state_dict.{name}" for name in expected}
    for name, array in expected.items():
        read = found[f"state_dict.{name}"]
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        assert np.array_equal(read, array)


def stream(program: bytes, members: dict[str, bytes], **system: Any) -> bytes:
    """The same as PyTorch before 1.6 saved it: five pickles, and the storages with their lengths."""
    sizes = {"0": 4, "1": 2, "2": 2, "3": 8}
    known = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}, **system}
    keys = sorted(name.removeprefix("data/") for name in members if name.startswith("data/"))
    heads = [pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, known)]
    storages = [
        (len(members[f"data/{key}"]) // sizes[key]).to_bytes(8, "little") + members[f"data/{key}"]
        for key in keys
    ]
    return b"".join([*heads, program, pickle.dumps(keys, 2), *storages])


def test_a_checkpoint_from_before_pytorch_1_6_is_read_alike(tmp_path: Path) -> None:
    """By their archive and by their stream, of the very description that torch wrote."""
    new = Torch(path=checkpoint(tmp_path, TORCH_PICKLE, TORCH_MEMBERS)).arrays(SqueezeNet())
    (tmp_path / "old.pth").write_bytes(stream(TORCH_PICKLE, TORCH_MEMBERS))
    old = Torch(path=str(tmp_path / "old.pth")).arrays(SqueezeNet())
    assert list(old) == list(new)
    assert all(np.array_equal(old[name], new[name]) for name in new)
    assert [old[name].dtype for name in new] == [new[name].dtype for name in new]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (stream(TORCH_PICKLE, TORCH_MEMBERS)[:-1], "are damaged"),
        (stream(TORCH_PICKLE, TORCH_MEMBERS)[:40], "are damaged"),
        (stream(TORCH_PICKLE, TORCH_MEMBERS, little_endian=False), "it is big-endian"),
        (stream(TORCH_PICKLE, {**TORCH_MEMBERS, "data/2": b"\0" * 8}), "a storage is not as long"),
        (stream(pickle.dumps({"a": [1]}, 2), {}), "hold no named tensors"),
        (stream(pickle.dumps(print, 2), {}), "hold more than tensors"),
    ],
)
def test_an_old_checkpoint_that_is_damaged_or_runs_code_is_refused(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "old.pth").write_bytes(content)
    with pytest.raises(UserError, match=problem):
        Torch(path=str(tmp_path / "old.pth")).arrays(SqueezeNet())


def test_damage_anywhere_in_an_old_checkpoint_is_refused_or_harmless(tmp_path: Path) -> None:
    whole = stream(TORCH_PICKLE, TORCH_MEMBERS)
    path = tmp_path / "old.pth"
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with contextlib.suppress(UserError):
            Torch(path=str(path)).arrays(SqueezeNet())


class Hostile:
    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    "function", [print, eval, os.system, getattr, open, operator.attrgetter, type]
)
def test_no_code_in_a_checkpoint_is_executed(
    function: Any, protocol: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    witness = tmp_path / "witness"
    hostile = Hostile(function, f"touch {witness}")
    path = checkpoint(tmp_path, pickle.dumps({"a.weight": hostile}, protocol), {})
    with pytest.raises(UserError, match="hold more than tensors"):
        Torch(path=path).arrays(SqueezeNet())
    assert not witness.exists()
    assert "touch" not in capfd.readouterr().out


def text(value: str) -> bytes:
    return pickle.BINUNICODE + len(value).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    content = value.to_bytes(16, "little", signed=True)
    return pickle.LONG1 + bytes([len(content)]) + content


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(name: str, count: int, kind: bytes = b"ctorch\nFloatStorage\n") -> bytes:
    return b"(" + text("storage") + kind + text(name) + text("cpu") + number(count) + b"tQ"


def claim(shape: bytes, strides: bytes, offset: int = 0, of: bytes | None = None) -> bytes:
    """A state dict of one tensor, in a storage of four numbers."""
    arguments = (of or storage("0", 4)) + number(offset) + shape + strides + b"\x89}"
    return b"}" + text("a") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tRs."


SHARED_TUPLES = b")" + b"q\x00h\x00\x86" * 60  # 60 pairs that hold the one before them twice
REFUSED = {
    "global": b"cposix\nsystem\n.",
    "global_of_python_2": b"c__builtin__\neval\n(" + text("1") + b"tR.",
    "global_within": b"cos\npath.os.system\n(" + text("true") + b"tR.",
    "inst": b"(S'true'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\n" + text("true") + b"o.",
    "obj_of_a_known": b"(ccollections\nOrderedDict\no.",
    "newobj": b"ccollections\nOrderedDict\n" + numbers(1) + b"\x81.",
    "extension": b"\x82\x01.",
    "arguments": b"ccollections\nOrderedDict\n" + numbers(1) + b"R.",
    "call_of_a_tensor": claim(numbers(2), numbers(1))[:-1] + b")R.",
    "setstate": b"}(" + text("__setstate__") + b"cos\nsystem\nub.",
    "state_of_a_function": b"ctorch._utils\n_rebuild_tensor_v2\nN}"
    + text("__defaults__") + b")s\x86b.",
    "append_to_a_function": b"ccollections\nOrderedDict\nNa.",
    "persistent_text": b"Pos.system\n.",
    "other_storage": claim(numbers(2), numbers(1), of=storage("0", 4, b"cnumpy\nndarray\n")),
    "no_storage": claim(numbers(2), numbers(1), of=numbers(1, 2, 3)),
    "outside": claim(numbers(2), numbers(1), of=storage("../../../etc/passwd", 4)),
    "absolute": claim(numbers(2), numbers(1), of=storage("/etc/passwd", 4)),
    "long_storage": claim(numbers(2), numbers(1), of=storage("0", 1 << 60)),
    "negative_storage": claim(numbers(2), numbers(1), of=storage("0", -1)),
    "long_tensor": claim(numbers(5), numbers(1)),
    "behind": claim(numbers(2), numbers(1), offset=3),
    "before": claim(numbers(2), numbers(1), offset=-1),
    "negative_stride": claim(numbers(2), numbers(-1), offset=1),
    "negative_shape": claim(numbers(-1, -4), numbers(1, 1)),
    "text_as_shape": claim(b"(" + text("4") + b"t", numbers(1)),
    "terabytes": claim(numbers(1 << 42), numbers(0)),
    "terabytes_of_overlaps": claim(numbers(*[4] * 30), numbers(*[0] * 30)),
    "empty_and_huge": claim(numbers(0, 1 << 62), numbers(1, 1)) [:-1] + text("b") + b"Ns.",
    "long_text": b"\x8d" + (1 << 60).to_bytes(8, "little") + b"a.",
    "long_bytes": b"\x96" + (1 << 40).to_bytes(8, "little") + b"a.",
    "memo_of_gigabytes": b"}r\xff\xff\xff\xff.",
    "deep_key": b"})" + b"\x85" * 50_000 + b"Ns.",
    "wide_key": b"}" + SHARED_TUPLES + b"Ns.",
    "deep": b")" + b"\x85" * 50_000 + b".",
    "itself": b"}q\x00" + text("state_dict") + b"h\x00s.",
    "underflow": b"R.",
    "cut": b"}" + text("a")[:-1],
    "two": b"}}.",
    "a_list": b"].",
    "long": b"}" * (3 << 20),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_checkpoint_is_refused_at_once(name: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, REFUSED[name], {"data/0": bytes(16)})
    refused_at_once(path)


def refused_at_once(path: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(UserError) as refusal:
        Torch(path=path).arrays(SqueezeNet())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 10
    assert peak < 100e6
    assert len(str(refusal.value)) < 1000


def test_a_tensor_within_its_storage_is_read(tmp_path: Path) -> None:
    """What the refused ones above differ from."""
    members = {"data/0": np.arange(4, dtype="<f4").tobytes()}
    path = checkpoint(tmp_path, claim(numbers(2), numbers(2), offset=1), members)
    assert Torch(path=path).arrays(SqueezeNet())["a"].tolist() == [1, 3]


def test_archives_that_unpack_to_more_than_their_size_are_refused(tmp_path: Path) -> None:
    program = claim(numbers(2), numbers(1))
    zeros = {"data/0": bytes(50_000_000)}
    refused_at_once(checkpoint(tmp_path, program, zeros, zipfile.ZIP_DEFLATED))
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", program)
        archive.writestr("weights/data/0", bytes(1_000_000))
        whole = archive.getinfo("weights/data/0")
        for place in range(1, 50):  # fifty names for the same bytes
            again = copy.copy(whole)
            again.filename = f"weights/data/{place}"
            archive.filelist.append(again)
    refused_at_once(str(path))


def mapping(*pairs: tuple[str, bytes]) -> bytes:
    return b"}" + b"".join(text(key) + value + b"s" for key, value in pairs)


TENSOR = claim(numbers(4), numbers(1))[len(b"}" + text("a")) : -len(b"s.")]


def test_tensors_of_nested_mappings_have_dotted_names(tmp_path: Path) -> None:
    inner = mapping(("b", TENSOR), ("epoch", number(3)), ("none", b"N"))
    program = mapping(("net", inner), ("c", TENSOR), ("losses", b"](G" + bytes(8) + b"e")) + b"."
    found = Torch(path=checkpoint(tmp_path, program, {"data/0": bytes(16)})).arrays(SqueezeNet())
    assert found.keys() == {"net.b", "c"}


def test_mappings_within_mappings_cost_no_more_than_the_file(tmp_path: Path) -> None:
    """Those that stand at two places are read once, and there is a depth that no trainer needs."""
    shared = b"}q\x00" + text("t") + TENSOR + b"s"
    for level in range(1, 16):  # each holds the one before it twice
        again = b"h" + bytes([level - 1])
        shared = b"}q" + bytes([level]) + text("a") + shared + b"s" + text("b") + again + b"s"
    path = checkpoint(tmp_path, shared + b".", {"data/0": bytes(16)})
    began = time.process_time()
    assert len(Torch(path=path).arrays(SqueezeNet())) == 1
    assert time.process_time() - began < 1
    refused_at_once(checkpoint(tmp_path, _deep(10_000), {"data/0": bytes(16)}))


def _deep(count: int) -> bytes:
    return b"".join([b"}" + text("a")] * count) + TENSOR + b"s" * count + b"."


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    program = mapping(("a.b", TENSOR), ("a", mapping(("b", TENSOR)))) + b"."
    with pytest.raises(UserError, match=r"two tensors are called a\.b"):
        Torch(path=checkpoint(tmp_path, program, {"data/0": bytes(16)})).arrays(SqueezeNet())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(TORCH_PICKLE) - 1), st.integers(0, 255)), max_size=4),
       st.integers(0, len(TORCH_PICKLE)))  # fmt: skip
def test_damage_of_a_description_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    damaged = bytearray(TORCH_PICKLE)
    for place, value in changes:
        damaged[place] = value
    program = bytes(damaged if changes else damaged[:end])
    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(UserError):
        found = Torch(path=checkpoint(folder, program, TORCH_MEMBERS)).arrays(SqueezeNet())
        assert sum(array.nbytes for array in found.values()) < 1000
