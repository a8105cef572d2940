"""Weights of other codes give the answers they gave there; what does not fit is said."""

import json
import math
import pickle
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


class Hostile:
    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "function", [print, eval, __import__("os").system, __import__("builtins").getattr, open]
)
def test_no_code_in_a_checkpoint_is_executed(function: Any, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = tmp_path / "hostile.pth"
    with zipfile.ZipFile(path, "w") as archive:
        payload = {"features.0.weight": Hostile(function, f"touch {witness}")}
        archive.writestr("archive/data.pkl", pickle.dumps(payload, protocol=2))
    with pytest.raises(UserError, match="hold more than tensors"):
        Torch(path=str(path)).arrays(SqueezeNet())
    assert not witness.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_damaged_file_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged"):
        Torch(path=str(path)).arrays(SqueezeNet())
