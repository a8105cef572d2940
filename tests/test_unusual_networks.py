"""Networks written otherwise than the kit's: built, counted, compressed and exported as those are,
or refused before a training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_every_stage import pictures as drawn

from tflite_light.compress import Stage, _assignment, _directions
from tflite_light.compress._assignment import _moments
from tflite_light.compress._directions import factorized
from tflite_light.compress._structure import keeping
from tflite_light.compress.channels import Channels
from tflite_light.compress.cluster import Cluster
from tflite_light.compress.factorize import Factorize
from tflite_light.compress.prune import Prune
from tflite_light.contract import Image
from tflite_light.cost import of_model
from tflite_light.cost.inspection import network_of
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.int8 import Int8
from tflite_light.graph import checkpoint, lint, reconstruction
from tflite_light.graph.abreast import abreast
from tflite_light.graph.build import build
from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.copied import copied, in_precision
from tflite_light.graph.coupling import couple
from tflite_light.graph.fusing import fused
from tflite_light.graph.kernels import multiply_adds
from tflite_light.graph.statistics import held, lag, measure, norms, observed, standardise
from tflite_light.graph.swaps import gathered
from tflite_light.graph.thinner import thin
from tflite_light.graph.tracing import _activates_alone
from tflite_light.graph.trainable import as_before
from tflite_light.measure.kernels import kernels
from tflite_light.measure.runners import KerasModel, TFLiteModel
from tflite_light.models import Architecture
from tflite_light.models.keras_file import KerasFile
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.stack import keras, tf
from tflite_light.tflite.file import File, share_of_zeros
from tflite_light.training import phase
from tflite_light.weights.npz import Npz

LAYERS = keras.layers
HELD = keras.initializers.Constant(np.random.default_rng(0).normal(0, 0.1, (3, 3, 32, 32)))
SIZE, CLASSES = 32, 3
Body = Callable[[Any], Any]


def pictures(count: int = 32) -> Any:
    """A batch of them."""
    return next(iter(drawn(SIZE).inputs(range(count), count)))


class Own(Architecture):
    body: Any

    def logits(self, image: Any, classes: int) -> Any:
        return self.body(image)


def built(body: Body) -> Any:
    return build(Own(body=body), SIZE, CLASSES, 0)


def conv(x: Any, filters: int = 8, strides: int = 2, **fields: Any) -> Any:
    return LAYERS.Conv2D(filters, 3, strides, "same", **fields)(x)


def dense(x: Any, **fields: Any) -> Any:
    return LAYERS.Dense(CLASSES, **fields)(x)


def pooled(x: Any) -> Any:
    return LAYERS.GlobalAveragePooling2D()(x)


PROBABILITIES: dict[str, Body] = {
    "an activation of TensorFlow's": lambda i: dense(pooled(conv(i)), activation=tf.nn.softmax),
    "a function of TensorFlow's": lambda i: tf.nn.softmax(dense(pooled(conv(i)))),
    "a function of Keras'": lambda i: keras.activations.softmax(dense(pooled(conv(i)))),
    "a layer of a function": lambda i: LAYERS.Activation(tf.nn.softmax)(dense(pooled(conv(i)))),
    "a sigmoid": lambda i: tf.sigmoid(dense(pooled(conv(i)))),
    "before a mean": lambda i: pooled(conv(conv(i), CLASSES, activation="softmax")),
}


@pytest.mark.parametrize("form", PROBABILITIES)
def test_probabilities_are_known_whatever_makes_them(form: str) -> None:
    """They went on as logits: a softmax of a softmax, by which every answer was about 1/classes."""
    with pytest.raises(UserError, match="makes probabilities of the logits"):
        built(PROBABILITIES[form])


def test_answers_that_add_up_to_one_are_probabilities(tmp_path: Path) -> None:
    """Whatever makes them: here powers over their sum."""

    def powers(image: Any) -> Any:
        raised = tf.exp(dense(pooled(conv(image))))
        return raised / tf.reduce_sum(raised, axis=1, keepdims=True)

    _, file = saved(tmp_path / "mine.h5", powers)
    with pytest.raises(UserError, match="its answers are probabilities: they add up to 1"):
        build(file, SIZE, CLASSES, 0)


def test_logarithms_of_probabilities_are_logits() -> None:
    assert built(lambda i: tf.nn.log_softmax(dense(pooled(conv(i))))).output_shape == (None, 3)


def saved(path: Path, ends: Body) -> tuple[Any, KerasFile]:
    image = LAYERS.Input((SIZE, SIZE, 3))
    model = keras.Model(image, ends(image))
    model.save(path)
    return keras.models.load_model(path), KerasFile(path=str(path))


def test_a_softmax_that_is_a_function_is_left_out(tmp_path: Path) -> None:
    whole, file = saved(tmp_path / "mine.h5", lambda i: tf.nn.softmax(dense(pooled(conv(i))) / 0.5))
    logits = KerasModel(build(file, SIZE, CLASSES, 0)).logits([pictures()])
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(chances - whole.predict(pictures(), verbose=0)).max() < 1e-6


def test_a_softmax_that_is_used_elsewhere_stays(tmp_path: Path) -> None:
    """The dense layer is shared: without its softmax its first use would answer otherwise."""

    def twice(image: Any) -> Any:
        shared = LAYERS.Dense(CLASSES, activation="softmax")
        return shared(shared(dense(pooled(conv(image)))))

    _, file = saved(tmp_path / "mine.h5", twice)
    with pytest.raises(UserError, match="makes probabilities of the logits"):
        build(file, SIZE, CLASSES, 0)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    def spoilt(image: Any) -> Any:
        return dense(pooled(conv(image, bias_initializer=keras.initializers.Constant(np.nan))))

    _, file = saved(tmp_path / "mine.h5", spoilt)
    with pytest.raises(UserError, match="its weights have NaN or infinity, as in conv2d"):
        build(file, SIZE, CLASSES, 0)


def test_a_saved_network_is_built_in_float32_and_trained_whole(tmp_path: Path) -> None:
    """As guides have it: mixed precision, a frozen base, and a layer that has the input's name."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        image = LAYERS.Input((SIZE, SIZE, 3))
        x = conv(LAYERS.ReLU(name="image")(image), trainable=False)
        keras.Model(image, dense(pooled(x))).save(tmp_path / "mine.h5")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    model = build(KerasFile(path=str(tmp_path / "mine.h5")), SIZE, CLASSES, 0)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert len(model.trainable_weights) == 4
    assert TFLiteModel(convert(converter_for(model))).logits([pictures(2)]).shape == (
        2,
        3,
    )


