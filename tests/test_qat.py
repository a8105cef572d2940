"""Quantisation-aware training: which layers it rounds."""

from typing import Any

import numpy as np
import pytest

from tflite_light.compress.qat import QAT
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.graph import quantised, statistics
from tflite_light.graph.copied import copied
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Data
from tflite_light.runs.delivery import accuracy_as
from tflite_light.stack import keras
from tflite_light.tflite.file import File

NO_PICTURES: Any = None  # ranges were trained
NORM = keras.layers.BatchNormalization
BATCH = np.random.default_rng(0).normal(0, 1, (8, 32, 32, 3)).astype(np.float32)


def test_an_excluded_layer_is_rounded_in_the_file_alone() -> None:
    model = Tiny(width=8).build((32, 32, 3), 4)
    stage = QAT(exclude=["logits", "block1_*"])
    plan = stage.plan(model, None)
    excluded = ["block1_spatial_depthwise", "block1_expand_conv", "logits"]
    assert plan == {"excluded": excluded}
    wrapped = stage.wrap(model, plan | {"kept": []}, 1)
    wrapped.compile("sgd", "mse")
    wrapped.fit(BATCH, np.zeros((8, 4)), verbose=0)
    kinds = {
        layer.layer.name: type(quantizer).__name__
        for layer in wrapped.layers
        for _, quantizer, _ in getattr(layer, "_weight_vars", [])
    }
    assert len(kinds) == 9
    assert [name for name, kind in kinds.items() if kind == "NoQuantizer"] == excluded
    file = File(Int8().convert(wrapped, NO_PICTURES))
    assert [weight.values.dtype for weight in file.weights()] == [np.int8] * 9
    assert file.float_operators() == []


def test_an_excluded_layer_that_is_none_is_refused() -> None:
    model = Tiny().build((32, 32, 3), 4)
    with pytest.raises(UserError, match=r"compress\.qat\.exclude: .* called 'logit'") as raised:
        QAT(exclude=["logit"]).plan(model, None)
    assert raised.value.hint.startswith("Write a name, such as logits, or")
    with pytest.raises(UserError, match=r"compress\.qat\.exclude names every layer"):
        QAT(exclude=["*"]).plan(model, None)


def test_batch_norm_s_statistics_stay_and_its_offset_learns_on() -> None:
    model = Tiny(width=8).build((32, 32, 3), 4)
    wrapped = QAT().wrap(model, {"kept": []}, 1)
    norms = [one for one in wrapped.submodules if isinstance(one, NORM)]
    before = [norm.get_weights() for norm in norms]
    wrapped.compile("sgd", "mse")
    wrapped.fit(BATCH, np.ones((8, 4)), verbose=0)
    after = [norm.get_weights() for norm in norms]
    assert len(norms) == 8
    for old, new in zip(before, after, strict=True):
        assert [np.array_equal(*pair) for pair in zip(old, new, strict=True)][2:] == [True, True]
    assert not np.array_equal(before[-1][1], after[-1][1])  # the last one's offset


@pytest.mark.parametrize("trained", [False, True], ids=["lagging", "up to date"])
def test_statistics_are_measured_first_where_they_lag(trained: bool) -> None:
    """As after a training of few steps; those of a training of epochs stay to the bit."""
    examples = Synthetic(count=60, side=32).load(Image(size=32)).train
    model = Tiny(width=8).build((32, 32, 3), 4)
    measured = copied(model)
    statistics.measure(measured, examples.inputs(examples.sample(512), 32))
    given = measured if trained else model
    assert (
        statistics.lag(given, examples.inputs(range(len(examples)))) > statistics.LAG
    ) != trained
    wrapped = QAT().wrap(given, {"kept": []}, 1)
    QAT().prepare(wrapped, given, {}, examples)
    for norm in statistics.norms(measured):
        (inner,) = (one for one in wrapped.submodules if one.name == norm.name)
        assert np.array_equal(inner.moving_mean, norm.moving_mean)
        assert np.array_equal(inner.moving_variance, norm.moving_variance)


def test_statistics_of_norms_that_are_held_stay_however_far_they_are() -> None:
    """As those of fine-tuning, whose loaded weights mean nothing with others."""
    examples = Synthetic(count=60, side=32).load(Image(size=32)).train
    model = Tiny(width=8).build((32, 32, 3), 4)
    norms = statistics.norms(model)
    norms[0].moving_mean.assign_add(np.full(norms[0].moving_mean.shape, 9.0))
    for norm in norms[1:]:
        norm.trainable = False
    wrapped = QAT().wrap(model, {"kept": []}, 1)
    QAT().prepare(wrapped, model, {}, examples)
    inner = {one.name: one for one in wrapped.submodules if isinstance(one, NORM)}
    stay = [np.array_equal(inner[one.name].moving_mean, one.moving_mean) for one in norms]
    assert stay == [False, *[True] * 7]


