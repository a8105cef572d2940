"""Every compression stage, alone and after the others, keeps its promise up to the file."""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import networks

from tflite_light.compress import Plan, Stage, misfit
from tflite_light.compress._structure import kernel_variables
from tflite_light.compress.channels import Channels
from tflite_light.compress.cluster import Cluster
from tflite_light.compress.factorize import Factorize
from tflite_light.compress.prune import Prune
from tflite_light.compress.qat import QAT
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.graph import statistics
from tflite_light.graph.copied import copied
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models import Architecture
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.sockets import load, names
from tflite_light.stack import keras
from tflite_light.tflite.file import File

STEPS, SIZE = 20, 32
NETWORK = Tiny(width=8)
WIDE = Tiny(width=24)  # thinned by half it still has something for factorize to cut
PRUNABLE = (keras.layers.Conv2D, keras.layers.Dense)


@functools.cache
def pictures(size: int) -> Examples:
    return Synthetic(count=100, side=size).load(Image(size=size)).train


@pytest.fixture
def examples() -> Examples:
    return pictures(SIZE)


def example(key: str) -> Stage:
    stage: Stage = load("compress", key).example(Path())
    return stage


@functools.lru_cache(maxsize=16)  # those that begin alike share what they begin with
def trained(
    keys: tuple[str, ...], network: Architecture = NETWORK, size: int = SIZE
) -> tuple[Any, list[Plan]]:
    """A model that went through stages, a few steps each, and what each planned; to be left as it is."""
    if not keys:
        return fitted(network, pictures(size)), []
    examples = pictures(size)
    model, plans = trained(keys[:-1], network, size)
    model, own = further(model, [example(key) for key in keys], examples)
    return model, [*plans, own]


def further(model: Any, stages: Sequence[Stage], examples: Examples) -> tuple[Any, Plan]:
    """A model trained through the last of `stages`, which the others made, and what it planned."""
    *before, stage = stages
    keras.utils.set_random_seed(len(stages))
    own = plan(stage, model, before, SimpleNamespace(train=examples))
    wrapped = stage.wrap(model, own, STEPS)
    stage.prepare(wrapped, model, own, examples)
    fit(wrapped, examples, stage.callbacks(wrapped, own))
    return stage.strip(wrapped), own


def fitted(network: Architecture, examples: Examples) -> Any:
    keras.utils.set_random_seed(0)
    size = examples.image.size
    model = network.build((size, size, 3), 4)
    fit(model, examples, [])
    return model


