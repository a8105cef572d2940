"""Removing channels: what is coupled goes together, and what is left is the same function."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from conftest import Call, as_json, complaint, networks
from test_factorize import constrained, moved_by_a_step

from tflite_light.compress._budget import Spaces, choose
from tflite_light.compress._latency import medians_ms
from tflite_light.compress.channels import Channels
from tflite_light.compress.qat import QAT
from tflite_light.contract import Image
from tflite_light.cost import of_model
from tflite_light.cost.network import FREE
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.graph import checkpoint
from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.coupling import couple
from tflite_light.graph.kernels import multiply_adds
from tflite_light.graph.statistics import norms
from tflite_light.graph.thinner import thin
from tflite_light.graph.tracing import MIXING, kind
from tflite_light.models import Architecture
from tflite_light.models._blocks import channels, classify, conv_norm, depthwise_norm, relu, shuffle
from tflite_light.models.ghostnet import GhostNet, _gate
from tflite_light.models.mobilenet_v1 import MobileNetV1
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.shufflenet_v1 import ShuffleNetV1
from tflite_light.models.shufflenet_v2 import ShuffleNetV2
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.models.tiny import Tiny
from tflite_light.models.xception import Xception
from tflite_light.pipeline.examples import Data
from tflite_light.sockets import load
from tflite_light.stack import keras, tf
from tflite_light.tflite.file import File

SHAPE = (32, 32, 3)


class Knotted(Architecture):
    """Grouped convolutions around a shuffle, a residual, a gate, a split: a unit of each kind."""

    def logits(self, image: Any, classes: int) -> Any:
        shortcut = x = relu(conv_norm(image, 24, "stem", 3, 2), "stem")
        x = relu(conv_norm(x, 36, "reduce", groups=3), "reduce")
        x = shuffle(depthwise_norm(x, "spatial"), 12, "mix")
        x = conv_norm(x, 24, "expand", groups=3)
        x = keras.layers.Add(name="add")([shortcut, x])
        x = _gate(x, "block")
        left, right = (channels(x, at, at + 12, f"side{at}") for at in (0, 12))
        right = depthwise_norm(conv_norm(right, 16, "right"), "doubled", multiplier=2)
        return classify(keras.layers.Concatenate(name="concat")([left, right]), classes)


class Various(Architecture):
    """Each kind of layer that passes channels on, or merges them, and is in no network of a paper."""

    def logits(self, image: Any, classes: int) -> Any:
        layers = keras.layers
        x = relu(conv_norm(image, 48, "stem", 3, 2), "stem")
        y = conv_norm(x, 48, "reduce", 3, 2)
        z = conv_norm(y, 48, "again", 3)
        y = layers.Average(name="average")([z, layers.LeakyReLU(0.1)(y), z])
        y = layers.UpSampling2D(2, name="near")(layers.Subtract(name="subtract")([y, z]))
        x = layers.Maximum(name="maximum")([x, layers.SpatialDropout2D(0.2)(y), x])
        w = conv_norm(layers.Minimum(name="minimum")([x, y]), 64, "other", 3, 2)
        w = layers.Multiply()([w, layers.GlobalMaxPooling2D(keepdims=True)(w)])
        w = layers.UpSampling2D(2, interpolation="bilinear", name="smooth")(w)
        w = layers.GlobalMaxPooling2D()(conv_norm(w, 64, "last"))
        return layers.Dense(classes, name="logits")(w)


class Slopes(Architecture):
    """By channel, by value, and one for all."""

    def logits(self, image: Any, classes: int) -> Any:
        slopes = keras.layers.PReLU
        x = slopes(shared_axes=[1, 2], name="channels")(conv_norm(image, 64, "stem", 3, 2))
        x = slopes(name="values")(conv_norm(x, 64, "reduce", 3, 2))
        x = slopes(shared_axes=[1, 2, 3], name="one")(conv_norm(x, 64, "again", 3))
        return classify(x, classes)


FAST = [
    Tiny(width=8),
    Knotted(),
    Various(),
    Slopes(),
    SqueezeNet(version="1.0", bypass="complex"),
    Xception(alpha=0.25, middle_blocks=1),
]
SLOW = [
    ShuffleNetV1(alpha=0.5),
    MobileNetV2(alpha=0.35),
    *(load("models", name)() for name in networks()),
    Xception(alpha=0.25, middle_blocks=1, variant="torch"),
    MobileNetV1(alpha=0.25, variant="torch"),
    MobileNetV2(alpha=0.35, variant="torch"),
    ShuffleNetV1(alpha=0.5, groups=1),
    ShuffleNetV1(groups=4),
    ShuffleNetV1(groups=8),
    ShuffleNetV2(variant="torchvision"),
    SqueezeNet(version="1.0", bypass="simple"),
    GhostNet(alpha=0.5, ratio=3),
    GhostNet(alpha=0.5, squeeze_excite=False),
]
VARIANTS = [*FAST, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]
EACH = pytest.mark.parametrize("network", VARIANTS, ids=lambda n: f"{n.key} {n}")


@pytest.fixture(scope="module")
def data() -> Data:
    return Synthetic(count=120, side=32).load(Image(size=32))


def pictures(count: int = 4) -> Any:
    return np.random.default_rng(0).standard_normal((count, *SHAPE)).astype(np.float32)


def drawn(network: Any, seed: int = 0) -> Any:
    """A network whose batch norms and slopes are not as they are initialised."""
    keras.utils.set_random_seed(seed)
    model, random = network.build(SHAPE, 4), np.random.default_rng(seed)
    slopes = [layer for layer in model.layers if isinstance(layer, keras.layers.PReLU)]
    for norm in norms(model) + slopes:
        norm.set_weights([random.uniform(0.5, 1.5, one.shape) for one in norm.get_weights()])
    return model


@EACH
def test_every_architecture_keeps_half_of_its_multiply_adds(network: Any) -> None:
    model = network.build(SHAPE, 4)
    plan = Channels().plan(model, None)
    thinned = Channels().wrap(model, plan, 1)
    before, after = of_model.network(model), of_model.network(thinned)
    share = after.multiply_adds / before.multiply_adds
    assert 0.47 <= share <= 0.5
    assert plan["multiply_adds"] == [before.multiply_adds, after.multiply_adds]
    assert plan["parameters"] == [before.parameters, after.parameters]
    assert [layer.name for layer in thinned.layers] == [layer.name for layer in model.layers]
    assert np.isfinite(thinned(pictures()).numpy()).all()
    for name, (width, left) in plan["widths"].items():
        assert thinned.get_layer(name).output.shape[-1] == left >= width / 4


@EACH
def test_channels_that_are_zero_can_go_and_answers_stay(network: Any) -> None:
    """A random half of all classes: those left over answer as if the others gave nothing. Where
    nothing goes, answers are equal to the bit.
    """
    model = drawn(network)
    assert np.array_equal(thin(model, {})(pictures()), model(pictures()))
    coupling, random = couple(model), np.random.default_rng(1)
    stays = random.random(coupling.count) < 0.5
    for numbers in coupling.widths.values():  # a class of its own for each layer
        stays[np.flatnonzero(numbers[:-1])[:1]] = True
    silence(model, coupling, stays)
    thinned = thin(model, coupling.kept(stays))
    expected, answer = model(pictures()).numpy(), thinned(pictures()).numpy()
    assert thinned.count_params() < 0.9 * model.count_params()
    assert np.abs(answer - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def silence(model: Any, coupling: Any, stays: Any) -> None:
    """Make every channel of the classes that go zero after each layer with weights."""
    stay = np.append(stays, True)[coupling.classes]
    for layer in model.layers:
        if not layer.weights:
            continue
        ids = coupling.traced.outputs[layer.name]
        mask = stay[ids.reshape(-1, ids.shape[-1])[0]].astype(np.float32)
        if kind(layer) == "DepthwiseConv2D":
            continue  # of a channel that is zero
        weights = layer.get_weights()
        weights[:2] = [one * mask if one.shape[-1] == len(mask) else one for one in weights[:2]]
        layer.set_weights(weights)


@pytest.mark.parametrize(
    "network",
    [
        Tiny(),
        *(
            pytest.param(load("models", name)(), marks=pytest.mark.slow)  # TF-MOT takes 10 s
            for name in networks()
            if name != "tiny"
        ),
    ],
    ids=lambda network: network.key,
)
def test_what_is_left_trains_for_int8_and_has_no_float_operator(network: Any, data: Data) -> None:
    model = network.build(SHAPE, len(data.classes))
    thinned = Channels().wrap(model, Channels().plan(model, None), 1)
    wrapped = QAT().wrap(thinned, {"kept": []}, 1)
    QAT().prepare(wrapped, thinned, {}, data.train)
    assert File(Int8().convert(wrapped, data.train)).float_operators() == []


def test_a_plan_with_pictures_is_the_same_twice_and_rebuilds_the_same_network(data: Data) -> None:
    model = drawn(Tiny())
    plans = [Channels(rounds=2).plan(model, data) for _ in range(2)]
    assert plans[0] == plans[1]
    one, other = (checkpoint.weights_of(Channels().wrap(model, plan, 1)) for plan in plans)
    assert all(np.array_equal(one[name], other[name]) for name in one.keys() | other.keys())


def test_channels_that_nothing_reads_go_first(data: Data) -> None:
    """Half of a layer is cut off from all that follows; these channels go, and answers stay."""
    model = drawn(Tiny(width=16))
    kernel = model.get_layer("block3_expand_conv").kernel
    keep = np.ones(64, np.float32)
    keep[1::2] = 0
    kernel.assign(kernel * keep[:, None])  # block 2's odd channels are read by no one
    plan = Channels(keep=0.8, rounds=1).plan(model, data)
    left = plan["channels"]["block2_expand_conv"]
    assert len(left) <= 32
    assert not any(place % 2 for place in left)


def test_statistics_mean_the_same_where_batch_norm_was_folded(data: Data) -> None:
    """A mean of 0 and a variance of 1 are not the pictures'; to measure anew would be wrong."""
    model = drawn(Tiny())
    batch = next(data.train.inputs(range(32)))
    plan = Channels(keep=0.95, rounds=1).plan(model, data)
    thinned = Channels().wrap(model, plan, 1)
    Channels().prepare(thinned, model, plan, data.train)
    expected, answer = model(batch).numpy(), thinned(batch).numpy()
    assert np.corrcoef(expected.ravel(), answer.ravel())[0, 1] > 0.95


