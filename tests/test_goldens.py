"""Weights of reference implementations give the logits that they gave there."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from tflite_light.export.float32 import Float32
from tflite_light.measure.runners import TFLiteModel
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.weights.npz import Npz
from tflite_light.weights.torch import Torch

GOLDENS = ROOT / "tests" / "goldens"
NETWORKS = json.loads((GOLDENS / "networks.json").read_text())
SLOW = pytest.mark.slow
VARIANTS = json.loads((GOLDENS / "variants.json").read_text())


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


def image(size: int) -> Any:
    drawn = np.random.RandomState(0).standard_normal((1, 3, size, size)).astype(np.float32)
    return np.ascontiguousarray(drawn.transpose(0, 2, 3, 1))


def torch_state(model: Any, theirs: dict[str, str]) -> dict[str, Any]:
    """The goldens' weights of a network, by the names and in the shapes that PyTorch has."""
    return {
        key: tensor(key, shape)
        for layer in model.layers
        for weight in layer.weights
        for key, shape in [_torch_form(theirs[layer.name], weight)]
    }


def _torch_form(layer: str, weight: Any) -> tuple[str, tuple[int, ...]]:
    kind = weight.name.removesuffix(":0").rsplit("/", 1)[-1]
    leaves = {"beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    leaf = leaves.get(kind, "bias" if kind == "bias" else "weight")
    shape = tuple(weight.shape)
    if kind == "depthwise_kernel":
        shape = (*shape[2:], *shape[:2])
    elif len(shape) > 1:
        shape = (shape[-1], shape[-2], *shape[:-2])
    return f"{layer}.{leaf}", shape


@pytest.mark.parametrize(
    "name",
    [  # the other ShuffleNet v2 is among the variants
        pytest.param(name, marks=SLOW if name == "shufflenet_v2_0.5" else ()) for name in NETWORKS
    ],
)
def test_reference_weights_give_the_reference_logits(name: str, tmp_path: Path) -> None:
    golden = NETWORKS[name]
    state = {key: tensor(key, tuple(shape)) for key, shape in golden["state"].items()}
    np.savez(tmp_path / "weights.npz", **state)
    architecture: Any = load("models", golden["model"])(**golden["fields"])
    model = architecture.build((224, 224, 3), 1000)
    assert Torch(path=str(tmp_path / "weights.npz")).load(model, architecture) == []
    expected = np.load(GOLDENS / "logits.npz")[name].ravel()
    for found in (
        model(image(224)).numpy()[0],
        TFLiteModel(Float32().convert(model, None)).logits([image(224)])[0],  # type: ignore[arg-type]
    ):
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


FIRST = {(row["model"], row["reference"]): row for row in reversed(VARIANTS)}


def _slow(row: dict[str, Any]) -> bool:
    return FIRST[row["model"], row["reference"]] is not row


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=SLOW if _slow(row) else ()) for row in VARIANTS],
    ids=lambda row: f"{row['reference']}-{row['model']}-{row['fields']}",
)
def test_every_published_variant_gives_the_logits_of_its_reference(
    row: dict[str, Any], tmp_path: Path
) -> None:
    """The weights follow from the names and shapes there, so a wrong one gives other logits."""
    keras.backend.clear_session()
    architecture: Any = load("models", row["model"])(**row["fields"])
    model = architecture.build((row["size"], row["size"], 3), 1000)
    state = torch_state(model, architecture.references()[row["reference"]])
    np.savez(tmp_path / "weights.npz", **state)
    assert Torch(path=str(tmp_path / "weights.npz")).load(model, architecture) == []
    found = model(image(row["size"])).numpy()[0]
    assert np.abs(found[:8] - row["logits"]).max() <= 1e-4 * np.abs(found).max()


@pytest.mark.parametrize(
    ("name", "theirs", "size", "fields"),
    [
        ("mobilenet_v1", "MobileNet", 33, {"alpha": 0.25}),
        pytest.param("mobilenet_v1", "MobileNet", 96, {"alpha": 0.75}, marks=SLOW),
        ("mobilenet_v2", "MobileNetV2", 96, {"alpha": 0.35}),
        ("mobilenet_v2", "MobileNetV2", 75, {"alpha": 1.0}),
        pytest.param("mobilenet_v2", "MobileNetV2", 33, {"alpha": 1.4}, marks=SLOW),
        ("xception", "Xception", 71, {}),
        pytest.param("xception", "Xception", 96, {}, marks=SLOW),
    ],
)
def test_keras_applications_weights_give_their_logits(
    name: str, theirs: str, size: int, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Odd sides are padded differently at stride 2, so some are among them."""
    keras.backend.clear_session()
    other = getattr(keras.applications, theirs)(
        input_shape=(size, size, 3), weights=None, classes=7, classifier_activation=None, **fields
    )
    numbers = np.random.default_rng(0)
    other.set_weights([_drawn(weight.shape, numbers) for weight in other.get_weights()])
    arrays = {weight.name.removesuffix(":0"): weight.numpy() for weight in other.weights}
    np.savez(tmp_path / "weights.npz", **arrays)
    architecture: Any = load("models", name)(**fields)
    model = architecture.build((size, size, 3), 7)
    assert Npz(path=str(tmp_path / "weights.npz")).load(model, architecture) == []
    images = numbers.normal(size=(2, size, size, 3)).astype(np.float32)
    expected = other(images).numpy()
    assert np.abs(model(images).numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def _drawn(shape: tuple[int, ...], numbers: Any) -> Any:
    if len(shape) == 1:
        return numbers.uniform(0.5, 1.5, shape).astype(np.float32)
    return (numbers.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
