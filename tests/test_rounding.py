"""Better int8 without training: biases, ranges and roundings, each held to what it gains."""

from typing import Any

import numpy as np
import pytest
from conftest import networks

from tflite_light.compress.qat import QAT
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.sockets import load
from tflite_light.stack import keras, tf
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.patches import patches
from tflite_light.tflite.watching import Watched

Batch = Any


def trained(model: Any, examples: Examples, epochs: int) -> Any:
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8
    images = np.concatenate(list(examples.inputs(range(len(examples)))))
    model.fit(images, examples.labels, 64, epochs, verbose=0)
    return model


@pytest.fixture(scope="module")
def model(examples: Examples) -> Any:
    keras.utils.set_random_seed(0)
    return trained(Tiny(width=16).build((32, 32, 3), 10), examples, 10)


def decibels(content: bytes, model: Any, batch: Batch) -> float:
    """Of the logits, signal to noise."""
    wanted = model.predict(batch, verbose=0)
    off = TFLiteModel(content).logits([batch]) - wanted
    return float(10 * np.log10(np.square(wanted).sum() / np.square(off).sum()))


def test_corrected_biases_bring_the_answers_nearer(
    model: Any, batch: Batch, examples: Examples
) -> None:
    plain = Int8(correct_bias=False).convert(model, examples)
    better = Int8().convert(model, examples)
    assert decibels(better, model, batch) > decibels(plain, model, batch)
    kernels = [[one.values.tobytes() for one in File(c).weights()] for c in (plain, better)]
    assert kernels[0] == kernels[1]
    assert len(better) <= len(plain) + 1024
    assert better == Int8().convert(model, examples)


def test_rounding_for_pictures_beats_rounding_to_the_nearest(
    model: Any, batch: Batch, examples: Examples
) -> None:
    found = {
        (bits, how): decibels(
            Int8(weight_bits=bits, rounding=how).convert(model, examples), model, batch
        )
        for bits in (4, 8)
        for how in ("nearest", "adaptive")
    }
    assert found[8, "adaptive"] > found[8, "nearest"] - 1
    assert found[4, "adaptive"] > found[4, "nearest"]
    assert found[8, "nearest"] > found[4, "adaptive"] + 3


def test_four_bits_leave_15_values_a_channel(model: Any, examples: Examples) -> None:
    content = Int8(weight_bits=4).convert(model, examples)
    first, *rest, dense = File(content).weights()
    assert max(one.distinct_by_channel for one in rest) <= 15
    assert (first.values.min(), dense.values.min()) < (-100, -100)
    assert File(content).float_operators() == []


def test_a_first_layer_in_float_leaves_no_other_at_8_bits(model: Any, examples: Examples) -> None:
    first = next(layer.name for layer in model.layers if layer.weights)
    content = Int8(weight_bits=4, float_layers=[f"{first.partition('_')[0]}*"]).convert(
        model, examples
    )
    coarse = [one for one in File(content).weights() if one.values.dtype == np.int8][:-1]
    assert len(coarse) >= 5
    assert max(one.distinct_by_channel for one in coarse) <= 15


def test_what_training_has_rounded_is_not_rounded_anew(model: Any, examples: Examples) -> None:
    quantised = QAT().wrap(model, {"kept": []}, 10)
    with pytest.raises(UserError, match=r"export\.int8: weight_bits: 4 has no effect after qat"):
        Int8(weight_bits=4).convert(quantised, examples)


def test_zeros_of_pruned_kernels_stay_zeros(model: Any, examples: Examples) -> None:
    pruned = keras.models.clone_model(model)
    pruned.set_weights(
        [
            np.where(np.abs(w) < np.median(np.abs(w)), 0, w) if w.ndim > 1 else w
            for w in model.get_weights()
        ]
    )
    zeros = [
        [np.packbits(one.values == 0).tobytes() for one in File(content).weights()]
        for content in (
            Int8(rounding="nearest").convert(pruned, examples),
            Int8(rounding="adaptive").convert(pruned, examples),
        )
    ]
    assert File(Int8(rounding="adaptive").convert(pruned, examples)).zeros() >= 0.5
    assert len(zeros[0]) == len(zeros[1])


def test_ranges_end_where_cutting_off_and_rounding_cost_least(
    model: Any, batch: Batch, examples: Examples
) -> None:
    """A layer with one value in ten thousand that is far out."""
    extremes, narrow = (Int8(ranges=how).convert(model, examples) for how in ("extremes", "error"))
    assert decibels(narrow, model, batch) > decibels(extremes, model, batch) - 1
    scales = [
        [
            Editor(c).scales(int(one.outputs[0]))[0]
            for one in Editor(c).operators
            if Editor(c).kind(one) == "CONV_2D"
        ]
        for c in (extremes, narrow)
    ]
    assert all(new <= old * 1.001 for old, new in zip(*scales, strict=True))
    assert scales[0] != scales[1]
    ends = [(TFLiteModel(c).input, TFLiteModel(c).output.scale) for c in (extremes, narrow)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", ["conv", "grouped", "depthwise", "dilated"])
def test_patches_times_kernel_are_the_layer_s_answers(
    kind: str, kernel: int, strides: int, padding: str
) -> None:
    if kind == "dilated" and strides > 1:
        return
    image = keras.layers.Input((13, 12, 4))
    layer = {
        "conv": lambda: keras.layers.Conv2D(6, kernel, strides, padding),
        "grouped": lambda: keras.layers.Conv2D(6, kernel, strides, padding, groups=2),
        "depthwise": lambda: keras.layers.DepthwiseConv2D(kernel, strides, padding, 2),
        "dilated": lambda: keras.layers.Conv2D(6, kernel, 1, padding, dilation_rate=2),
    }[kind]()
    network = keras.Model(image, layer(image))
    content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    editor, watched = Editor(content), Watched(content)
    one = next(o for o in editor.operators if "CONV" in editor.kind(o))
    picture = np.random.default_rng(0).normal(size=(1, 13, 12, 4)).astype(np.float32)
    if editor.kind(one) != ("DEPTHWISE_CONV_2D" if kind == "depthwise" else "CONV_2D"):
        return
    watched.run(picture)
    rows = patches(editor, one, watched.value(int(one.inputs[0])))
    weights, outputs = editor.weight(one, 1), watched.value(int(one.outputs[0]))[0]
    assert weights is not None
    if kind == "depthwise":
        made = np.einsum("gpi,igm->pgm", rows, weights.reshape(kernel * kernel, 4, 2))
    else:
        made = np.einsum("gpi,goi->pgo", rows, weights.reshape(len(rows), -1, rows.shape[2]))
    assert (
        np.abs(
            made.reshape(outputs.reshape(-1, outputs.shape[-1]).shape)
            - outputs.reshape(-1, outputs.shape[-1])
        ).max()
        < 1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
def test_no_network_loses_by_corrected_biases(name: str, examples: Examples, batch: Batch) -> None:
    keras.utils.set_random_seed(0)
    network = trained(load("models", name)().build((32, 32, 3), 10), examples, 3)
    found = [
        decibels(Int8(correct_bias=how).convert(network, examples), network, batch)
        for how in (False, True)
    ]
    print(f"{name}: {found[0]:.1f} -> {found[1]:.1f} dB")
    assert found[1] > found[0] - 0.3