def test_a_sum_couples_its_addends_and_nothing_else() -> None:
    coupling = couple(Tiny(width=8).build(SHAPE, 4))
    assert coupling.count == 8 + 16 + 32 + 64
    assert {kind(layer) for layer in Tiny().build(SHAPE, 4).layers} & set(MIXING) == set(MIXING)


class Held(Architecture):
    """A layer that mixes channels in its own way holds those it reads, and another behind it none."""

    def logits(self, image: Any, classes: int) -> Any:
        x = keras.layers.Rescaling(0.5, name="pixels")(image)
        x = keras.layers.Conv2D(16, 3, name="wide")(x)
        x = keras.layers.LayerNormalization(name="mixed")(keras.layers.ReLU()(x))
        x = keras.layers.GroupNormalization(4, name="behind")(x)
        return classify(keras.layers.Conv2D(16, 3, name="narrow")(x), classes)


def test_slopes_go_with_their_channels() -> None:
    model = Slopes().build(SHAPE, 4)
    plan = Channels(keep=0.4).plan(model, None)
    thinned = Channels().wrap(model, plan, 1)
    widths = {name: left for name, (_, left) in plan["widths"].items()}
    shapes = [thinned.get_layer(name).alpha.shape for name in ("channels", "values", "one")]
    assert shapes == [(1, 1, widths["stem_conv"]), (8, 8, widths["reduce_conv"]), (1, 1, 1)]
    assert plan["parameters"][1] == sum(
        int(np.prod(one.shape)) for one in thinned.trainable_weights
    )


