"""Channels scaled against each other: the same answers in floats, and weights with one scale work."""

from typing import Any

import numpy as np
import pytest
from conftest import networks

from tflite_light.compress.qat import QAT
from tflite_light.export._equalisation import equalised
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.lowering import lowered
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.patches import WEIGHTED

Batch = Any


@pytest.fixture(scope="module")
def even(batch: Batch) -> Any:
    """ReLUs, a depthwise convolution, a sum and a concatenation, whose channels are all alike."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = layers.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, 2, "same", activation="relu", name="stem")(image)
    wide = layers.Conv2D(32, 1, activation="relu", name="wide")(x)
    wide = layers.DepthwiseConv2D(3, 1, "same", activation="relu", name="spatial")(wide)
    x = layers.Add()([x, layers.Conv2D(16, 1, name="narrow")(wide)])
    x = layers.MaxPooling2D()(x)
    sides = [layers.Conv2D(8, size, 1, "same", activation="relu")(x) for size in (1, 3)]
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()(sides))
    return keras.Model(image, layers.Dense(10, name="logits")(x))


def uneven(model: Any) -> Any:
    """The same function; channels differ by up to 2 ** 12 in what they hold."""
    network = keras.models.clone_model(model)
    network.set_weights(model.get_weights())
    random = np.random.default_rng(0)
    for maker, reader in (("wide", "spatial"), ("spatial", "narrow")):
        one, other = network.get_layer(maker), network.get_layer(reader)
        factors = 2.0 ** random.integers(-6, 7, 32)
        kernel, bias = one.get_weights()
        along = factors[:, None] if maker == "spatial" else factors
        one.set_weights([kernel * along, bias * factors])
        kernel, bias = other.get_weights()
        other.set_weights([kernel / factors[:, None], bias])
    return network


def decibels(content: bytes, model: Any, batch: Batch) -> float:
    """Of the logits, signal to noise."""
    wanted = model.predict(batch, verbose=0)
    off = TFLiteModel(content).logits([batch]) - wanted
    return float(10 * np.log10(np.square(wanted).sum() / np.square(off).sum()))


def scales(content: bytes) -> list[int]:
    """How many each kernel has."""
    editor = Editor(content)
    return [
        editor.scales(int(one.inputs[1])).size
        for one in editor.operators
        if editor.kind(one) in WEIGHTED
    ]


@pytest.mark.parametrize("name", ["channel", "tensor"])
def test_channels_that_differ_by_orders_are_made_alike(
    name: Any, even: Any, batch: Batch, examples: Examples
) -> None:
    spoilt = uneven(even)
    modes = [Int8(weight_scales=name, equalise=one, correct_bias=False) for one in (False, True)]
    good, poor, mended = (
        decibels(mode.convert(network, examples), even, batch)
        for network, mode in ((even, modes[0]), (spoilt, modes[0]), (spoilt, modes[1]))
    )
    print(f"{name}: {good:.1f}, {poor:.1f}, {mended:.1f} dB")
    assert poor < 25 < 38 < good
    assert mended > good - 1


@pytest.mark.parametrize("by_channel", [True, False])
def test_an_equalised_network_is_the_same_function(
    by_channel: bool, even: Any, batch: Batch, examples: Examples
) -> None:
    spoilt = uneven(even)
    content = Float32().convert(spoilt, examples)
    made = equalised(content, examples.inputs(range(200, 300), 1), by_channel)
    answers = [TFLiteModel(one).logits([batch]) for one in (content, made)]
    assert np.abs(answers[0] - answers[1]).max() < 1e-5 * np.abs(answers[0]).max()
    kinds = [[Editor(one).kind(op) for op in Editor(one).operators] for one in (content, made)]
    assert kinds[0] == kinds[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
def test_no_network_answers_otherwise_when_it_is_equalised(
    name: str, batch: Batch, examples: Examples
) -> None:
    """Norms have seen photographs, so that ReLU6s reach 6."""
    keras.utils.set_random_seed(0)
    network = load("models", name)().build((32, 32, 3), 10)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(batch, training=True)
    content = Float32().convert(network, examples)
    made = equalised(content, examples.inputs(range(200, 250), 1), by_channel=False)
    assert made != content
    answers = [TFLiteModel(one).logits([batch]) for one in (content, made)]
    assert np.abs(answers[0] - answers[1]).max() < 1e-4 * np.abs(answers[0]).max()


@pytest.mark.parametrize("quantised", [False, True], ids=["calibrated", "after qat"])
def test_kernels_have_one_scale_on_request(
    quantised: bool, batch: Batch, examples: Examples
) -> None:
    model = Tiny().build((32, 32, 3), 10)
    model(batch, training=True)
    network = QAT().wrap(model, {"kept": []}, 10) if quantised else model
    mode = Int8(weight_scales="tensor", weight_bits=8 if quantised else 4)
    content = mode.convert(network, examples)
    mode.check(File(content))
    assert mode.calibrated_on(network, examples) == examples.balanced(200, 0)
    for target in ("any", "cpu", "gpu", "nnapi"):
        assert set(scales(lowered(content, target, lambda _: True))) == {1}
    if not quantised:
        first, *rest, _ = File(content).weights()
        assert max(len(np.unique(one.values)) for one in rest) <= 15 < len(np.unique(first.values))
    assert max(scales(Int8().convert(network, examples))) == 64