def test_what_a_dense_layer_s_norm_folds_to_is_measured_first_where_it_lags() -> None:
    """Answers are the float network's with the pictures' statistics, and the file's."""
    examples = Synthetic(count=60, side=32).load(Image(size=32)).train
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(image)
    x = keras.layers.Dense(16)(keras.layers.GlobalAveragePooling2D()(x))
    x = keras.layers.ReLU()(NORM()(x))
    model = keras.Model(image, keras.layers.Dense(4)(x))
    measured = copied(model)
    statistics.measure(measured, examples.inputs(examples.sample(512), 32))
    wrapped = QAT().wrap(model, {"kept": []}, 1)
    QAT().prepare(wrapped, model, {}, examples)
    wrapped.compile(keras.optimizers.SGD(0.0), "mse")
    batch = next(examples.inputs(range(8)))
    expected = measured.predict_on_batch(batch)
    wrapped.fit(batch, np.zeros((8, 4)), verbose=0)  # sets the weights' ranges
    found = TFLiteModel(Int8().convert(wrapped, NO_PICTURES)).logits([batch])
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99


def dead(model: Any, name: str) -> Any:
    """The model, with a layer whose ReLU gives nothing for any picture."""
    layer = model.get_layer(name)
    layer.bias.assign(layer.bias - 90)
    return model


def gated() -> Any:
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(image)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = keras.layers.Conv2D(4, 1, activation="relu", name="squeeze")(gate)
    gate = keras.layers.Conv2D(8, 1, activation="sigmoid")(gate)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply()([x, gate]))
    return keras.Model(image, keras.layers.Dense(4)(x))


@pytest.fixture(scope="module")
def data() -> Data:
    return Synthetic(count=60, side=32).load(Image(size=32))


@pytest.fixture(scope="module")
def with_dead_unit(data: Data) -> Any:
    model = dead(gated(), "squeeze")
    wrapped = QAT().wrap(model, {"kept": []}, 1)
    QAT().prepare(wrapped, model, {}, data.train)
    wrapped.compile("sgd", "mse")
    wrapped.fit(BATCH, np.zeros((8, 4)), verbose=0)
    return wrapped


def test_a_unit_that_is_zero_on_all_pictures_has_a_file_that_runs(
    with_dead_unit: Any, data: Data
) -> None:
    """It ended the first epoch in a traceback; ranges of the training stay as they are."""
    before = [variable.numpy() for variable in with_dead_unit.variables]
    content = Int8().convert(with_dead_unit, NO_PICTURES)
    assert all(map(np.array_equal, before, [one.numpy() for one in with_dead_unit.variables]))
    batch = next(data.train.inputs(range(8)))
    expected = with_dead_unit.predict_on_batch(batch)
    off = np.abs(TFLiteModel(content).logits([batch]) - expected).max()
    assert off < 0.02 * np.ptp(expected)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("small", [1.0, 1e-3])  # of a kernel that decayed, as no loss asks for it
@pytest.mark.parametrize(("zeros", "shift"), [(slice(None), 0.0), (slice(None, None, 2), 2.0)])
def test_channels_that_a_norm_multiplies_by_zero_stay_in_integers_with_their_shifts(
    zeros: slice, shift: float, small: float, depthwise: bool, data: Data
) -> None:
    """As residuals begin, where `check` refused the stage; and as loaded weights may be."""
    image = keras.layers.Input((32, 32, 3))
    first = keras.layers.Conv2D(16, 3, 2, activation="relu")(image)
    filters = {} if depthwise else {"filters": 16}
    kind = keras.layers.DepthwiseConv2D if depthwise else keras.layers.Conv2D
    layer = kind(kernel_size=3, padding="same", use_bias=False, **filters)
    branch = layer(first)
    x = keras.layers.Add()([first, NORM(name="norm")(branch)])
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x)
    scale = np.ones(16, np.float32)
    scale[zeros] = 0
    layer.set_weights([small * layer.get_weights()[0]])
    norm = model.get_layer("norm")
    norm.set_weights([scale, np.linspace(-shift, shift, 16), *norm.get_weights()[2:]])
    QAT().plan(model, None)
    wrapped = QAT().wrap(model, {"kept": []}, 1)
    QAT().prepare(wrapped, model, {}, data.train)
    wrapped(BATCH, training=True)  # which gives the kernels their ranges
    content = Int8().convert(wrapped, NO_PICTURES)
    assert File(content).float_operators() == []
    assert np.array_equal(wrapped.get_layer("quant_norm").layer.gamma, scale)  # and trains on
    batch = next(data.train.inputs(range(8)))
    expected = wrapped.predict_on_batch(batch)
    off = np.abs(TFLiteModel(content).logits([batch]) - expected).max()
    assert off < 0.02 * np.ptp(expected)


def test_an_epoch_s_file_that_does_not_run_is_told_in_words(
    with_dead_unit: Any, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised, "_FLAT", 0.0)  # so that the dead unit's range stays
    with pytest.raises(UserError, match=r"^int8\.tflite was converted but does not run: "):
        accuracy_as([Int8()], with_dead_unit, data)