def test_what_is_left_is_not_constrained() -> None:
    """A UnitNorm would scale what is left of its kernels in the first step, a NonNeg cut off what
    they took over; and kernels may have begun as arrays."""
    model, images = constrained(), np.random.default_rng(0).random((8, *SHAPE), np.float32)
    plan = Channels(keep=0.5).plan(model, None)
    assert {"b", "c"} <= plan["widths"].keys()
    assert moved_by_a_step(Channels().wrap(model, plan, 1), images) == 0


@pytest.mark.parametrize(
    "idle",
    [
        keras.layers.GaussianNoise(0.1),
        keras.layers.GaussianDropout(0.1),
        keras.layers.AlphaDropout(0.1),
        keras.layers.SpatialDropout2D(0.1),
        keras.layers.ActivityRegularization(l2=0.01),
    ],
    ids=kind,
)
def test_what_does_nothing_in_a_file_holds_no_channels(idle: Any) -> None:
    """All that a GaussianNoise or an AlphaDropout reads had to stay."""
    image = keras.Input(SHAPE)
    x = idle(keras.layers.Conv2D(32, 3, name="wide")(image))
    model = keras.Model(image, classify(keras.layers.Conv2D(32, 3)(x), 4))
    plan = Channels(keep=0.4).plan(model, None)
    assert plan["widths"]["wide"][1] < 32
    assert of_model.network(model).operators[1].kind == FREE


