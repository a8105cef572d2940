"""Weights of other codes give the answers they gave there; what does not fit is said."""

import base64
import copy
import io
import json
import math
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
from conftest import ROOT

from tflite_light.errors import UserError
from tflite_light.export.float32 import Float32
from tflite_light.models import Architecture
from tflite_light.models.ghostnet import GhostNet
from tflite_light.models.mobilenet_v1 import MobileNetV1
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.shufflenet_v1 import ShuffleNetV1
from tflite_light.models.shufflenet_v2 import ShuffleNetV2
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.models.tiny import Tiny
from tflite_light.models.xception import Xception
from tflite_light.predict import TFLiteModel
from tflite_light.stack import keras
from tflite_light.weights.npz import Npz
from tflite_light.weights.torch import Torch

SHARED = ROOT.parent / "shared"
GOLDENS = {
    "squeezenet_1.1": SqueezeNet(version="1.1"),
    "shufflenet_v1_g3_1.0": ShuffleNetV1(groups=3),
    "shufflenet_v2_0.5": ShuffleNetV2(alpha=0.5, variant="torchvision"),
    "shufflenet_v2_1.0": ShuffleNetV2(alpha=1.0, variant="torchvision"),
    "ghostnet_1.0": GhostNet(),
}


def tensor(name: str, shape: tuple[int, ...]) -> Any:
    """The goldens' weights, made from their names."""
    numbers = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        return numbers.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith(("running_mean", "bias")):
        return (0.1 * numbers.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        return numbers.uniform(0.5, 1.5, shape).astype(np.float32)
    return (math.sqrt(2.0 / np.prod(shape[1:])) * numbers.standard_normal(shape)).astype(np.float32)


@pytest.mark.skipif(not SHARED.exists(), reason="the reference codes' logits are not here")
@pytest.mark.parametrize("name", GOLDENS)
def test_reference_weights_give_the_reference_logits(name: str, tmp_path: Path) -> None:
    reference = json.loads((SHARED / "goldens" / "reference.json").read_text())[name]
    state = {key: tensor(key, tuple(shape)) for key, shape in reference["state"].items()}
    np.savez(tmp_path / "weights.npz", **state)
    model = GOLDENS[name].build((224, 224, 3), 1000)
    assert Torch(path=str(tmp_path / "weights.npz")).load(model, GOLDENS[name]) == []
    image = np.random.RandomState(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    inputs = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    expected = np.load(SHARED / "goldens" / "logits.npz")[name].ravel()
    for found in (
        model(inputs).numpy()[0],
        TFLiteModel(Float32().convert(model, None)).logits([inputs])[0],  # type: ignore[arg-type]
    ):
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("ours", "theirs", "size", "fields"),
    [
        (MobileNetV1, "MobileNet", 33, {"alpha": 0.25}),
        (MobileNetV1, "MobileNet", 96, {"alpha": 0.75}),
        (MobileNetV2, "MobileNetV2", 96, {"alpha": 0.35}),
        (MobileNetV2, "MobileNetV2", 75, {"alpha": 1.0}),
        (MobileNetV2, "MobileNetV2", 33, {"alpha": 1.4}),
        (Xception, "Xception", 71, {}),
        (Xception, "Xception", 96, {}),
    ],
)
def test_keras_applications_weights_give_their_logits(
    ours: type[Architecture], theirs: str, size: int, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Odd sides are padded differently at stride 2, so some are among them."""
    keras.backend.clear_session()
    other = getattr(keras.applications, theirs)(
        input_shape=(size, size, 3), weights=None, classes=7, classifier_activation=None, **fields
    )
    numbers = np.random.default_rng(0)
    other.set_weights([drawn(weight.shape, numbers) for weight in other.get_weights()])
    arrays = {weight.name.removesuffix(":0"): weight.numpy() for weight in other.weights}
    np.savez(tmp_path / "weights.npz", **arrays)
    architecture = ours(**fields)
    model = architecture.build((size, size, 3), 7)
    assert Npz(path=str(tmp_path / "weights.npz")).load(model, architecture) == []
    images = numbers.normal(size=(2, size, size, 3)).astype(np.float32)
    expected = other(images).numpy()
    assert np.abs(model(images).numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def drawn(shape: tuple[int, ...], numbers: Any) -> Any:
    if len(shape) == 1:
        return numbers.uniform(0.5, 1.5, shape).astype(np.float32)
    return (numbers.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)


def tiny_arrays() -> tuple[Any, dict[str, Any]]:
    model = Tiny(width=4).build((32, 32, 3), 5)
    return model, {weight.name.removesuffix(":0"): weight.numpy() for weight in model.weights}


def test_differences_are_listed_by_kind(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    del arrays["stem_conv/kernel"]
    arrays["extra/kernel"] = np.zeros(3, np.float32)
    arrays["last_project_conv/kernel"] = np.zeros((1, 1, 9, 9), np.float32)
    np.savez(tmp_path / "odd.npz", **arrays)
    before = model.get_weights()
    with pytest.raises(UserError) as refusal:
        Npz(path=str(tmp_path / "odd.npz")).load(model, Tiny(width=4))
    told = str(refusal.value)
    assert "3 differences" in told
    assert "missing: stem_conv/kernel (3, 3, 3, 4)" in told
    assert "unexpected: extra/kernel (3,)" in told
    assert "(1, 1, 9, 9) in the file, (1, 1, 32, 32) in the model" in told
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_another_number_of_classes_starts_a_new_classifier(tmp_path: Path) -> None:
    _, arrays = tiny_arrays()
    np.savez(tmp_path / "five.npz", **arrays)
    model = Tiny(width=4).build((32, 32, 3), 3)
    remarks = Npz(path=str(tmp_path / "five.npz")).load(model, Tiny(width=4))
    assert remarks == ["weights are for 5 classes, the data has 3: the classifier starts anew"]
    assert np.array_equal(model.get_layer("stem_conv").get_weights()[0], arrays["stem_conv/kernel"])


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
    expected = {
        "a.weight": base.reshape(2, 3, 2, 2),
        "a.bias": base[5:7],
        "b.weight": np.arange(12, dtype=np.float16).reshape(4, 3).T,
        "b.bias": np.float32([0.5, -2, 3]),
        "n.num_batches_tracked": np.int64(3),
    }
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(found[name], array)


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


@pytest.mark.parametrize("content", [b"{}", pickle.dumps([1, 2]), b"\x93NUMPY\x01\x00\x00\x00"])
def test_a_member_of_an_npz_that_is_no_array_is_refused(content: bytes, tmp_path: Path) -> None:
    for name in ("a.npy", "a"):
        path = tmp_path / "odd.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
        with pytest.raises(UserError, match=r"odd\.npz"):
            Npz(path=str(path)).load(tiny_arrays()[0], Tiny(width=4))


def test_an_npz_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    claimed: Any = {"descr": "<f4", "fortran_order": False, "shape": (1 << 42,)}
    np.lib.format.write_array_header_1_0(header, claimed)
    path = tmp_path / "large.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(UserError, match="cannot be read"):
        Npz(path=str(path)).arrays(Tiny())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_damaged_file_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged"):
        Torch(path=str(path)).arrays(SqueezeNet())
