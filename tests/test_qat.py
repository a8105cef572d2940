"""Quantisation-aware training: which layers it rounds."""

from typing import Any

import numpy as np
import pytest

from tflite_light.compress.qat import QAT
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.models.tiny import Tiny
from tflite_light.tflite.file import File

NO_PICTURES: Any = None  # ranges were trained
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
