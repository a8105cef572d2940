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
from safetensors.numpy import save_file

from tflite_light.errors import UserError
from tflite_light.export.float32 import Float32
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models import Architecture
from tflite_light.models.ghostnet import GhostNet
from tflite_light.models.mobilenet_v1 import MobileNetV1
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.shufflenet_v1 import ShuffleNetV1
from tflite_light.models.shufflenet_v2 import ShuffleNetV2
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.models.tiny import Tiny
from tflite_light.models.xception import Xception
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.weights.imagenet import Imagenet
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


# Code, our part and fields, image size: the first of 1000 logits that the PyTorch code gives for the
# goldens' weights and image. Measured with torchvision 0.29.2, timm 1.0.31, Megvii's and Huawei's code.
LOGITS: list[tuple[str, str, dict[str, Any], int, list[float]]] = [
    ("torchvision", "squeezenet", {"version": "1.0"}, 97, [2.408211, 1.117927, 0.7071177, 1.824662, 0, 6.164961, 0.02864438, 0.1113716]),
    ("torchvision", "squeezenet", {"version": "1.1"}, 64, [0.002137584, 0.161168, 0.0932712, 1.528041, 0, 3.033058, 0, 0]),
    ("torchvision", "shufflenet_v2", {"alpha": 0.5, "variant": "torchvision"}, 75, [204.0699, 105.7793, 111.7109, 158.8325, -422.683, 52.93289, 7.126406, -75.11335]),
    ("torchvision", "shufflenet_v2", {"alpha": 1.0, "variant": "torchvision"}, 75, [391.654, 38.70189, 180.6531, 298.0624, -510.7433, 257.4895, -241.4053, 109.452]),
    ("torchvision", "shufflenet_v2", {"alpha": 1.5, "variant": "torchvision"}, 75, [670.4645, 34.44959, -91.22378, 298.835, -1640.121, 413.6016, 907.4807, -108.763]),
    ("torchvision", "shufflenet_v2", {"alpha": 2.0, "variant": "torchvision"}, 75, [1392.639, 738.1412, -425.0421, 512.1105, 305.0246, 267.5389, 260.0361, -396.1928]),
    ("megvii", "shufflenet_v2", {"alpha": 0.5}, 32, [-41.10612, -1.266733, -30.61173, -1.527699, 11.88132, 32.17078, -15.63978, -33.54504]),
    ("megvii", "shufflenet_v2", {"alpha": 1.0}, 32, [-29.46157, 10.84053, 21.01386, 13.97164, 2.710381, 29.2617, -7.711879, 13.81231]),
    ("megvii", "shufflenet_v2", {"alpha": 1.5}, 32, [8.449821, -4.370678, 1.830053, -10.38617, 4.414027, 16.67166, -38.84764, 0.9848127]),
    ("megvii", "shufflenet_v2", {"alpha": 2.0}, 32, [-17.07538, 56.57385, 9.678631, -40.47274, -6.114553, 15.16517, -26.51115, -9.111752]),
    ("megvii", "shufflenet_v1", {"groups": 3, "alpha": 0.5}, 75, [-3822.324, -16517.2, 1699.547, -19586.97, -821.2412, 2265.278, 607.3845, 12431.61]),
    ("megvii", "shufflenet_v1", {"groups": 3, "alpha": 1.0}, 75, [-198138, -319.4141, 208.4844, 189715.1, 91772.52, 97038.67, 145543.5, -304086.1]),
    ("megvii", "shufflenet_v1", {"groups": 3, "alpha": 1.5}, 75, [-122512, -62416.29, 65971.89, 105461.8, -28958.56, 65540.97, -49088.08, -117218.9]),
    ("megvii", "shufflenet_v1", {"groups": 3, "alpha": 2.0}, 75, [-14309.97, 5617.904, 68132.69, -20704.43, 3814.027, -9999.83, -23630.52, -25387.02]),
    ("megvii", "shufflenet_v1", {"groups": 8, "alpha": 0.5}, 75, [-134428.8, -16386.57, -24845.11, 16331.97, 135322.2, -61829.59, 94593.92, 218264.2]),
    ("megvii", "shufflenet_v1", {"groups": 8, "alpha": 1.0}, 75, [-241713.7, -88749.96, 271095.9, 16770.61, -297374, 69238.48, 24297.43, -181123.8]),
    ("megvii", "shufflenet_v1", {"groups": 8, "alpha": 1.5}, 75, [-310767.9, 310166.2, 253840.6, 75843.23, 85045.98, -255298.3, -181358.6, 48848.64]),
    ("megvii", "shufflenet_v1", {"groups": 8, "alpha": 2.0}, 75, [-34604.1, 137776.5, 16439.75, -17230.64, -129741.7, -19446.59, -8667.168, -60421.09]),
    ("torchvision", "mobilenet_v2", {"alpha": 1.0, "variant": "torch"}, 75, [0.9162773, 0.9790023, 1.7599, -2.167264, 1.067429, -1.612462, -0.4730984, -1.689528]),
    ("torchvision", "mobilenet_v2", {"alpha": 1.4, "variant": "torch"}, 75, [1.59383, 4.315028, -1.511015, -0.8752174, -0.6514581, -1.994572, 0.8712378, 0.8515495]),
    ("timm", "mobilenet_v2", {"alpha": 0.35, "variant": "torch"}, 32, [0.6857659, 3.143299, -0.8793935, 0.3820418, -0.2007218, -1.124263, -1.486037, 0.4106125]),
    ("timm", "mobilenet_v2", {"alpha": 0.5, "variant": "torch"}, 32, [2.373979, 2.944007, 2.505866, 1.544279, -0.2271531, -3.306307, -2.690187, 5.498607]),
    ("timm", "mobilenet_v2", {"alpha": 0.75, "variant": "torch"}, 32, [0.2948704, 1.662273, -0.02287522, -0.2882321, 0.05464746, -4.78102, -3.829145, 3.382576]),
    ("timm", "mobilenet_v2", {"alpha": 1.4, "variant": "torch"}, 32, [4.884516, -0.8951518, 0.3962248, -4.401007, -5.111079, -0.08909515, -2.93307, 0.6067218]),
    ("timm", "mobilenet_v1", {"alpha": 1.0, "variant": "torch"}, 32, [-0.4697837, 0.2429926, -0.1527219, -0.3512068, 0.8213392, 0.2791159, -0.4089296, -0.1516426]),
    ("timm", "mobilenet_v1", {"alpha": 1.25, "variant": "torch"}, 32, [0.04902379, -0.2882598, 0.09869283, 0.07017732, 0.1073238, -0.2291996, -0.1084728, 0.1110949]),
    ("huawei", "ghostnet", {"alpha": 0.5}, 75, [204804.9, 117922.4, -113213.6, 252887.4, -545184.1, -504033.4, -351483.5, 498978.8]),
    ("huawei", "ghostnet", {"alpha": 1.0}, 75, [-244147, -167907.5, -177226.7, 119832.1, 350364.3, -342272.4, -242227.2, 907765.8]),
    ("huawei", "ghostnet", {"alpha": 1.3}, 75, [-30104.4, 317833.7, -204993, 128517.1, -63767.35, -188725.5, -272951.6, 237843.1]),
    ("timm", "xception", {"variant": "torch"}, 75, [869908.1, 3887655, -2738694, -659422, 1289967, -837400.8, 782114.6, 1476742]),
]  # fmt: skip