SUMS: dict[str, Body] = {
    "plus": lambda x: x + LAYERS.ReLU()(conv(x, strides=1)),
    "named": lambda x: tf.maximum(x, y=LAYERS.ReLU()(conv(x, strides=1))),
    "listed": lambda x: tf.concat([x, LAYERS.ReLU()(conv(x, strides=1))], -1),
}


@pytest.mark.parametrize("kind", SUMS)
def test_a_relu_is_fused_whatever_reads_it(kind: str) -> None:
    plain = Own(body=lambda i: dense(pooled(SUMS[kind](conv(i))))).build((SIZE, SIZE, 3), CLASSES)
    keras.utils.set_random_seed(0)
    model = built(lambda i: dense(pooled(SUMS[kind](conv(i)))))
    assert not [layer for layer in model.layers if isinstance(layer, LAYERS.ReLU)]
    plain.set_weights(model.get_weights())
    batch = pictures()
    assert np.array_equal(model.predict(batch, verbose=0), plain.predict(batch, verbose=0))


def split(image: Any) -> Any:
    one, other = tf.split(conv(image, 16), 2, axis=-1)
    return dense(pooled(LAYERS.Concatenate()([conv(one), conv(other)])))


def test_a_layer_of_several_outputs_is_counted() -> None:
    """It ended a run in a traceback after all its training."""
    model = built(split)
    assert of_model.network(model).multiply_adds == 27 * 16 * 256 + 2 * 72 * 8 * 64 + 48
    with pytest.raises(UserError, match=r"split gives several tensors: where channels go"):
        Channels().plan(model, None)


def test_layers_of_another_network_count_as_they_are_used() -> None:
    """The idiom of transfer learning: a base of other pictures, layer by layer."""
    image = LAYERS.Input((96, 96, 3))
    x = LAYERS.ReLU()(conv(image, 32, name="c1"))
    base = keras.Model(image, LAYERS.ReLU()(conv(x, 32, name="c2")))

    def again(image: Any) -> Any:
        for layer in base.layers[1:]:
            image = layer(image)
        return dense(pooled(image))

    model = built(again)
    assert all(len(layer.inbound_nodes) == 1 for layer in model.layers)
    products = 27 * 32 * 256 + 288 * 32 * 64 + 96
    assert Channels().plan(model, None)["multiply_adds"][0] == products
    assert lint.refused(model) == {}


def test_norms_without_a_scale_are_measured_like_others() -> None:
    """Their statistics counted as up to date whatever they were, and `qat` froze them so."""

    def norm(image: Any) -> Any:
        x = LAYERS.BatchNormalization(scale=False)(conv(image, use_bias=False))
        return dense(pooled(LAYERS.ReLU()(x)))

    model = built(norm)
    before = lag(model, [pictures()])
    measure(model, [pictures()])
    assert before > 0.1
    assert lag(model, [pictures()]) < 1e-3


