"""Quantisation-aware training: which layers it rounds."""

from typing import Any

import numpy as np
import pytest

from tflite_light.compress.qat import LAG, QAT
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.graph import statistics
from tflite_light.graph.copied import copied
from tflite_light.models.tiny import Tiny
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
    assert (statistics.lag(given, examples.inputs(range(len(examples)))) > LAG) != trained
    wrapped = QAT().wrap(given, {"kept": []}, 1)
    QAT().prepare(wrapped, given, {}, examples)
    for norm in statistics.norms(measured):
        (inner,) = (one for one in wrapped.submodules if one.name == norm.name)
        assert np.array_equal(inner.moving_mean, norm.moving_mean)
        assert np.array_equal(inner.moving_variance, norm.moving_variance)