FIRST = {row[:2]: row for row in reversed(LOGITS)}  # one of each part and code; the rest are slow


@pytest.mark.parametrize(
    ("code", "name", "fields", "size", "expected"),
    [pytest.param(*row, marks=() if FIRST[row[:2]] is row else pytest.mark.slow) for row in LOGITS],
)
def test_every_published_variant_gives_the_logits_of_its_code(
    code: str, name: str, fields: dict[str, Any], size: int, expected: list[float], tmp_path: Path
) -> None:
    """The weights follow from the names and shapes there, so a wrong one gives other logits."""
    keras.backend.clear_session()
    architecture: Any = load("models", name)(**fields)
    model = architecture.build((size, size, 3), 1000)
    np.savez(tmp_path / "weights.npz", **torch_state(model, architecture.references()[code]))
    assert Torch(path=str(tmp_path / "weights.npz")).load(model, architecture) == []
    image = np.random.RandomState(0).standard_normal((1, 3, size, size)).astype(np.float32)
    found = model(np.ascontiguousarray(image.transpose(0, 2, 3, 1))).numpy()[0]
    assert np.abs(found[:8] - expected).max() <= 1e-4 * np.abs(found).max()


def torch_state(model: Any, theirs: dict[str, str]) -> dict[str, Any]:
    return {
        key: tensor(key, shape)
        for layer in model.layers
        for weight in layer.weights
        for key, shape in [torch_form(theirs[layer.name], weight)]
    }


