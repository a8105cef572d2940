"""Every architecture is its paper's network, and fit for QAT, int8 and phones."""

from typing import Any

import numpy as np
import pytest

from tflite_light.export.float32 import Float32
from tflite_light.models import Architecture
from tflite_light.models._blocks import make_divisible
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.sockets import load, names
from tflite_light.stack import keras, tf
from tflite_light.tflite import File

MODELS = names("models")
FREE_OF_WEIGHTS = ("InputLayer", "ReLU", "Add", "GlobalAveragePooling2D", "Concatenate", "Reshape")


def model_of(name: str) -> Architecture:
    return load("models", name)()  # type: ignore[return-value]


def multiply_adds(model: Any) -> int:
    """Of convolutions and dense layers, one picture: each weight times the places it is used at."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = layer.weights[0]
            total += int(np.prod(kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
    return total


# alpha: total and trainable parameters; resolution: multiply-adds. Counted from tf_keras 2.21 with
# 1000 classes; torchvision and timm agree on the trainable ones.
MOBILENET_V2 = {
    1.4: (6_156_712, 6_108_776, {224: 582_195_824}),
    1.3: (5_431_048, 5_386_792, {224: 509_374_560}),
    1.0: (3_538_984, 3_504_872, {224: 300_774_272, 192: 221_316_608, 160: 154_083_200, 128: 99_074_048, 96: 56_289_152}),
    0.75: (2_663_064, 2_636_424, {224: 209_069_792, 192: 153_941_888, 160: 107_295_200, 128: 69_129_728, 96: 39_445_472}),
    0.5: (1_987_224, 1_968_680, {224: 97_131_840, 192: 71_701_760, 160: 50_184_000, 128: 32_578_560, 96: 18_885_440}),
    0.35: (1_691_208, 1_677_128, {224: 59_285_808, 192: 43_896_512, 160: 30_874_800, 128: 20_220_672, 96: 11_934_128}),
}  # fmt: skip


@pytest.mark.parametrize("alpha", MOBILENET_V2)
def test_mobilenet_v2_has_the_published_counts(alpha: float) -> None:
    total, trainable, costs = MOBILENET_V2[alpha]
    for size, cost in costs.items():
        model = MobileNetV2(alpha=alpha).build((size, size, 3), 1000)
        assert model.count_params() == total
        assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
        assert multiply_adds(model) == cost


@pytest.mark.parametrize(("alpha", "size"), [(0.35, 96), (1.0, 75), (1.4, 33)])
def test_mobilenet_v2_gives_the_logits_of_keras_applications(alpha: float, size: int) -> None:
    """Odd sizes are padded differently at stride 2, so one is among them."""
    ours = MobileNetV2(alpha=alpha).build((size, size, 3), 7)
    theirs = keras.applications.MobileNetV2(
        (size, size, 3), alpha, weights=None, classes=7, classifier_activation=None
    )
    numbers = np.random.default_rng(0)
    weights = [_drawn(weight.shape, numbers) for weight in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    images = numbers.normal(size=(2, size, size, 3)).astype(np.float32)
    expected = theirs(images).numpy()
    assert np.abs(ours(images).numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def _drawn(shape: tuple[int, ...], numbers: Any) -> Any:
    if len(shape) == 1:
        return numbers.uniform(0.5, 1.5, shape).astype(np.float32)
    return (numbers.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = model_of(name).build((32, 32, 3), 3)
    images = tf.random.stateless_normal((4, 32, 32, 3), seed=(1, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            model(images, training=True) * tf.random.stateless_normal((4, 3), seed=(3, 4))
        )
    for gradient in tape.gradient(loss, model.trainable_weights):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0


@pytest.mark.parametrize("name", MODELS)
def test_graph_is_flat_named_and_within_rank_four(name: str) -> None:
    model = model_of(name).build((32, 32, 3), 3)
    assert model.output_shape == (None, 3)
    assert isinstance(model.layers[-1], keras.layers.Dense)  # logits: no softmax
    for layer in model.layers:
        assert not isinstance(layer, keras.Model)
        assert len(layer.output.shape) <= 4
        assert "conv2d" not in layer.name  # no layer was left with Keras' own name


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("size", "classes"), [(32, 2), (45, 11), (224, 1000)])
def test_every_size_converts_with_static_shapes(name: str, size: int, classes: int) -> None:
    model = model_of(name).build((size, size, 3), classes)
    graph = File(Float32().convert(model, None))._model.subgraphs[0]  # type: ignore[arg-type]
    assert list(graph.tensors[graph.inputs[0]].shape) == [1, size, size, 3]
    assert list(graph.tensors[graph.outputs[0]].shape) == [1, classes]
    assert all(tensor.shapeSignature is None for tensor in graph.tensors)


def test_make_divisible_never_loses_more_than_a_tenth() -> None:
    assert [make_divisible(value) for value in (1, 8, 11.2, 12, 18.9, 22, 33.6)] == [
        8,
        8,
        16,
        16,
        24,
        24,
        32,
    ]
    assert all(make_divisible(value) >= 0.9 * value for value in range(1, 2000))