KNOWING = tf.constant([*range(16)], tf.float32)
ACTIVATIONS: dict[str, Any] = {  # with the channels that they make of 16
    "crelu": (tf.nn.crelu, 32),
    "glu": (lambda x: x[..., :8] * tf.sigmoid(x[..., 8:]), 8),
    "softmax": ("softmax", 16),
    "knowing": (lambda x: x * KNOWING, 16),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("apart", [False, True])
def test_activations_that_mix_channels_hold_those_they_read(name: str, apart: bool) -> None:
    """`check --graph` ended in a traceback, or a softmax went over fewer."""
    activation, made = ACTIVATIONS[name]
    x = keras.layers.ReLU()(keras.layers.Conv2D(32, 3, name="wide")(image := keras.Input(SHAPE)))
    x = keras.layers.Conv2D(16, 3, activation=None if apart else activation, name="odd")(x)
    x = keras.layers.Activation(activation, name="apart")(x) if apart else x
    assert x.shape[-1] == made
    model = keras.Model(image, classify(keras.layers.Conv2D(32, 3, name="narrow")(x), 4))
    plan = Channels(keep=0.8 if apart else 0.9).plan(model, None)
    assert set(plan["widths"]) == {"wide", "narrow"} if apart else {"narrow"}
    thinned = Channels().wrap(model, plan, 1)
    assert thinned.get_layer("odd").output_shape == model.get_layer("odd").output_shape
    with pytest.raises(UserError, match=r"read by (odd \(Conv2D|apart \(Activation)\), which the"):
        Channels(keep=0.05).plan(model, None)


def test_what_holds_channels_is_named() -> None:
    """It was said to be sums, shuffles and groups."""
    with pytest.raises(UserError) as caught:
        Channels(keep=0.3).plan(Held().build(SHAPE, 4), None)
    assert "left with all channels read by mixed (LayerNormalization), which" in str(caught.value)
    plan = Channels(keep=0.8).plan(Held().build(SHAPE, 4), None)
    assert list(plan["widths"]) == ["narrow"]


def unknown(what: str) -> Any:
    """A layer with a kernel of which it is not known how it uses the channels that it reads."""
    layers = keras.layers
    image = keras.Input(SHAPE)
    x = layers.Conv2D(32, 3, 2, "same", name="first")(image)
    if what == "transposed":
        x = layers.Conv2DTranspose(32, 3, 2, "same", name="unknown")(x)
    if what == "halves":
        x = layers.Concatenate(axis=1)([x, layers.Conv2D(32, 3, 1, "same", name="beside")(x)])
        x = layers.Conv2D(32, 3, 1, "same", name="unknown")(x)
    if what == "across":
        x = layers.Dense(256, name="unknown")(layers.Permute((3, 1, 2))(x))
        x = layers.Permute((2, 3, 1))(x)
    x = layers.Conv2D(64, 3, 2, "same", name="second")(x)
    x = layers.Conv2D(64, 3, 1, "same", name="third")(x)
    return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("what", ["transposed", "halves", "across"])
@pytest.mark.parametrize("of", ["multiply_adds", "parameters"])
def test_layers_that_are_not_known_count_in_what_is_kept(what: str, of: Any) -> None:
    """They had no multiply-adds: of 0.6 of all, 0.622 and 0.676 were left without a word."""
    model = unknown(what)
    plan = Channels(keep=0.7, of=of).plan(model, None)
    assert "unknown" not in plan["channels"]
    thinned = Channels().wrap(model, plan, 1)
    costs = [(multiply_adds(one).total(), one.count_params()) for one in (model, thinned)]
    assert costs == [*zip(plan["multiply_adds"], plan["parameters"], strict=True)]
    assert 0.6 <= plan[of][1] / plan[of][0] <= 0.7
    with pytest.raises(UserError, match=r"keep: 0\.1 cannot be reached: 0\.\d+ of the") as caught:
        Channels(keep=0.1, of=of).plan(model, None)
    assert "all channels read by" in str(caught.value)


@pytest.mark.parametrize("of", ["multiply_adds", "parameters"])
def test_what_cannot_be_reached_says_how_near_it_comes_and_the_hint_works(of: Any) -> None:
    model = Tiny().build(SHAPE, 4)
    with pytest.raises(UserError, match=r"compress.channels.keep: 0.05 cannot be reached") as error:
        Channels(keep=0.05, of=of).plan(model, None)
    hint = float(error.value.hint.split("keep=")[1].rstrip("`."))
    plan = Channels(keep=hint, of=of).plan(model, None)
    assert plan[of][1] <= hint * plan[of][0]


RECIPE = """
model: {tiny: {width: 8}}
data: {synthetic: {count: 120, number_of_classes: 3, side: 40}}
image: {size: 32}
train: {epochs: 1, batch_size: 8}
compress: [{channels: {keep: 0.5, rounds: 2, epochs: 1}}]
export: [float32]
"""


def test_a_run_with_channels_is_trained_and_measured_again_alike(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "thin.yaml").write_text(RECIPE)
    trained = as_json(call("train", "thin.yaml", "--json"))
    again = as_json(call("evaluate", "runs/thin", "--json"))
    accuracy = [[row["top1"] for row in one["rows"]] for one in (trained, again)]
    assert accuracy[0] == accuracy[1]


def test_channels_after_pruning_are_refused(call: Call, tmp_path: Path) -> None:
    stages = "compress: [prune, {channels: {epochs: 1}}]"
    lines = [stages if line.startswith("compress") else line for line in RECIPE.splitlines()]
    (tmp_path / "late.yaml").write_text("\n".join(lines))
    assert "channels cannot follow prune: it would not keep its zeros" in complaint(
        call("check", "late.yaml")
    )


def test_channels_that_others_predict_go_at_no_cost(data: Data) -> None:
    """Where each channel that goes is a sum of two that stay, answers stay without training."""
    network = Duplicated()
    model = drawn(network)
    kernel, bias = model.get_layer("wide").get_weights()
    kernel[..., 8:] = kernel[..., :8] + kernel[..., [1, 2, 3, 4, 5, 6, 7, 0]]
    bias[8:] = 0.5 + bias[:8] + bias[[1, 2, 3, 4, 5, 6, 7, 0]]
    model.get_layer("wide").set_weights([kernel, bias])
    plan = {"channels": {"wide": list(range(8))}}
    thinned = Channels().wrap(model, plan, 1)
    batch = next(data.train.inputs(range(32)))
    before = np.abs(model(batch) - thinned(batch)).max()
    Channels().prepare(thinned, model, plan, data.train)
    assert np.abs(model(batch) - thinned(batch)).max() < 0.02 * before


class Duplicated(Architecture):
    """Half of a convolution's channels are to be sums of the other half; a grouped one reads them."""

    def logits(self, image: Any, classes: int) -> Any:
        x = keras.layers.Conv2D(16, 3, name="wide")(image)
        return classify(keras.layers.Conv2D(16, 3, name="narrow")(x), classes)


@pytest.mark.parametrize(("figure", "first"), [("multiply_adds", 0), ("parameters", 1)])
def test_of_equal_channels_those_go_first_that_take_longest(figure: Any, first: int) -> None:
    """A depthwise layer makes fewer multiply-adds than twice the outputs, and takes longer."""
    coupling = couple(Bottlenecks().build(SHAPE, 4))
    scores, spaces = np.full(coupling.count, 1e9), Spaces(coupling)
    layers = [coupling.classes[coupling.traced.own[name]] for name in ("spatial", "plain")]
    for classes in layers:
        scores[classes] = 1
    least = dict.fromkeys(coupling.widths, 4)
    stay = choose(spaces, scores, figure, 0.93 * spaces.total(figure), least, round_to=8)
    assert stay[layers[first]].sum() < 32
    assert stay[layers[1 - first]].all()


class Halved(Architecture):
    """One half of a layer's channels is read by a convolution, the other passes by."""

    def logits(self, image: Any, classes: int) -> Any:
        x = keras.layers.Conv2D(24, 3, name="wide")(image)
        left, right = (channels(x, at, at + 12, f"side{at}") for at in (0, 12))
        right = keras.layers.Conv2D(16, 1, name="right")(right)
        return classify(keras.layers.Concatenate(name="concat")([left, right]), classes)


def test_a_quarter_of_what_a_layer_reads_stays() -> None:
    """Though what it comes from would keep a quarter elsewhere."""
    model = Halved().build(SHAPE, 4)
    coupling = couple(model)
    scores, spaces = np.ones(coupling.count), Spaces(coupling)
    right = coupling.classes[coupling.traced.own["wide"][12:]]
    scores[right] = 0
    least = {name: len(own) // 4 for name, own in coupling.traced.own.items()}
    target = 0.5 * spaces.total("multiply_adds")
    stay = choose(spaces, scores, "multiply_adds", target, least, round_to=1)
    assert stay[right].sum() == 3
    assert thin(model, coupling.kept(stay)).get_layer("right").input_shape[-1] == 3


def test_fewer_than_16_channels_take_nearly_as_long_as_16() -> None:
    coupling = couple(Bottlenecks().build(SHAPE, 4))
    spaces = Spaces(coupling)
    place = spaces.of_class[coupling.classes[coupling.traced.own["spatial"][0]]]

    def time(width: int) -> float:
        numbers = spaces.numbers.copy()
        numbers[place] = width
        return float(spaces.cost(numbers[:, None], "time")[0])

    assert time(16) - time(8) < 0.2 * (time(32) - time(24))


class Bottlenecks(Architecture):
    """Two of 32 channels within: one has a depthwise layer, the other is widened after."""

    def logits(self, image: Any, classes: int) -> Any:
        x = keras.layers.Conv2D(32, 3, name="stem")(image)
        x = keras.layers.Conv2D(32, 1, name="spatial")(x)
        x = keras.layers.DepthwiseConv2D(3, name="between")(x)
        x = keras.layers.Conv2D(32, 1, name="narrowed")(x)
        x = keras.layers.Conv2D(32, 1, name="plain")(x)
        return classify(keras.layers.Conv2D(64, 1, name="widened")(x), classes)


def test_by_scale_the_channels_of_small_batch_norm_scales_go() -> None:
    model = drawn(Tiny(width=8))
    small = np.tile([1, 0.01], 16).astype(np.float32)
    for name in ("block2_expand_norm", "block3_spatial_norm"):
        gamma = model.get_layer(name).gamma
        gamma.assign(gamma * small)
    plan = Channels(keep=0.85, score="scale", round_to=1).plan(model, None)
    gone = {*range(32)} - {*plan["channels"]["block2_expand_conv"]}
    assert len(gone) >= 4
    assert all(place % 2 for place in gone)


def test_by_scale_a_network_without_batch_norms_is_refused() -> None:
    model = SqueezeNet().build(SHAPE, 4)
    with pytest.raises(UserError, match=r"score: scale needs batch norms") as error:
        Channels(score="scale").plan(model, None)
    assert "compress.channels.score=taylor" in error.value.hint


def test_a_latency_that_cannot_be_reached_says_what_its_costs_are() -> None:
    """It spoke of multiply-adds as if they were what was asked for."""
    with pytest.raises(UserError) as error:
        Channels(keep=0.05, of="latency").plan(Tiny().build(SHAPE, 4), None)
    said = "of the multiply-adds, which fall faster than the latency, are left with"
    assert said in error.value.problem


def test_measuring_latency_leaves_out_what_the_runtime_announces(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate = Interpreter.allocate_tensors

    def loud(file: Any) -> None:
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        allocate(file)

    monkeypatch.setattr(Interpreter, "allocate_tensors", loud)
    capfd.readouterr()
    assert medians_ms([convert(converter_for(Tiny(width=1).build(SHAPE, 4)))])[0] > 0
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_budget_of_latency_is_measured_and_recorded(data: Data) -> None:
    """The file's figures, not a claim on this computer's speed: the plan is within its budget."""
    model = Tiny(width=64).build(SHAPE, 4)
    plan = Channels(keep=0.7, of="latency", round_to=4, rounds=1).plan(model, data)
    before, after = plan["latency_ms"]
    assert 0 < after <= 0.7 * before + 1e-3
    fewer = plan["multiply_adds"][1] / plan["multiply_adds"][0]
    assert fewer < 0.99
    unreached = Channels(keep=0.02, of="latency", rounds=1)
    with pytest.raises(UserError, match=r"channels\.keep: 0\.02 of the latency cannot be reached"):
        unreached.plan(model, data)