def torch_form(layer: str, weight: Any) -> tuple[str, tuple[int, ...]]:
    """The name and the shape that PyTorch gives one of our variables."""
    kind = weight.name.removesuffix(":0").rsplit("/", 1)[-1]
    leaf = {
        "beta": "bias",
        "bias": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }.get(kind, "weight")
    shape = tuple(weight.shape)
    if kind == "depthwise_kernel":
        shape = (*shape[2:], *shape[:2])
    elif len(shape) > 1:
        shape = (shape[-1], shape[-2], *shape[:-2])
    return f"{layer}.{leaf}", shape


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


@pytest.fixture(scope="module")
def squeezenet_state() -> dict[str, Any]:
    model = SqueezeNet().build((32, 32, 3), 10)
    return torch_state(model, SqueezeNet().references()["torchvision"])


def test_wrapped_and_half_precision_weights_are_read(
    squeezenet_state: dict[str, Any], tmp_path: Path
) -> None:
    halves = {f"module.{name}": array.astype("<f2") for name, array in squeezenet_state.items()}
    np.savez(tmp_path / "half.npz", **halves)
    save_file(halves, tmp_path / "half.safetensors")
    model = SqueezeNet().build((32, 32, 3), 10)
    for name in ("half.npz", "half.safetensors"):
        model.get_layer("stem_conv").set_weights([np.zeros((3, 3, 3, 64)), np.zeros(64)])
        assert Torch(path=str(tmp_path / name)).load(model, SqueezeNet()) == []
        kernel, bias = model.get_layer("stem_conv").get_weights()
        expected = halves["module.features.0.weight"].astype(np.float32).transpose(2, 3, 1, 0)
        assert np.array_equal(kernel, expected)
        assert np.array_equal(bias, halves["module.features.0.bias"].astype(np.float32))