def fit(model: Any, examples: Examples, callbacks: list[Any]) -> None:
    for layer in model.submodules:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # the statistics of 20 steps, as `train` would set it
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.concatenate(list(examples.inputs(range(len(examples)))))
    model.fit(images, examples.labels, 14, STEPS // 5, callbacks=callbacks, verbose=0)


def plan(stage: Stage, model: Any, before: Sequence[Stage], data: Any = None) -> Plan:
    kept = sorted({name for one in before for name in one.gives})
    return stage.plan(model, data) | {"kept": kept}


def wrap(stage: Stage, model: Any, before: Sequence[Stage]) -> Any:
    return stage.wrap(model, plan(stage, model, before), STEPS)


def ordered_choices() -> list[Any]:
    """Of every choice of stages, the orders that they declare as possible; each takes 10 s."""
    keys = names("compress")
    orders = [order for size in range(1, 5) for order in itertools.permutations(keys, size)]
    possible = [order for order in orders if not misfit([example(key) for key in order])]
    return [
        pytest.param(order, marks=pytest.mark.slow if _is_slow(order) else ()) for order in possible
    ]


def _is_slow(order: tuple[str, ...]) -> bool:
    """All but each stage by itself, and all promises together."""
    return not (len(order) == 1 or order == ("prune", "cluster", "qat"))


@pytest.mark.parametrize("keys", ordered_choices(), ids=lambda keys: "+".join(keys))
def test_every_combination_ends_in_an_integer_file_that_keeps_its_promises(
    keys: tuple[str, ...], examples: Examples
) -> None:
    stages: list[Stage] = [example(key) for key in keys]
    # of 4 channels that are left to the narrow one, one has 3 steps, which count by 7 in what follows
    model, plans = trained(keys, WIDE if "channels" in keys else NETWORK)
    content = Int8().convert(model, examples)
    assert File(content).float_operators() == []
    require_promises(content, stages, plans)
    batch = next(examples.inputs(examples.sample(64)))
    keras_says, file_says = model.predict_on_batch(batch), TFLiteModel(content).logits([batch])
    assert np.std(keras_says - file_says) < 0.05 * np.std(keras_says)  # some lie near a tie
    assert np.mean(keras_says.argmax(1) == file_says.argmax(1)) >= 0.9


def require_promises(content: bytes, stages: Sequence[Stage], plans: Sequence[Plan]) -> None:
    """What the stages promised, counted in a file."""
    promises = [
        one for stage, plan in zip(stages, plans, strict=True) for one in stage.promises(plan)
    ]
    assert {promise.name for promise in promises} == {n for stage in stages for n in stage.gives}
    assert [promise.shortfall(File(content)) for promise in promises] == [None] * len(promises)
    promised = max((one.figure for one in promises if one.name == "zeros"), default=0.0)
    assert promised <= File(content).zeros() < promised + 0.1


@pytest.mark.parametrize(
    ("network", "sparsity"),
    [
        *((Tiny(width=4), sparsity) for sparsity in (0.1, 0.5, 0.9)),
        *(
            pytest.param(MobileNetV2(alpha=0.35), sparsity, marks=pytest.mark.slow)  # 34 s each
            for sparsity in (0.1, 0.5, 0.9)
        ),
    ],
    ids=lambda value: getattr(value, "key", str(value)),
)
def test_the_zeros_of_all_kernels_reach_the_promise(
    network: Any, sparsity: float, examples: Examples
) -> None:
    """Depthwise kernels and the first convolution stay dense; the promise holds over all kernels."""
    model = network.build((32, 32, 3), 4)
    stage = Prune(sparsity=sparsity)
    if network.key == "tiny" and sparsity == 0.9:
        with pytest.raises(
            UserError, match=r"0.9 cannot be reached, because only 0\.\d+ of the weights"
        ):
            wrap(stage, model, [])
        return
    wrapped = wrap(stage, model, [])
    wrapped.compile("sgd", "mse")
    images = np.concatenate(list(examples.inputs(range(56))))
    wrapped.fit(
        images,
        np.zeros((56, 4)),
        14,
        5,
        callbacks=stage.callbacks(wrapped, plan(stage, model, [])),
        verbose=0,
    )
    file = File(Float32().convert(stage.strip(wrapped), examples))
    assert sparsity <= file.zeros() < sparsity + 0.02
    zeros = {
        weight.name: weight.zeros / weight.values.size
        for weight in file.weights()
        if "depthwise" in weight.name
    }
    assert max(zeros.values()) < 0.01


def test_stripping_leaves_the_network_as_it_was_built(examples: Examples) -> None:
    model = Tiny().build((32, 32, 3), 4)
    stage = Prune()
    stripped = stage.strip(wrap(stage, model, []))
    assert [weight.name for weight in stripped.weights] == [weight.name for weight in model.weights]
    batch = next(examples.inputs(range(8)))
    assert np.array_equal(stripped.predict_on_batch(batch), model.predict_on_batch(batch))


def test_the_input_of_a_quantised_file_is_the_pixel_itself(examples: Examples) -> None:
    for keys in (("qat",), ()):
        model = TFLiteModel(Int8().convert(trained(keys)[0], examples))
        assert (model.input.dtype, model.input.scale, model.input.zero_point) == (
            "uint8",
            1 / 128,
            128,
        )


@pytest.mark.slow  # test_lint plans every stage for every architecture
def test_every_weight_is_rounded_during_training(examples: Examples) -> None:
    """A convolution without batch norm before its ReLU silently escapes TF-MOT; none may."""
    wrapped = wrap(QAT(), MobileNetV2(alpha=0.35).build((32, 32, 3), 4), [])
    inner = [layer for layer in wrapped.layers if hasattr(layer, "layer")]
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    weighty = [layer for layer in inner if isinstance(layer.layer, kinds)]
    assert len(weighty) == 53
    assert all(layer._weight_vars for layer in weighty)


def paper_networks_slow() -> list[Any]:
    """TF-MOT takes 10 s for the largest."""
    slow = [name for name in networks() if load("models", name).published()[0].source]
    return [pytest.param(n, marks=pytest.mark.slow if n in slow else ()) for n in networks()]


@pytest.mark.parametrize("name", paper_networks_slow())
def test_qat_keeps_zeros_and_clusters_in_every_layer_of_every_architecture(name: str) -> None:
    """TF-MOT's schemes forget them in convolutions right before a concatenation, or a ReLU."""
    model = load("models", name)().build((32, 32, 3), 4)
    stages: list[Stage] = [Prune(sparsity=0.3), Cluster(centroids=8)]
    for layer in model.layers:
        if isinstance(layer, PRUNABLE):
            kernel = layer.kernel.numpy()
            kernel[np.abs(kernel) < np.quantile(np.abs(kernel), 0.4)] = 0
            layer.kernel.assign(kernel)
    clustered = stages[1].wrap(model, plan(stages[1], model, stages[:1]), STEPS)
    decided = plan(QAT(), clustered, stages)
    wrapped = QAT().wrap(clustered, decided, STEPS)
    before = {v.name: v.numpy() for v in kernel_variables(wrapped)}
    wrapped.compile(keras.optimizers.Adam(0.01), "mse")
    inputs = np.random.default_rng(0).normal(0, 1, (4, 32, 32, 3)).astype(np.float32)
    callbacks = QAT().callbacks(wrapped, decided)
    wrapped.fit(inputs, np.ones((4, 4)), 2, callbacks=callbacks, verbose=0)
    after = {v.name: v.numpy() for v in kernel_variables(wrapped)}
    few = [name for name in after if "depthwise" not in name]
    assert len(few) == sum(isinstance(layer, PRUNABLE) for layer in model.layers)
    assert all(np.unique(after[name]).size <= 8 for name in few)
    assert all(((after[name] == 0) == (before[name] == 0)).all() for name in few)
    assert any((after[name] != before[name]).any() for name in few)


def test_a_layer_that_escapes_rounding_is_named_before_a_run() -> None:
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.ReLU()(keras.layers.Conv2D(8, 3, name="escaping")(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(x))
    with pytest.raises(
        UserError, match=r"compress\.qat: the weights of escaping would not be round"
    ):
        QAT().plan(model, None)


def test_quantisation_begins_where_the_float_model_stands(examples: Examples) -> None:
    """TF-MOT alone starts at ranges of [-6, 6] and an input of [0, 0], which costs all accuracy."""
    model = copied(trained(())[0])
    statistics.measure(model, examples.inputs(range(len(examples)), 32))  # else qat would do so
    wrapped = wrap(QAT(), model, [])
    QAT().prepare(wrapped, model, {}, examples)
    wrapped.compile(keras.optimizers.SGD(0.0), "mse")
    batch = next(examples.inputs(range(32)))
    wrapped.fit(batch, np.zeros((32, 4)), 32, 1, verbose=0)  # rate 0: sets the weights' ranges
    content = Int8().convert(wrapped, examples)
    float_says = model.predict_on_batch(batch).argmax(1)
    assert np.mean(TFLiteModel(content).logits([batch]).argmax(1) == float_says) >= 0.9


def one_norm() -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(16, 3, 2, "same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(32, 3, 2, "same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(32, 1, activation="relu")(x))
    return keras.Model(image, layers.Dense(4)(x))


@pytest.mark.parametrize("key", ["channels", "factorize", "qat"])
def test_the_only_batch_norm_of_a_network_is_measured(key: str, examples: Examples) -> None:
    model, stage = one_norm(), example(key)
    model.get_layer("norm").moving_mean.assign(np.ones(16))  # so that `qat` measures, too
    own = plan(stage, model, [], SimpleNamespace(train=examples))
    wrapped = stage.wrap(model, own, STEPS)
    stage.prepare(wrapped, model, own, examples)
    (norm,) = (one for one in wrapped.submodules if one.name == "norm")
    images = np.concatenate(list(examples.inputs(range(len(examples)))))
    before = model if key == "qat" else wrapped  # whose weights before the norm are those of both
    inputs = keras.Model(before.input, before.get_layer("norm").input).predict(images, verbose=0)
    assert norm.moving_mean.numpy() == pytest.approx(inputs.mean((0, 1, 2)), abs=1e-4)
    assert norm.moving_variance.numpy() == pytest.approx(inputs.var((0, 1, 2)), rel=0.02)


def transposed(layer: Any = None) -> Any:
    """A transposed convolution, as many channels in as out, between others and in a sum."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(16, 3, 2, "same", activation="relu", name="stem")(image)
    y = layers.Conv2D(8, 3, 2, "same", activation="relu", name="down")(x)
    y = (layer or layers.Conv2DTranspose)(16, 3, strides=2, padding="same", name="up")(y)
    x = layers.Conv2D(32, 1, activation="relu", name="wide")(layers.Add()([x, y]))
    x = layers.Conv2D(32, 3, 2, activation="relu", name="last")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x)))


class Doubled(keras.layers.Conv2D):  # type: ignore[misc]
    """A kind that is derived from a convolution, and does something else with its kernel."""

    def __init__(self, filters: int, kernel_size: int, strides: int, **options: Any):
        super().__init__(filters, kernel_size, **options)

    def call(self, inputs: Any) -> Any:
        return keras.backend.repeat_elements(
            keras.backend.repeat_elements(super().call(inputs), 2, 1), 2, 2
        )


ALL = ["stem", "down", "wide", "last", "logits"]


@pytest.mark.parametrize("kind", [keras.layers.Conv2DTranspose, Doubled])
@pytest.mark.parametrize(
    ("stage", "worked_on"),
    [
        (Prune(sparsity=0.3, pattern="2x1"), ALL[1:]),
        (Prune(pattern="2:4"), ALL[1:]),
        (Cluster(centroids=4), ALL),
        (Cluster(centroids=4, per="channel"), ALL),
        (Factorize(ranks={"down": 8, "last": 8}), ["down", "last"]),
        (Channels(keep=0.7), None),
    ],
    ids=["blocks", "N:M", "cluster", "by channel", "factorize", "channels"],
)
def test_kinds_derived_from_a_convolution_are_left_as_they_are(
    kind: Any, stage: Stage, worked_on: list[str] | None, examples: Examples
) -> None:
    model = transposed(kind)
    own = plan(stage, model, [], SimpleNamespace(train=examples))
    covered = stage.covers(model, own)
    assert covered == worked_on or (worked_on is None and {"wide", "last"} & {*covered})
    assert "up" not in covered
    wrapped = stage.wrap(model, own, STEPS)
    stage.prepare(wrapped, model, own, examples)
    fit(wrapped, examples, stage.callbacks(wrapped, own))
    assert wrapped.get_layer("up").kernel.shape == model.get_layer("up").kernel.shape
    file = File(Float32().convert(stage.strip(wrapped), examples))
    assert [promise.shortfall(file) for promise in stage.promises(own)] == [
        None for _ in stage.promises(own)
    ]


def test_a_transposed_convolution_is_pruned_where_any_weights_may_go(examples: Examples) -> None:
    model, stage = transposed(), Prune(sparsity=0.5)
    own = plan(stage, model, [])
    assert "up" in own["sparsity"]
    wrapped = stage.wrap(model, own, STEPS)
    fit(wrapped, examples, stage.callbacks(wrapped, own))
    zeros = float(np.mean(wrapped.get_layer("up").kernel == 0))
    assert zeros == pytest.approx(own["sparsity"]["up"], abs=1 / 1152)
    require_promises(Float32().convert(wrapped, examples), [stage], [own])