@pytest.mark.parametrize(
    "noise",
    [
        LAYERS.Dropout(0.5),
        LAYERS.SpatialDropout2D(0.5),
        LAYERS.GaussianDropout(0.5),
        LAYERS.AlphaDropout(0.5),
        LAYERS.GaussianNoise(0.5),
        LAYERS.RandomFlip(),
        LAYERS.RandomRotation(0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_norms_are_measured_without_what_training_draws(noise: Any) -> None:
    """What was drawn differed after a resume, and so did what `channels` chose."""

    def body(image: Any) -> Any:
        x = LAYERS.BatchNormalization(name="norm")(noise(conv(image)))
        return dense(pooled(LAYERS.ReLU()(x)))

    model = built(body)
    measure(model, [pictures()])
    assert lag(model, [pictures()]) < 1e-3
    (mean, variance), *_ = observed(model, [pictures()])
    assert np.allclose(model.get_layer("norm").moving_mean, mean, atol=1e-4)
    assert np.allclose(model.get_layer("norm").moving_variance, variance, rtol=0.05)
    twin = copied(model)
    measure(twin, [pictures()])
    assert np.array_equal(twin.get_layer("norm").moving_mean, model.get_layer("norm").moving_mean)
    used, wide = model.get_layer(noise.name), np.ones((64, 8, 8, 4), np.float32)
    wide[:, :4, :3] = 2
    assert np.array_equal(used(wide, training=False), wide)
    assert not np.array_equal(used(wide, training=True), wide)  # in the next training, as before


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(1, [SIZE // 2]), (2, [SIZE // 2]), ([1, 3], [1, SIZE // 2, 1, SIZE // 2])],
)
def test_norms_along_rows_are_measured_and_bind_no_channels(axis: Any, shape: list[int]) -> None:
    """They were measured along channels, which ended in a traceback behind the fit."""

    def body(image: Any) -> Any:
        x = LAYERS.BatchNormalization(axis=axis, name="rows")(conv(image, SIZE // 2))
        return dense(pooled(conv(LAYERS.ReLU()(x), 16)))

    model = built(body)
    norm = model.get_layer("rows")
    assert norm.moving_mean.shape == shape
    inputs = keras.Model(model.input, norm.input)(pictures())
    mean, variance = _moments(norm, inputs)
    over = [axis for axis in range(4) if axis not in norm.axis]
    assert np.allclose(tf.squeeze(mean), tf.reduce_mean(inputs, over), atol=1e-6)
    assert np.allclose(tf.squeeze(variance), tf.math.reduce_variance(inputs, over), atol=1e-6)
    measure(model, [pictures()])
    assert lag(model, [pictures()]) < 1e-3
    standard = standardise(model, [pictures()])
    assert np.allclose(standard(pictures()), model(pictures()), atol=1e-5)
    assert set(Channels(keep=0.8).plan(model, None)["channels"]) == {"conv2d_1"}


def test_norms_that_are_called_as_in_use_lag_behind_nothing() -> None:
    def body(image: Any) -> Any:
        x = LAYERS.BatchNormalization(name="still")(conv(image, 16), training=False)
        return dense(pooled(LAYERS.BatchNormalization(name="moves")(conv(x))))

    model = built(body)
    model.get_layer("still").moving_mean.assign(np.ones(16))
    measure(model, [pictures()], held(model))
    assert held(model) == {"still"}
    assert np.array_equal(model.get_layer("still").moving_mean, np.ones(16))
    assert lag(model, [pictures()], held(model)) < 1e-3 < 0.2 < lag(model, [pictures()])


class Never(keras.layers.Dropout):  # type: ignore[misc]
    """It knows of no training."""

    def call(self, values: Any) -> Any:
        return values


CALLS: dict[str, Body] = {
    "a norm": lambda x: LAYERS.BatchNormalization()(x, False),
    "a dropout": lambda x: LAYERS.Dropout(0.5)(x, False),
    "one's own dropout": lambda x: Never(0.5)(x),
    "a norm that is told nothing": lambda x: LAYERS.BatchNormalization()(x, training=None),
}


@pytest.mark.parametrize("call", CALLS)
def test_layers_are_called_however_training_is_told(call: str) -> None:
    model = built(lambda i: dense(pooled(LAYERS.BatchNormalization()(CALLS[call](conv(i))))))
    measure(model, [pictures()], held(model))
    for _, pairs in abreast(model, copied(model), [pictures()]):
        assert all(np.array_equal(own, other) for own, other in pairs)
    assert (len(held(model)) == 1) is (call == "a norm")


def test_norms_that_renormalise_are_measured_and_thinned() -> None:
    """They have three weights more, which ended in a traceback behind the fit."""
    renorm = {"renorm": True}
    model = built(
        lambda i: dense(pooled(LAYERS.BatchNormalization(name="norm", **renorm)(conv(i, 16))))
    )
    model.get_layer("norm").moving_mean.assign(tf.random.normal([16], seed=1))
    standard = standardise(model, [pictures()])
    assert lag(standard, [pictures()]) < 1e-3 < 0.1 < lag(model, [pictures()])
    assert np.allclose(standard(pictures()), model(pictures()), atol=1e-5)
    measure(model, [pictures()])
    assert lag(model, [pictures()]) < 1e-3
    norm = model.get_layer("norm")
    assert norm.renorm
    assert np.array_equal(norm.renorm_mean, norm.moving_mean)
    plan = Channels(keep=0.7).plan(model, None)
    assert Channels(keep=0.7).wrap(model, plan, 1).get_layer("norm").moving_mean.shape[0] < 16


def attention(image: Any) -> Any:
    x = conv(image, 16)
    gate = LAYERS.Conv2D(1, 7, padding="same", activation="sigmoid")(x)
    return dense(pooled(conv(LAYERS.Multiply()([x, gate]), 16)))


def test_a_gate_of_one_channel_stays_and_what_it_multiplies_may_go() -> None:
    plan = Channels().plan(built(attention), None)
    assert all(after < before for before, after in plan["widths"].values())
    assert set(plan["widths"]) == {"conv2d", "conv2d_2"}


def scaled(x: Any) -> Any:
    norm = LAYERS.BatchNormalization()
    made = norm(x)
    for variable, least in ((norm.gamma, 0.5), (norm.beta, -1), (norm.moving_mean, -1)):
        variable.assign(np.linspace(least, 2, variable.shape[0]))
    return made


LINE = np.linspace(0.5, 2, 32, dtype=np.float32)
BEHIND: dict[str, Body] = {
    "at once": lambda x: x,
    "a dropout": LAYERS.Dropout(0.2),
    "dropped channels": LAYERS.SpatialDropout2D(0.2),
    "noise": LAYERS.GaussianNoise(0.2),
    "nothing": LAYERS.Activation("linear"),
    "another shape": LAYERS.Reshape((256, 1, 32)),
    "another scale": LAYERS.Rescaling(np.linspace(0.5, 2, 32).tolist()),
    "a product": lambda x: x * LINE,
    "an offset and a product": lambda x: (x + LINE) * LINE,
    "an offset and a quotient": lambda x: (x - LINE) / LINE,
    "TensorFlow's quotient": lambda x: tf.realdiv(x, LINE),
    "a guarded quotient": lambda x: tf.math.divide_no_nan(x, LINE),
    "given statistics": LAYERS.Normalization(mean=[*LINE], variance=[*LINE**2]),
}


NOTHING = [*BEHIND][:6]  # with a norm behind it


@pytest.mark.parametrize("between", BEHIND)
def test_a_kernel_that_a_norm_scales_is_promised_by_channel(between: str) -> None:
    """The float file had 512 values, more than the promised 16, after all of the training."""

    def body(image: Any) -> Any:
        x = BEHIND[between](conv(image, 32, name="k"))
        return dense(pooled(LAYERS.ReLU()(scaled(x) if between in NOTHING else x)))

    model, stage = built(body), Cluster(centroids=4)
    plan = stage.plan(model, None)
    assert plan["whole"] == ["dense"]
    content = convert(converter_for(stage.wrap(model, plan, 1)))
    assert [one.shortfall(File(content)) for one in stage.promises(plan)] == [None]


BEFORE: dict[str, Body] = {
    "a norm": lambda x: scaled(x),
    "a norm and a dropout": lambda x: LAYERS.Dropout(0.2)(scaled(x)),
    "a norm without offset": lambda x: LAYERS.BatchNormalization(center=False)(x),
    "TensorFlow's norm": lambda x: tf.nn.batch_normalization(x, *[LINE] * 4, 1e-3),
    "a product": lambda x: x * LINE,
    "a product and an offset": lambda x: x * LINE + LINE,
}


@pytest.mark.parametrize("read", ["places", "a picture"])
@pytest.mark.parametrize("between", BEFORE)
def test_a_kernel_that_is_scaled_from_before_is_not_clustered(
    between: str, read: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A usual head, mean, norm and dense layer, had 107 values, more than the promised 8, after all
    of the training: the converter scales a dense kernel though a norm has an offset."""

    def body(image: Any) -> Any:
        x = conv(image, 32, activation="relu")
        x = LAYERS.Dense(32, name="k")(BEFORE[between](x if read == "places" else pooled(x)))
        return dense(LAYERS.Flatten()(LAYERS.ReLU()(x)))

    model, stage = built(body), Cluster(centroids=4)
    plan = stage.plan(model, None)
    assert plan["layers"] == ["conv2d", "dense"]
    assert "cluster: k stay as they are: the converter scales" in capsys.readouterr().err
    content = convert(converter_for(stage.wrap(model, plan, 1)))
    assert [one.shortfall(File(content)) for one in stage.promises(plan)] == [None]


UNSCALED: dict[str, Body] = {
    "nothing": lambda x: x,
    "an offset": lambda x: x + LINE,
    "another norm": lambda x: LAYERS.LayerNormalization()(x),
    "one number": LAYERS.Rescaling(0.3),
}


@pytest.mark.parametrize("between", UNSCALED)
def test_a_kernel_that_nothing_scales_is_promised_as_a_whole(between: str) -> None:
    """A layer norm's answers are scaled and then another is added: the kernel takes that over."""

    def body(image: Any) -> Any:
        return dense(UNSCALED[between](pooled(conv(image, 32, name="k"))))

    plan = Cluster(centroids=4).plan(built(body), None)
    assert plan["whole"] == (["k"] if between == "another norm" else ["k", "dense"])


def test_a_network_without_a_kernel_to_cluster_is_refused() -> None:
    def body(image: Any) -> Any:
        return dense(scaled(LAYERS.Reshape((128,))(pooled(conv(image, 128, name="k")))))

    with pytest.raises(UserError, match="cluster leaves every layer as it is"):
        Cluster(centroids=4, exclude=["k"]).plan(built(body), None)


def test_cluster_says_why_it_can_ask_nothing_of_a_network_that_the_converter_refuses() -> None:
    def body(image: Any) -> Any:
        return dense(pooled(LAYERS.Lambda(lambda x: tf.math.erfinv(tf.tanh(x) / 2))(conv(image))))

    with pytest.raises(UserError, match=r"^compress\.cluster: .* refuses the network") as error:
        Cluster(centroids=4).plan(built(body), None)
    assert "Leave out this mode" not in error.value.hint


def test_a_kernel_that_no_answer_uses_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def body(image: Any) -> Any:
        return dense(pooled(tf.zeros_like(conv(image, name="unused")) + conv(image)))

    assert "unused" not in Cluster(centroids=4).plan(built(body), None)["layers"]
    said = capsys.readouterr().err
    assert "cluster: unused stay as they are" in said
    assert "or leaves them out, as nothing uses them" in said


class Sized(keras.layers.Layer):  # type: ignore[misc]
    """Calls a size `kernel`, and has a weight."""

    kernel: Any = 3

    def build(self, shape: Any) -> None:
        self.offset = self.add_weight(shape=shape[-1:], name="offset")

    def call(self, x: Any) -> Any:
        return tf.nn.avg_pool2d(x, 3, 1, "SAME") + self.offset


class Fixed(Sized):
    """A constant that multiplies: no weight of the network."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.kernel = tf.ones((3, 3, shape[-1], 1)) / 9


class Late(Sized):
    """A kernel that comes after another weight."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 1), name="kernel")


@pytest.mark.parametrize(("kind", "pairs"), [(Sized, 0), (Fixed, 0), (Late, 9)])
def test_a_kernel_is_what_is_a_weight(kind: Any, pairs: int) -> None:
    """Costs of 8 channels: each has an offset, and weights only where the layer trains some."""
    model = built(lambda image: dense(pooled(kind(name="own")(conv(image)))))
    terms = [one for one in couple(model).terms if one.layer == "own"]
    kernel = [one for one in terms if one.multiply_adds]
    assert [one.parameters for one in kernel] == [pairs] * bool(pairs)
    assert sum(one.parameters * len(one.outputs) for one in terms) == 8 * (pairs + 1)
    assert multiply_adds(model)["own"] == 8 * pairs * 16**2


def test_a_product_inside_an_activation_is_refused() -> None:
    """The int8 file would compute five operators in float, known after all of the training."""
    fused = built(lambda i: dense(pooled(conv(i, activation="swish"))))
    assert lint.refused(fused) == {"conv2d": "(Conv2D with swish)"}
    apart = built(lambda i: dense(pooled(LAYERS.Activation("swish")(conv(i)))))
    assert lint.refused(apart) == {}


def composite(image: Any) -> Any:
    x = LAYERS.Reshape((256, 16))(conv(image, 16))
    x = LAYERS.MultiHeadAttention(2, 8, name="att")(x, x)
    return dense(LAYERS.GlobalAveragePooling1D()(x))


def test_zeros_are_promised_of_all_kernels_those_inside_layers_too() -> None:
    model = built(composite)
    plan = Prune(sparsity=0.02).plan(model, None)
    total = sum(one.values.size for one in kernels(model))
    covered = sum(share * np.prod(plan["shapes"][name]) for name, share in plan["sparsity"].items())
    assert plan["zeros"] <= covered / total + 1e-6


class Weighing(keras.layers.Layer):  # type: ignore[misc]
    """A product with a weight that is not called a kernel."""

    def build(self, shape: Any) -> None:
        self.factors = self.add_weight("factors", (shape[-1], 64))

    def call(self, values: Any) -> Any:
        return tf.matmul(values, self.factors)


def used_twice(image: Any) -> Any:
    """A file has a kernel for each norm that it is multiplied by."""
    layer, x = LAYERS.DepthwiseConv2D(5, padding="same"), conv(conv(image, 32), 32)
    for _ in range(2):
        x = normed(layer(x))
    return dense(pooled(conv(x, 32)))


def drawn_kernel() -> Any:
    return np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)


COUNTED: dict[str, Callable[[Any], Any]] = {
    "used twice": used_twice,
    "pruned and used twice": lambda image: dense(pooled(both(conv(image, 32)))),
    "transposed, and another name": lambda image: dense(
        Weighing()(pooled(LAYERS.Conv2DTranspose(32, 3)(conv(conv(image, 32), 16))))
    ),
    "held and equal": lambda image: dense(pooled(alike(alike(conv(conv(image, 8), 32, 1))))),
    "another name": lambda image: dense(Weighing()(pooled(conv(conv(image, 32), 32)))),
    "a constant": lambda image: dense(pooled(tf.matmul(conv(conv(image, 32), 32), drawn_kernel()))),
}


def alike(values: Any) -> Any:
    """By one kernel each time: a file has it once."""
    return conv(values, 32, 1, trainable=False, kernel_initializer=HELD, activation="relu")


def both(values: Any) -> Any:
    layer = LAYERS.Conv2D(32, 3, padding="same")
    return normed(layer(normed(layer(values))))


def normed(values: Any) -> Any:
    """By other numbers each time, as a training leaves them."""
    layer = LAYERS.BatchNormalization()
    made = layer(values)
    for weight in (layer.gamma, layer.moving_variance):
        weight.assign(tf.random.uniform(weight.shape, 0.5, 2))
    return made


def pruned_file(stage: Prune, model: Any, plan: Any) -> File:
    """A float file of the network with all zeros at once, untrained."""
    pruned = stage.wrap(model, plan, 1)
    for name, share in plan["sparsity"].items():
        kernel = pruned.get_layer(name).kernel
        groups = stage._pattern.pruned(kernel.shape, share)
        kernel.assign(kernel * stage._pattern.mask(kernel.numpy(), groups))
    return File(convert(converter_for(pruned)))


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
@pytest.mark.parametrize("form", COUNTED)
def test_zeros_are_promised_of_all_weights_that_the_file_has(form: str, pattern: str) -> None:
    stage = Prune(sparsity=0.4) if pattern == "unstructured" else Prune(pattern=pattern)
    model = built(COUNTED[form])
    plan = stage.plan(model, None)
    file = pruned_file(stage, model, plan)
    assert [broken for one in stage.promises(plan) if (broken := one.shortfall(file))] == []
    more = 0.05 if form.startswith("pruned") else 0.001  # its kernel may be there once or twice
    assert plan["zeros"] <= file.zeros() < plan["zeros"] + more


def test_equal_kernels_that_are_scaled_apart_hold_as_many_zeros_as_one() -> None:
    """A file has one for each norm behind them, and only one where none is."""
    model = built(lambda i: dense(pooled(normed(alike(normed(alike(conv(conv(i, 8), 32, 1))))))))
    stage = Prune(sparsity=0.4)
    plan = stage.plan(model, None)
    (promise,) = stage.promises(plan)
    assert promise.shortfall(pruned_file(stage, model, plan)) is None


class Gate(keras.layers.Layer):  # type: ignore[misc]
    """It holds layers that Keras names."""

    def __init__(self, **how: Any):
        super().__init__(**how)
        self.down, self.up = LAYERS.Dense(4), LAYERS.Dense(16)

    def call(self, values: Any) -> Any:
        return values * self.up(self.down(values))


def by_largest(values: Any) -> Any:
    return values / tf.reduce_max(abs(values), -1, keepdims=True)


def by_first(values: Any) -> Any:
    return values * tf.sigmoid(values[..., :1])


def counting(values: Any) -> Any:
    assert values.shape[-1] == 16
    return values


@pytest.mark.parametrize(
    ("function", "alone"),
    [(by_largest, False), (by_first, False), (counting, False), (tf.nn.relu, True), (None, True)],
)
def test_channels_that_an_activation_mixes_stay(function: Any, alone: bool) -> None:
    model = built(lambda image: dense(pooled(conv(image, 16, activation=function, name="own"))))
    assert _activates_alone(model.get_layer("own")) is alone


def test_what_layers_hold_is_called_alike_in_every_copy() -> None:
    """A checkpoint is read by another process, which has made fewer copies."""
    model = built(lambda image: dense(pooled(Gate()(conv(image, 16)))))
    names = [*checkpoint.variables_of(copied(model))]
    assert "gate/dense/kernel" in names
    for _ in range(2):
        assert [*checkpoint.variables_of(copied(copied(model)))] == names
        assert [*checkpoint.variables_of(thin(model, {}))] == names


def test_what_keras_cannot_make_again_is_said() -> None:
    model = built(
        lambda image: dense(pooled(tf.einsum("bhwc,cd->bhwd", conv(image, 32), drawn_kernel())))
    )
    with pytest.raises(UserError, match=r"cannot make this network again: .*'tf.einsum'"):
        copied(model)


class Naming(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, **how: Any):
        super().__init__(**how)
        self.factor = tf.Variable(1.0, name="factor")

    def call(self, values: Any) -> Any:
        return values * self.factor


def test_variables_of_one_name_are_refused_before_the_training() -> None:
    with pytest.raises(UserError, match="several of its variables are called factor"):
        built(lambda image: dense(pooled(Naming()(Naming()(conv(image))))))


def test_weights_of_layers_made_of_layers_are_taken_over(tmp_path: Path) -> None:
    model = built(composite)
    arrays: dict[str, Any] = checkpoint.weights_of(model)
    np.savez(tmp_path / "mine.npz", **arrays)
    other = copied(model)
    for variable in other.weights:
        variable.assign(tf.zeros_like(variable))
    Npz(path=str(tmp_path / "mine.npz")).load(other, Tiny(), [*"abc"])
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_channels_go_by_the_scales_there_are() -> None:
    def body(image: Any) -> Any:
        x = LAYERS.BatchNormalization(scale=False)(conv(image, 16, use_bias=False))
        x = scaled(conv(LAYERS.ReLU()(x), 16, use_bias=False))
        return dense(pooled(LAYERS.ReLU()(x)))

    assert Channels(score="scale").plan(built(body), None)["multiply_adds"][1] > 0


def test_another_function_called_relu_stays() -> None:
    def relu(x: Any) -> Any:
        return tf.nn.leaky_relu(x, 0.5)

    def body(image: Any) -> Any:
        return dense(pooled(LAYERS.Activation(relu, name="mine")(conv(image))))

    assert "mine" in [layer.name for layer in built(body).layers]


def test_slopes_are_no_kernels() -> None:
    model = built(lambda i: dense(pooled(conv(LAYERS.PReLU(name="p")(conv(i))))))
    layer = model.get_layer("conv2d")
    kernel = layer.kernel.numpy()
    kernel[..., ::2] = 0
    layer.kernel.assign(kernel)
    slopes = model.get_layer("p").alpha
    slopes.assign(np.full(slopes.shape, 0.25))
    assert share_of_zeros(kernels(model)) == File(convert(converter_for(model))).zeros()
    keeper = keeping(model, {"zeros", "clusters"})[0]
    keeper.on_train_begin(None)
    drawn = np.random.default_rng(0).uniform(size=slopes.shape).astype(np.float32)
    slopes.assign(drawn)
    keeper.on_train_batch_end(0, None)
    assert np.array_equal(slopes.numpy(), drawn)


def test_a_network_in_a_network_and_its_like_are_counted(tmp_path: Path) -> None:
    inner = LAYERS.Input((16, 16, 8))
    base = keras.Model(inner, LAYERS.SeparableConv2D(8, 3, padding="same")(inner))
    ends: Body = lambda i: dense(pooled(LAYERS.Conv2DTranspose(4, 3, 2, "same")(base(conv(i)))))  # noqa: E731
    _, file = saved(tmp_path / "mine.h5", ends)
    products = 27 * 8 * 256 + 72 * 256 + 64 * 256 + 9 * 8 * 4 * 256 + 4 * 3
    assert network_of(file, SIZE, CLASSES).multiply_adds == products


def joined(*of: Any) -> Any:
    return dense(LAYERS.Concatenate()([*of]))


MEANS: dict[str, Body] = {
    "a maximum beside it": lambda x: joined(pooled(x), LAYERS.GlobalMaxPooling2D()(x)),
    "a split": lambda x: joined(*tf.split(pooled(x), 2, -1)),
    "a stack": lambda x: dense(LAYERS.Flatten()(tf.stack([pooled(x), pooled(x)], 1))),
    "an enlargement": lambda x: dense(
        pooled(
            LAYERS.Concatenate()(
                [x, LAYERS.UpSampling2D(8)(LAYERS.GlobalAveragePooling2D(keepdims=True)(x))]
            )
        )
    ),
    "a transposition": lambda x: dense(
        LAYERS.Flatten()(LAYERS.Permute((2, 1))(tf.reduce_mean(x, 1)))
    ),
}


@pytest.mark.parametrize("reader", MEANS)
def test_a_mean_whose_scale_others_share_keeps_it(reader: str, examples: Examples) -> None:
    """Told apart from its ties, it gave a file that no runtime loads."""

    def body(image: Any) -> Any:
        x = conv(image, 16, activation="relu", name="b")
        return MEANS[reader](conv(x, 16, activation="relu", name="c"))

    model = built(body)
    layer = model.get_layer("c")  # a channel that does not vary holds the extremes
    kernel, bias = layer.get_weights()
    kernel[..., 0], bias[0] = 0, 5
    layer.set_weights([kernel, bias])
    content = Int8(calibration_images=20).convert(model, examples)
    batch = next(examples.inputs(range(20)))
    expected = KerasModel(model).logits([batch])
    assert (
        np.abs(TFLiteModel(content).logits([batch]) - expected).max() < 0.1 * np.abs(expected).max()
    )


def dead(image: Any) -> Any:
    x = conv(image, 16, activation="relu")
    branch = conv(x, 16, 1, activation="relu", bias_initializer=keras.initializers.Constant(-90))
    return dense(pooled(LAYERS.Add()([x, conv(branch, 16, 1)])))


def test_a_layer_that_is_zero_on_all_pictures_has_a_file_that_runs(examples: Examples) -> None:
    model = built(dead)
    content = Int8(calibration_images=20).convert(model, examples)
    batch = next(examples.inputs(range(20)))
    expected = KerasModel(model).logits([batch])
    assert (
        np.abs(TFLiteModel(content).logits([batch]) - expected).max() < 0.1 * np.abs(expected).max()
    )


def test_answers_that_are_no_numbers_are_an_error() -> None:
    model = built(lambda i: dense(pooled(conv(i))))
    content = convert(converter_for(model))
    for runner in (KerasModel(model), TFLiteModel(content)):
        with pytest.raises(UserError, match="answers with NaN or infinity"):
            runner.logits([np.full((1, SIZE, SIZE, 3), np.nan, np.float32)])


class _Small(keras.regularizers.Regularizer):  # type: ignore[misc]
    def __call__(self, kernel: Any) -> Any:
        return 1e-4 * tf.reduce_sum(kernel**2)

    def get_config(self) -> dict[str, Any]:
        return {}


def _gate(x: Any) -> Any:
    return tf.nn.relu6(x + 3) / 6


@pytest.mark.parametrize(
    "again",
    [
        copied,
        gathered,
        fused,
        lambda model: thin(model, {"first": range(4, 8)}),
        lambda model: factorized(model, {"second": 2}),
        lambda model: in_precision(model, "mixed_bfloat16"),
    ],
    ids=["copied", "gathered", "fused", "thinned", "factorized", "in precision"],
)
def test_functions_of_the_user_s_own_are_those_of_every_copy(again: Callable[[Any], Any]) -> None:
    """Keras writes a function's name alone, and code without what it refers to."""

    def body(image: Any) -> Any:
        x = conv(image, activation=_gate, name="first")
        x = conv(x, activation=lambda value: _gate(value) * value, name="second")
        x = LAYERS.SeparableConv2D(8, 3, activation=_gate)(x)
        x = LAYERS.ReLU()(LAYERS.Conv2D(8, 1)(LAYERS.Activation(_gate)(x)))
        x = LAYERS.Lambda(lambda value: _gate(value), output_shape=lambda shape: shape)(x)
        x = LAYERS.Conv2D(8, 1, activation=tf.function(_gate), kernel_regularizer=_Small())(x)
        return dense(LAYERS.GlobalAveragePooling2D()(x))

    model = built(body)
    made = again(model)
    functions = {getattr(layer, "activation", None) for layer in made.layers}
    assert _gate in functions
    assert made.get_layer("second").activation is model.get_layer("second").activation
    if again in (copied, gathered, fused):
        np.testing.assert_allclose(made(pictures()), model(pictures()), atol=1e-6)
    assert np.isfinite(made(pictures())).all()


def test_layers_within_layers_compute_in_the_precision_of_the_layer() -> None:
    """Keras makes them by its policy of the process, which stays as it was."""

    model = built(lambda image: dense(pooled(Gate(name="gate")(conv(image, 16)))))
    twin = in_precision(model, "mixed_bfloat16")
    inner = [
        layer for layer in twin.get_layer("gate").submodules if isinstance(layer, LAYERS.Dense)
    ]
    assert [layer.compute_dtype for layer in inner] == ["bfloat16", "bfloat16"]
    assert twin(pictures()).dtype == "float32"
    np.testing.assert_allclose(twin(pictures()), model(pictures()), atol=0.05)
    assert keras.mixed_precision.global_policy().name == "float32"


def test_a_layer_that_cannot_compute_in_another_precision_is_refused() -> None:
    model = built(lambda image: dense(pooled(Naming()(conv(image)))))
    with pytest.raises(UserError) as error:
        in_precision(model, "mixed_bfloat16")
    assert error.value.problem.startswith(
        "train.precision: the network cannot compute in mixed_bfloat16: Exception encountered when "
        'calling layer "naming" (type Naming).'
    )
    assert keras.mixed_precision.global_policy().name == "float32"


def test_the_norm_that_keras_has_for_several_devices_is_one() -> None:
    """Saved networks have it; `freeze` and what is done to statistics passed it by."""

    def body(image: Any) -> Any:
        x = LAYERS.experimental.SyncBatchNormalization(name="norm")(conv(image))
        return dense(LAYERS.GlobalAveragePooling2D()(LAYERS.ReLU()(x)))

    model = built(body)
    assert [norm.name for norm in norms(model)] == ["norm"]
    phase._set_batch_norm_momentum(model, 0.7, steps=10)
    assert model.get_layer("norm").momentum == 0.7
    with as_before(model):
        phase._freeze(model, classifier_only=False)
        assert [layer.name for layer in model.layers if not layer.trainable] == ["norm"]
    assert model.get_layer("norm").trainable


WIDE: list[tuple[Stage, Any]] = [
    (Cluster(centroids=8), _assignment),
    (Factorize(ranks={"wide": 8}), _directions),
    (Factorize(energy=0.6), _directions),
    (Channels(keep=0.7, rounds=1), reconstruction),
]


@pytest.mark.parametrize(("stage", "module"), WIDE, ids=lambda one: getattr(one, "key", ""))
def test_a_layer_of_too_many_inputs_is_changed_by_its_weights_alone(
    stage: Stage, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a Flatten: squares of 30,976 inputs ended a run for lack of memory, after its fit."""

    def body(image: Any) -> Any:
        x = LAYERS.Flatten()(conv(conv(image, activation="relu"), activation="relu"))
        return dense(LAYERS.Dense(32, activation="relu", name="wide")(x))

    model, data = built(body), Synthetic(count=100, side=SIZE).load(Image(size=SIZE))
    drawn = np.random.default_rng(0)
    model.get_layer("wide").bias.assign(drawn.normal(size=32))
    kernels_ = []
    for most in (module.WIDEST, 100):
        monkeypatch.setattr(module, "WIDEST", most)
        plan = stage.plan(model, data)
        wrapped = stage.wrap(model, plan, 10)
        begun = wrapped.get_layer("wide").kernel.numpy()
        stage.prepare(wrapped, model, plan, data.train)
        kernels_.append(wrapped.get_layer("wide").kernel.numpy())
    fitted, alone = kernels_
    assert np.array_equal(alone, begun)
    assert not np.array_equal(alone, fitted)
    off = wrapped(pictures(), training=False) - model(pictures(), training=False)
    assert np.std(off) < np.std(model(pictures(), training=False))