def test_differences_are_in_the_file_s_words(
    squeezenet_state: dict[str, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "squeezenet.npz", **squeezenet_state)
    weights = Torch(path=str(tmp_path / "squeezenet.npz"))

    def told(architecture: Architecture, classes: int = 10) -> str:
        with pytest.raises(UserError) as refusal:
            weights.load(architecture.build((32, 32, 3), classes), architecture)
        return str(refusal.value)

    version = told(SqueezeNet(version="1.0"))
    assert "features.0.weight (64, 3, 3, 3) in the file, (96, 3, 7, 7) in the model" in version
    assert "missing: features.7.squeeze.bias" not in version  # both have it, of other shapes
    assert "are of another network or code: none of their names (features.0.weight" in told(
        ShuffleNetV2(alpha=0.5)
    )
    assert "Set model.mobilenet_v1.variant to torch" in told(MobileNetV1())
    assert "Set model.xception.variant to torch" in told(Xception())
    assert "no other code's names are known for tiny" in told(Tiny())
    remarks = weights.load(SqueezeNet().build((32, 32, 3), 3), SqueezeNet())
    assert remarks == ["weights are for 10 classes, the model has 3: the classifier starts anew"]


def test_what_is_alike_in_a_layer_is_one_line(tmp_path: Path) -> None:
    other = ShuffleNetV2(alpha=0.5, variant="torchvision")
    architecture = ShuffleNetV2(alpha=1.0, variant="torchvision")
    state = torch_state(other.build((32, 32, 3), 10), other.references()["torchvision"])
    np.savez(tmp_path / "half_as_wide.npz", **state)
    with pytest.raises(UserError) as refusal:
        Torch(path=str(tmp_path / "half_as_wide.npz")).load(
            architecture.build((32, 32, 3), 10), architecture
        )
    headline, *lines = str(refusal.value).splitlines()
    assert "read by torchvision's names" in headline
    norm = "stage2.0.branch2.1.{weight, bias, running_mean, running_var}"
    assert f"  shape: {norm} (24,) in the file, (58,) in the model" in lines
    assert len(lines) == 12


def test_flags_are_no_weights(squeezenet_state: dict[str, Any], tmp_path: Path) -> None:
    flags = squeezenet_state | {"features.0.bias": np.zeros(64, bool)}
    np.savez(tmp_path / "flags.npz", **flags)
    with pytest.raises(UserError, match=r"features\.0\.bias holds bool, not numbers"):
        Torch(path=str(tmp_path / "flags.npz")).load(
            SqueezeNet().build((32, 32, 3), 10), SqueezeNet()
        )


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    arrays["stem_conv/kernel"][0, 0, 0, 0] = np.nan
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(UserError, match="stem_conv/kernel holds NaN or infinity"):
        Npz(path=str(tmp_path / "odd.npz")).load(model, Tiny(width=4))


def test_weights_that_float32_cannot_hold_are_refused(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    np.savez(tmp_path / "huge.npz", **arrays | {"stem_norm/beta": np.full(4, 1e300)})
    with pytest.raises(UserError, match="stem_norm/beta holds NaN or infinity"):
        Npz(path=str(tmp_path / "huge.npz")).load(model, Tiny(width=4))


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    path = (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(UserError, match=r"it is no .npz archive. Give a whole .npz"):
        Npz(path=str(path)).load(Tiny().build((32, 32, 3), 3), Tiny())


def test_a_norm_is_folded_only_when_its_beta_is_alone(tmp_path: Path) -> None:
    model, arrays = tiny_arrays()
    del arrays["stem_norm/moving_variance"]
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(UserError, match=r"missing: stem_norm/moving_variance \(4,\)"):
        Npz(path=str(tmp_path / "odd.npz")).load(model, Tiny(width=4))
    for short in ("gamma", "moving_mean"):
        del arrays[f"stem_norm/{short}"]
    np.savez(tmp_path / "folded.npz", **arrays)
    assert Npz(path=str(tmp_path / "folded.npz")).load(model, Tiny(width=4)) == []
    gamma, _, mean, variance = model.get_layer("stem_norm").get_weights()
    assert (gamma == np.float32(np.sqrt(1.001))).all()
    assert (mean == 0).all()
    assert (variance == 1).all()


def test_another_number_of_classes_starts_a_new_classifier(tmp_path: Path) -> None:
    _, arrays = tiny_arrays()
    np.savez(tmp_path / "five.npz", **arrays)
    model = Tiny(width=4).build((32, 32, 3), 3)
    remarks = Npz(path=str(tmp_path / "five.npz")).load(model, Tiny(width=4))
    assert remarks == ["weights are for 5 classes, the model has 3: the classifier starts anew"]
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
    expected: dict[str, Any] = {
        "a.weight": base.reshape(2, 3, 2, 2),
        "a.bias": base[5:7],
        "b.weight": np.arange(12, dtype=np.float16).reshape(4, 3).T,
        "b.bias": np.array([0.5, -2, 3], np.float32),
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


KERAS_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5"


def test_imagenet_weights_come_through_keras_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keras.backend.clear_session()
    other = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=0.35, weights=None, classifier_activation=None
    )
    numbers = np.random.default_rng(0)
    other.set_weights([drawn(weight.shape, numbers) for weight in other.get_weights()])
    (tmp_path / ".keras" / "models").mkdir(parents=True)
    other.save_weights(tmp_path / ".keras" / "models" / KERAS_FILE)
    architecture = MobileNetV2(alpha=0.35)
    model = architecture.build((96, 96, 3), 1000)
    assert Imagenet(size=96).load(model, architecture) == []
    image = numbers.normal(size=(1, 96, 96, 3)).astype(np.float32)
    expected = other(image).numpy()
    assert np.abs(model(image).numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def test_without_a_network_it_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing answers
    architecture = MobileNetV2(alpha=0.35)
    with pytest.raises(UserError) as refusal:
        Imagenet(size=96).load(architecture.build((96, 96, 3), 1000), architecture)
    assert KERAS_FILE in str(refusal.value)
    assert f"put that file into {tmp_path / '.keras' / 'models'}" in str(refusal.value)
