"""Every export mode: the bytes, what is inside, and that the file answers as its model does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflite_light.compress.qat import QAT
from tflite_light.contract import Image
from tflite_light.data.sign_digits import SignDigits
from tflite_light.errors import Unmade, UserError
from tflite_light.export import Mode
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.measure.accuracy import answers
from tflite_light.measure.runners import KerasModel, TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.preprocess import normalise
from tflite_light.runs.delivery import deliver
from tflite_light.runs.making import make
from tflite_light.sockets import load, names
from tflite_light.stack import keras
from tflite_light.tflite.ends import dequantise, quantise
from tflite_light.tflite.file import File
from tflite_light.tflite.ties import without_ties


@pytest.fixture(scope="module")
def data() -> Data:
    return SignDigits().load(Image(size=32))


@pytest.fixture(scope="module")
def model(data: Data) -> Any:
    """A network whose norms have seen real photographs."""
    keras.utils.set_random_seed(0)
    network = Tiny(width=16).build((32, 32, 3), 10)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.concatenate(list(data.train.inputs(range(len(data.train)))))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    network.fit(images, data.train.labels, 64, 20, verbose=0)
    return network


@pytest.fixture(scope="module")
def batch(data: Data) -> Any:
    return np.concatenate(list(data.test.inputs(range(len(data.test)))))


@pytest.mark.parametrize("name", names("export"))
def test_every_mode_answers_as_the_model(name: str, model: Any, data: Data, batch: Any) -> None:
    mode: Mode = load("export", name)()
    content = mode.convert(model, data.train)
    mode.check(File(content))
    expected, found = model.predict(batch, verbose=0), TFLiteModel(content).logits([batch])
    assert np.abs(found - expected).max() <= mode.logit_error * np.abs(expected).max()
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= mode.agreement
    assert len(content) <= mode.size_ratio * 140_000
    assert content == mode.convert(model, data.train)  # equal models, equal bytes


@pytest.mark.parametrize("io", ["uint8", "int8"])
@pytest.mark.parametrize("quantised", [False, True], ids=["calibrated", "after qat"])
def test_int8_is_integer_from_end_to_end(io: Any, quantised: bool, model: Any, data: Data) -> None:
    network = model
    if quantised:
        network = QAT().wrap(model, {"kept": []}, 10)
        QAT().prepare(network, model, {}, data.train)
    content = Int8(io=io).convert(network, data.train)
    file, runner = File(content), TFLiteModel(content)
    assert file.float_operators() == []
    assert {weight.values.dtype for weight in file.weights()} == {np.dtype(np.int8)}
    assert len(list(file.weights())) == 9
    assert (runner.input.dtype, runner.output.dtype) == (io, io)
    assert runner.input.scale == 1 / 128
    assert runner.input.zero_point == (128 if io == "uint8" else 0)


def test_no_mean_has_halves_that_processors_round_otherwise(data: Data) -> None:
    """A layer whose extremes are channels that hold one value: so its mean spans the same range."""
    image = keras.layers.Input((32, 32, 3))
    convolution = keras.layers.Conv2D(8, 3, 16, name="wide")
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(convolution(image))
    network = keras.Model(image, keras.layers.Flatten()(keras.layers.Conv2D(10, 1)(x)))
    kernel, bias = np.random.default_rng(0).normal(0, 0.01, (3, 3, 3, 8)), np.zeros(8)
    kernel[..., :2], bias[:2] = 0, (-1, 2)
    convolution.set_weights([kernel, bias])
    content = Int8().convert(network, data.train)
    (graph,) = File(content).graphs
    ((source, mean),) = [
        (graph.tensors[record.inputs[0]], graph.tensors[record.outputs[0]])
        for name, record in graph.operators
        if name == "MEAN"
    ]
    apart = float(mean.quantization.scale[0] / source.quantization.scale[0])
    assert apart == pytest.approx(1 + 2**-12, abs=1e-6)
    assert without_ties(content) == content


def test_a_float_operator_in_an_int8_file_is_an_error(model: Any, data: Data) -> None:
    with pytest.raises(UserError, match=r"would compute in float: CONV_2D of .* and 6 more\."):
        Int8().check(File(Float32().convert(model, data.train)))


def test_a_file_that_xnnpack_refuses_is_an_error(data: Data, tmp_path: Path) -> None:
    """Two equal channels, one from the other: sums are far more than 256 times what is left."""
    inputs = keras.layers.Input((32, 32, 3))
    twice = keras.layers.Conv2D(2, 1, name="twice")
    rest = keras.layers.Conv2D(10, 1, name="rest")
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(rest(twice(inputs))))
    twice.set_weights([np.ones((1, 1, 3, 2), np.float32), np.zeros(2, np.float32)])
    left = np.stack([np.ones(10), -0.999999 * np.ones(10)])
    rest.set_weights([left[None, None].astype(np.float32), np.zeros(10, np.float32)])
    logits = answers(KerasModel(network), data.test)
    with pytest.raises(UserError, match=r"int8\.tflite was converted but does not run: failed"):
        deliver(Int8(), network, logits, data, [], tmp_path / "int8.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["int8.broken.tflite"]


def test_a_file_that_answers_with_nan_is_one_that_cannot_be_made(
    data: Data, tmp_path: Path
) -> None:
    """So a run goes on with the others."""
    inputs = keras.layers.Input((32, 32, 3))
    last = keras.layers.Dense(10, bias_initializer=keras.initializers.Constant(np.nan))
    network = keras.Model(inputs, last(keras.layers.GlobalAveragePooling2D()(inputs)))
    with pytest.raises(Unmade, match="the network answers with NaN or infinity"):
        make(Float32(), network, data, [], tmp_path / "float32.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["float32.broken.tflite"]


def test_pixels_survive_quantising_to_the_last_one(model: Any, data: Data) -> None:
    """With the default mean and std the uint8 input is the pixel, so a phone need not compute it."""
    runner = TFLiteModel(Int8().convert(model, data.train))
    pixels = np.arange(256, dtype=np.uint8)
    real = normalise(np.repeat(pixels[:, None], 3, axis=1).astype(np.float32), Image())
    assert np.array_equal(quantise(real, runner.input)[:, 0], pixels)
    assert np.array_equal(dequantise(quantise(real, runner.input), runner.input), real)
