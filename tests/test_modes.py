"""What a mode's fields do to its file: float layers, ends, names, the phone's runtime, calibration."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Call, as_json, complaint
from tflites import OP, TYPE, Writer

from tflite_light import contract
from tflite_light.compress.qat import QAT
from tflite_light.errors import Unmade, UserError
from tflite_light.export import _ranges
from tflite_light.export.dynamic_range import DynamicRange
from tflite_light.export.float16 import Float16
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.export.int16x8 import Int16x8
from tflite_light.graph.convert import calibrated, converter_for
from tflite_light.graph.naming import by_kernels
from tflite_light.graph.quantised import unquantised
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.stack import keras, tf
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.layers import called, operators
from tflite_light.tflite.runtimes import is_older
from tflite_light.tflite.watching import Watched


@pytest.fixture(scope="module")
def model(batch: Any) -> Any:
    """A network whose norms have seen photographs."""
    keras.utils.set_random_seed(0)
    network = Tiny(width=8).build((32, 32, 3), 10)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(batch, training=True)
    return network


def error(content: bytes, model: Any, batch: Any) -> float:
    """Of the logits, over the largest."""
    expected = model.predict(batch, verbose=0)
    return float(np.abs(TFLiteModel(content).logits([batch]) - expected).max() / expected.max())


def in_float(content: bytes) -> list[str]:
    """Kinds of the operators in float, without casts."""
    kinds = [one.kind for one in operators(File(content)) if one.is_float]
    return [kind for kind in kinds if not kind.endswith("QUANTIZE")]


@pytest.mark.parametrize("quantised", [False, True], ids=["calibrated", "after qat"])
def test_layers_stay_in_float_by_name_and_by_pattern(
    quantised: bool, model: Any, batch: Any, examples: Examples
) -> None:
    network = QAT().wrap(model, {"kept": []}, 10) if quantised else model
    mode = Int8(float_layers=["logits", "last_*"], calibration_images=50)
    content = mode.convert(network, examples)
    mode.check(File(content), by_kernels(model))
    assert in_float(content) == ["CONV_2D", "ADD", "FULLY_CONNECTED"]
    kernels = [weight.storage for weight in File(content).weights()]
    assert kernels == ["int8"] * 7 + ["float32"] * 2
    assert error(content, model, batch) < 0.25
    assert mode.calibrated_on(network, examples) == examples.balanced(50, 0)


def test_layers_in_float_may_have_weights_of_16_bits(
    model: Any, batch: Any, examples: Examples
) -> None:
    modes = [Int8(float_layers=["logits", "last_*"], float_bits=bits) for bits in (32, 16)]
    whole, half = (mode.convert(model, examples) for mode in modes)
    modes[1].check(File(half), by_kernels(model))
    kernels = [weight.storage for weight in File(half).weights()]
    assert kernels == ["int8"] * 7 + ["float16"] * 2
    assert len(whole) - len(half) > 2 * (64 * 64 + 64 * 10) - 1024
    found = [TFLiteModel(one).logits([batch]) for one in (whole, half)]
    assert np.abs(found[0] - found[1]).max() < 1.01 * TFLiteModel(half).output.scale  # a step


def test_so_many_layers_stay_in_float_those_that_rounding_harms_most(
    model: Any, batch: Any, examples: Examples, capsys: pytest.CaptureFixture[str]
) -> None:
    """One multiplies all channels but one by 1000, and that one, the largest, by 0."""
    spoilt = keras.models.clone_model(model)
    spoilt.set_weights(model.get_weights())
    norm, reader = (
        spoilt.get_layer("block2_expand_norm"),
        spoilt.get_layer("block3_spatial_depthwise"),
    )
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, np.where(np.arange(len(beta)) == 0, 6, beta / 1000), mean, variance])
    norm.gamma.assign(np.where(np.arange(len(gamma)) == 0, gamma, gamma / 1000))
    (kernel,) = reader.get_weights()
    reader.set_weights([kernel * np.where(np.arange(len(gamma)) == 0, 0, 1000)[:, None]])
    mode = Int8(float_layers=1, calibration_images=50)
    content = mode.convert(spoilt, examples)
    mode.check(File(content))
    assert len(in_float(content)) == 1
    told = capsys.readouterr().err
    assert "block3_spatial_depthwise stays in float: as int8 it has 19 dB\n" in told
    message = "would compute in float: DEPTHWISE_CONV_2D of block3_spatial_depthwise."
    with pytest.raises(UserError, match=message):
        Int8(float_layers=[]).check(File(content), by_kernels(spoilt))


def test_a_relu_stays_in_float_with_the_pooling_that_sets_its_range(
    examples: Examples, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mean is not as large as its largest pixel, whose steps it shares, and a concatenation sets
    its range: with one of both in float the other cuts the values off as before, so neither is.
    So the converter has it; `covering` keeps it from that."""
    monkeypatch.setattr(_ranges, "covering", lambda content: content)
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu", name="before")(image)
    beside = keras.layers.Conv2D(8, 4, 4, activation="relu", name="beside")(x)
    x = keras.layers.ReLU(name="cut")(keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    x = keras.layers.AveragePooling2D(5, 4, name="mean")(x)
    x = keras.layers.Concatenate()([x, beside])
    network = keras.Model(
        image, keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    )
    modes = [Int8(float_layers=number, calibration_images=50) for number in (1, 2)]
    one, two = (mode.convert(network, examples) for mode in modes)
    assert not {"RELU", "AVERAGE_POOL_2D"} & set(in_float(one))
    assert in_float(two) == ["RELU", "AVERAGE_POOL_2D"]
    told = capsys.readouterr().err
    assert re.search(r"cut stays in float: .* dB, and so do mean, which read it\n", told)
    images = np.concatenate(list(examples.inputs(range(16))))
    off = [error(content, network, images) for content in (one, two)]
    assert off[1] < off[0] / 2, off


def test_ranges_are_those_of_values_that_sums_and_products_replace(batch: Any) -> None:
    """TFLite computes these in place, and TensorFlow's calibrator looks afterwards."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(image)
    x = 9 * x - 1
    x = keras.layers.Add()([5 * keras.layers.Conv2D(8, 3, padding="same")(x), x])
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(_pooled(x)))
    content = calibrated(converter_for(network), lambda: ([one[None]] for one in batch[:20]))
    editor, watched, ends = Editor(content), Watched(content), defaultdict[int, list[float]](list)
    made = [int(one.outputs[0]) for one in editor.operators]
    for one in batch[:20]:
        watched.run(one[None])
        for index in made:
            value = watched.value(index)
            ends[index] += [float(value.min()), float(value.max())]
    spans = {index: editor.tensor(index).quantization for index in made}
    found = [(float(span.min[0]), float(span.max[0])) for span in spans.values()]
    assert np.allclose(found, [(min(ends[index]), max(ends[index])) for index in made], atol=1e-4)
    assert [int(index) for index in editor.graph.outputs] == [made[-1]]


def _pooled(x: Any) -> Any:
    return keras.layers.GlobalAveragePooling2D()(x)


def _of_channels(x: Any) -> Any:
    pair = tf.reduce_max(x, -1, keepdims=True), tf.reduce_mean(x, -1, keepdims=True)
    return tf.concat(pair, -1)


def test_layers_that_the_converter_rounds_all_the_same_are_named(
    examples: Examples, capsys: pytest.CaptureFixture[str]
) -> None:
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, "same", name="up_before")(image)
    x = keras.layers.Conv2DTranspose(8, 3, 2, "same", name="up")(x)
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(_pooled(x)))
    layers = by_kernels(network)

    def made(float_layers: Any) -> list[str]:
        mode = Int8(float_layers=float_layers, calibration_images=50)
        content = mode.convert(network, examples)
        mode.check(File(content), layers)
        return in_float(content)

    with pytest.raises(Unmade, match="the converter rounds TRANSPOSE_CONV of up all the same"):
        made(["up", "logits"])
    assert made(["up*"]) == ["CONV_2D"]
    said = "TRANSPOSE_CONV of up stay in integers: the converter rounds them"
    assert said in capsys.readouterr().err
    assert "TRANSPOSE_CONV" not in made(2)
    assert "up stays in float" not in capsys.readouterr().err


@pytest.mark.parametrize("axes", [[1], [1, 2]])
def test_int16x8_refuses_sums_that_it_would_cut_off(axes: list[int], examples: Examples) -> None:
    image = keras.layers.Input((32, 32, 3))
    x = tf.reduce_sum(keras.layers.Conv2D(8, 3, 2, "same", name="before")(image), axes)
    x = x if axes == [1, 2] else tf.reduce_mean(x, 1)
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    mode = Int16x8(calibration_images=20)
    with pytest.raises(UserError, match=r"the int16x8 file would cut off .*Sum"):
        mode.check(File(mode.convert(network, examples)))


PICKED: dict[str, Callable[[Any], Any]] = {
    "the largest pixel beside the mean": lambda x: keras.layers.Concatenate()(
        [keras.layers.GlobalMaxPooling2D()(x), keras.layers.Dense(8)(_pooled(x))]
    ),
    "the largest channel beside their mean, as in CBAM": lambda x: _pooled(
        x * (1 + tf.reduce_sum(_of_channels(x), -1, keepdims=True))
    ),
    "a clipped copy": lambda x: _pooled(x * (1 + tf.clip_by_value(x, -0.1, 0.1))),
    "a choice": lambda x: _pooled(x * (1 + tf.where(x > -0.2, x, 0.1))),
}


@pytest.mark.parametrize("form", PICKED)
def test_what_picks_values_cuts_none_off_for_others_that_read_them(
    form: str, examples: Examples, batch: Any
) -> None:
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    spread = keras.initializers.RandomUniform(-3, 1)
    x = keras.layers.Conv2D(8, 3, 2, "same", bias_initializer=spread)(image)
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(PICKED[form](x)))
    content = Int8(calibration_images=50).convert(network, examples)
    expected = network.predict(batch, verbose=0)
    noise = TFLiteModel(content).logits([batch]) - expected
    assert noise.std() < 0.4 * expected.std(axis=0).mean()


def test_operators_are_called_after_layers(
    examples: Examples, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slope's, a depthwise convolution's that multiplies channels, a grouped one's and the
    last's, whose tensors the converter called after a bias, a norm or no layer; and a grouped
    convolution stays in float by its own name."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", name="first")(image)
    x = keras.layers.DepthwiseConv2D(3, 2, depth_multiplier=3, name="more")(x)
    x = keras.layers.BatchNormalization(name="scaled")(x)
    x = keras.layers.PReLU(shared_axes=[1, 2], name="slopes")(x)
    x = keras.layers.Conv2D(12, 1, groups=3, use_bias=False, name="grouped")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="last")(x))
    Int8(float_layers=4, calibration_images=20).convert(network, examples)
    told = re.findall(r"^(\S+) stays in float", capsys.readouterr().err, re.MULTILINE)
    assert len(set(told) & {"first", "more", "slopes", "grouped", "last"}) == 4
    content = Int8(float_layers=["grouped"], calibration_images=20).convert(network, examples)
    assert in_float(content) == ["CONV_2D"]


def test_patterns_fit_names_of_layers_and_nothing_else(examples: Examples) -> None:
    """Neither the model's name nor those of TensorFlow's operators; as Keras' DenseNet, a layer may
    have a `/` in its own."""
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", name="conv1/conv")(image)
    x = keras.layers.Conv2D(8, 3, 2, activation="relu", name="bottom")(x)
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(x), name="backbone")
    for pattern, kinds in (
        ("b*", ["CONV_2D"]),
        ("conv1/*", ["CONV_2D"]),
        ("lo*", ["FULLY_CONNECTED"]),
    ):
        mode = Int8(float_layers=[pattern], calibration_images=20)
        content = mode.convert(network, examples)
        mode.check(File(content), by_kernels(network))
        assert in_float(content) == kinds
    named = [one.layers for one in operators(File(content), by_kernels(network)) if one.layers]
    assert named[:2] == [("conv1/conv",), ("bottom",)]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("net/add_1/add", ("add_1",)),  # as Keras calls the second sum
        ("net/norm/batchnorm/add_1;net/add/add", ("add", "norm")),
        (
            "net/conv/depthwise/BatchNorm/FusedBatchNormV3;net/conv/depthwise/depthwise",
            ("conv/depthwise", "conv/depthwise/BatchNorm"),
        ),
        ("net/quant_conv/depthwise/Conv2D", ("conv/depthwise",)),
        ("PartitionedCall:0", ()),
    ],
)
def test_a_layer_is_what_a_name_begins_with(name: str, layers: tuple[str, ...]) -> None:
    known = ["add", "add_1", "conv/depthwise", "conv/depthwise/BatchNorm", "norm"]
    assert called([name], known, last=False) == layers


def test_operators_without_integers_are_among_those_in_float(
    examples: Examples, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ELU, and what splits what it made, are there first; what splits has two outputs."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    left, right = tf.split(keras.layers.Conv2D(8, 3, 2, name="both")(image), 2, -1)
    x = keras.layers.ELU(name="elu")(left * tf.sigmoid(right))
    x = tf.concat(tf.split(x, 2, -1)[::-1], -1)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    for most in (2, 3, 4):
        mode = Int8(float_layers=most, calibration_images=20)
        content = mode.convert(network, examples)
        mode.check(File(content), by_kernels(network))
        assert {"ELU", "SPLIT"} <= {*in_float(content)}
        assert len(in_float(content)) == most
    with pytest.raises(UserError, match=r"no integers for ELU of elu, SPLIT of ") as caught:
        Int8(float_layers=1, calibration_images=20).convert(network, examples)
    assert caught.value.hint.startswith("Write 2 at least")
    with pytest.raises(UserError, match=r"would compute in float: ELU of elu, SPLIT of "):
        Int8().check(File(Int8(calibration_images=20).convert(network, examples)), ["elu"])


def test_all_layers_in_float_answer_as_float(model: Any, batch: Any, examples: Examples) -> None:
    content = Int8(float_layers=["*"], io="float32").convert(model, examples)
    assert error(content, model, batch) < 1e-5


def test_a_network_without_its_ranges_answers_as_before_them(model: Any, batch: Any) -> None:
    wrapped = QAT().wrap(model, {"kept": []}, 10)
    assert np.array_equal(
        unquantised(wrapped).predict(batch, verbose=0), model.predict(batch, verbose=0)
    )


def test_a_float_layer_that_the_network_lacks_is_refused(model: Any, examples: Examples) -> None:
    with pytest.raises(UserError, match=r"float_layers: none of the layers .* 'logit'") as caught:
        Int8(float_layers=["logit"]).require_known(model)
    assert "such as logits" in caught.value.hint


def test_a_layer_that_is_part_of_another_is_refused(model: Any, examples: Examples) -> None:
    with pytest.raises(UserError, match="'pool_pad' names no operator of the file"):
        Int8(float_layers=["pool_pad"])._exempt(
            Float32().convert(model, examples), model, examples, []
        )


def test_float_ends_are_two_casts(model: Any, batch: Any, examples: Examples) -> None:
    mode = Int8(io="float32")
    content = mode.convert(model, examples)
    mode.check(File(content))
    kinds = [one.kind for one in operators(File(content))]
    assert (kinds[0], kinds[-1], in_float(content)) == ("QUANTIZE", "DEQUANTIZE", [])
    assert (TFLiteModel(content).input.dtype, TFLiteModel(content).output.dtype) == ("float32",) * 2
    inner = TFLiteModel(Int8().convert(model, examples)).logits([batch])
    assert np.abs(TFLiteModel(content).logits([batch]) - inner).max() < 1e-6


def test_pictures_that_calibrate_are_as_many_of_each_class(examples: Examples) -> None:
    chosen = examples.balanced(200, 0)
    assert Counter(examples.labels[chosen].tolist()) == dict.fromkeys(range(10), 20)
    assert examples.balanced(200, 0) == chosen
    assert len(set(examples.balanced(200, 1)) & set(chosen)) < 60
    assert sorted(examples.balanced(10**6, 0)) == list(range(len(examples)))
    for count in (32, 64):  # of which biases and weights are rounded by the first
        found = Counter(examples.labels[chosen[:count]].tolist()).values()
        assert (len(found), max(found) - min(found)) == (10, 1)
    of_five = {tuple(sorted(examples.labels[examples.balanced(5, seed)])) for seed in range(9)}
    assert len(of_five) > 5
    assert all(len(set(labels)) == 5 for labels in of_five)


def test_a_batch_of_a_sample_is_of_every_class(examples: Examples) -> None:
    """Batch-norm statistics are measured by such batches, and pictures lie sorted by class."""
    sample = examples.sample(256)
    assert np.abs(np.diff(sorted(sample)) - len(examples) / 256).max() < 1
    assert sample == examples.sample(256)
    batches = [examples.labels[sample[start : start + 32]] for start in range(0, 256, 32)]
    assert min(len(np.unique(batch)) for batch in batches) >= 8


def test_fewer_calibration_pictures_than_asked_are_said(
    model: Any, examples: Examples, capsys: pytest.CaptureFixture[str]
) -> None:
    Int8(calibration_images=5000).convert(model, examples)
    assert "warning: 5000 calibration pictures are asked for, and train has " in (
        capsys.readouterr().err
    )


def test_what_never_changes_while_ranges_are_set_is_said(
    model: Any, examples: Examples, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = keras.layers.Input((32, 32, 3))
    dead = keras.layers.Conv2D(4, 3, activation="relu", name="dead")
    network = keras.Model(
        inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(dead(inputs)))
    )
    dead.set_weights([np.zeros((3, 3, 3, 4)), np.full(4, -1)])
    Int8(calibration_images=20).convert(network, examples)
    told = capsys.readouterr().err
    assert "nothing changes on the 20 calibration pictures in " in told
    assert "dead" in told
    Int8(calibration_images=20).convert(model, examples)
    assert "nothing changes" not in capsys.readouterr().err
    with pytest.raises(UserError, match=r"has no range for .*dead.* on Arm"):
        Int16x8().check(File(Int16x8(calibration_images=20).convert(network, examples)))
    Int16x8().check(File(Int16x8(calibration_images=20).convert(model, examples)))


def test_a_constant_of_zeros_is_refused_where_it_would_end_the_process(examples: Examples) -> None:
    """What TFLite does to int16 that it subtracts from such a constant."""
    inputs = keras.layers.Input((32, 32, 3))
    x = keras.layers.LayerNormalization()(keras.layers.Conv2D(4, 3)(inputs))
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    made = Int16x8(calibration_images=20).convert(network, examples)
    with pytest.raises(UserError, match=r"would compute with .*zero: TFLite ends the process"):
        Int16x8().check(File(made))


def test_no_layer_left_in_int8_is_refused(model: Any, examples: Examples) -> None:
    number = len(model.layers)
    with pytest.raises(UserError) as caught:
        Int8(float_layers=number).require_known(model)
    assert caught.value.problem == (
        f"export.int8.float_layers: {number} are all of the network's {number} layers."
    )
    mode = Int8(calibration_images=20, float_layers=number - 1)
    mode.require_known(model)
    with pytest.raises(UserError) as caught:
        mode.convert(model, examples)
    assert caught.value.problem.startswith(
        f"export.int8.float_layers: {number - 1} are all of the file's "
    )
    assert caught.value.hint == "Write fewer, or export float32."


def test_a_runtime_that_lacks_an_operator_is_refused_by_its_name(
    model: Any, examples: Examples
) -> None:
    newer = DynamicRange(runtime="2.17")
    content = newer.convert(Tiny().build((32, 32, 3), 20), examples)
    newer.check(File(content))
    DynamicRange().check(File(DynamicRange().convert(Tiny().build((32, 32, 3), 20), examples)))
    message = r"newer runtime than 2\.16: FULLY_CONNECTED version 12 \(since 2\.17\)\."
    with pytest.raises(UserError, match=message) as caught:
        DynamicRange().check(File(content))
    assert "`export.dynamic_range.runtime`" in caught.value.hint
    assert is_older("2.9", "2.16")
    assert not is_older("2.16", "2.16.1")
    with pytest.raises(UserError, match=r"newer runtime than 1\.13: ADD .*CONV_2D version 3"):
        Int8(runtime="1.13").check(File(Int8().convert(model, examples)))


def test_operators_of_no_known_runtime_are_told_from_newer_ones() -> None:
    """No `runtime` helps there."""
    writer = Writer()
    graph = writer.graph("main")
    source, made, odd = (graph.tensor((1, 4), TYPE.FLOAT32) for _ in range(3))
    graph.op(OP.ABS, [source], [made])
    graph.ends([source], [made])
    Float32(runtime="1.13").check(File(writer.bytes()))
    graph.op(OP.CALL, [made], [odd])
    with pytest.raises(UserError, match=r"not known which .*: CALL version 1\.") as caught:
        Float32().check(File(writer.bytes()))
    assert "runtime" not in caught.value.hint


@pytest.mark.parametrize("mode", [Float32, Float16])
@pytest.mark.parametrize("blocks", [False, True])
def test_zeros_are_left_out_of_sparse_kernels(
    mode: Any, blocks: bool, model: Any, batch: Any, examples: Examples
) -> None:
    """Also of a dense layer's whose zeros lie in blocks of four, which are stored otherwise."""
    if blocks:
        inside = keras.layers.Dense(64, "relu")(model.layers[-2].output)
        model = keras.Model(model.input, keras.layers.Dense(20)(inside))
    pruned = keras.models.clone_model(model)
    pruned.set_weights(
        [
            np.where(_small(one, blocks), 0, one) if one.ndim > 1 else one
            for one in model.get_weights()
        ]
    )
    dense, sparse = (mode(sparse=how).convert(pruned, examples) for how in (False, True))
    assert File(sparse).zeros() == File(dense).zeros() > 0.5
    assert len(sparse) < 0.8 * len(dense)
    one, other = (TFLiteModel(content).logits([batch]) for content in (dense, sparse))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("mode", [Float32, Float16])
@pytest.mark.parametrize("inputs", [14, 16, 50])
def test_dense_layers_whose_inputs_are_no_whole_blocks_lose_nothing(
    mode: Any, inputs: int, batch: Any, examples: Examples
) -> None:
    """The converter leaves out the values of the last block: 0.48 of a largest logit of 0.48."""
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(inputs, 3, 4, activation="relu")(image)
    network = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    kept = np.repeat(random.random((-(-inputs // 4), 10)) > 0.9, 4, axis=0)[:inputs]
    network.layers[-1].kernel.assign(random.normal(size=kept.shape) * kept)
    dense, sparse = (mode(sparse=how).convert(network, examples) for how in (False, True))
    assert File(sparse).zeros() == File(dense).zeros()
    one, other = (TFLiteModel(content).logits([batch]) for content in (dense, sparse))
    np.testing.assert_allclose(one, other, atol=1e-6)


def _small(kernel: Any, blocks: bool) -> Any:
    """Which weights become zero; of a dense kernel in `blocks`, four inputs of an output at once."""
    if not blocks or kernel.ndim != 2:
        return np.abs(kernel) < 0.2
    kept = np.abs(kernel).reshape(-1, 4, kernel.shape[1]).sum(1)
    return np.repeat(kept < np.quantile(kept, 0.7), 4, axis=0)


def test_one_mode_makes_two_files_by_their_names(tmp_path: Path, call: Call) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        TINY.partition("train:")[0]
        + "train: {epochs: 1, batch_size: 8}\n"
        + "export: [int8, {int8: {name: npu, io: int8, float_layers: [logits]}}]\n"
    )
    made = as_json(call("train", recipe, "--json"))
    assert made["exports"] == ["runs/tiny/exports/int8.tflite", "runs/tiny/exports/npu.tflite"]
    names = [row["name"] for row in made["rows"]]
    assert names == ["fit", "int8", "npu"]
    agreed = contract.read(Path(made["exports"][1]))
    assert (agreed.input.dtype, agreed.calibration_pictures) == ("int8", 84)
    other = contract.read(Path(made["exports"][0]))
    assert agreed.calibration_sha256 == other.calibration_sha256
    assert (other.input.dtype, len(str(other.calibration_sha256))) == ("uint8", 64)
    measured = as_json(call("evaluate", "runs/tiny", "--json"))
    assert [row["name"] for row in measured["rows"]] == names
    before = Path(made["exports"][1]).read_bytes()
    again = as_json(call("export", "runs/tiny", "--int8", "--json"))
    assert again["exports"] == made["exports"]
    assert Path(made["exports"][1]).read_bytes() == before


@pytest.mark.parametrize(
    ("export", "problem"),
    [
        ("[int8, int8]", "two files would be called int8; keep one, or give one of them a `name`"),
        ("[{int8: {name: float32}}]", "int8: name: float32 is a mode's; take another"),
        ("[{int8: {name: ../up}}]", "export.0.int8.name: "),
        ("[{int8: {runtime: new}}]", "export.0.int8.runtime: "),
    ],
)
def test_a_file_s_name_and_runtime_are_checked(
    export: str, problem: str, tmp_path: Path, call: Call
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("[float32, int8]", export))
    assert problem in complaint(call("check", "tiny.yaml"))


def test_float_layers_are_checked_before_anything_is_trained(tmp_path: Path, call: Call) -> None:
    (tmp_path / "tiny.yaml").write_text(
        TINY.replace("[float32, int8]", "[{int8: {float_layers: [logit]}}]")
    )
    assert "none of the layers of the network is called 'logit'" in complaint(
        call("train", "tiny.yaml")
    )
    assert not (tmp_path / "runs").exists()


def test_an_average_cuts_nothing_off_of_what_it_reads(batch: Any, examples: Examples) -> None:
    """It has one scale with that, and a narrower range."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    wide = layers.Conv2D(16, 3, activation="relu")(image)
    mean = layers.AveragePooling2D(5, 3)(wide)
    joined = layers.Concatenate()([mean, layers.Conv2D(16, 5, 3, activation="relu")(wide)])
    model = keras.Model(image, layers.Dense(5)(layers.GlobalMaxPooling2D()(joined)))
    kernel, bias = model.layers[1].get_weights()  # of edges, which are few and far from the mean
    model.layers[1].set_weights([kernel - kernel.mean((0, 1, 2), keepdims=True), bias])
    assert error(Int8().convert(model, examples), model, batch) < 0.06  # 0.13 where it cut off


@pytest.mark.parametrize("several", ["a layer used twice", "equal biases"])
def test_operators_that_share_a_bias_each_read_it_in_their_own_steps(
    several: str, batch: Any, examples: Examples
) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    convs = [layers.Conv2D(8, 3, padding="same", bias_initializer="ones") for _ in range(2)]
    x = layers.Conv2D(8, 3, 2, "same", activation="relu")(image)
    x = layers.AveragePooling2D(2)(layers.ReLU()(convs[0](x)))
    x = convs[several == "equal biases"](x)
    model = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    for mode in (Int8(), Int16x8()):
        content = mode.convert(model, examples)
        assert error(content, model, batch) < mode.logit_error  # 0.5 of int16x8 with shared steps
        mode.check(File(content))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_channels_without_weights_have_a_bias_of_0_where_steps_differ(examples: Examples) -> None:
    """int16x8 gives their kernels a scale of 0: 0 / 0 became -2^63 in a layer that is used twice."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    shared = layers.Conv2D(16, 1, activation="relu")
    x = shared(shared(layers.Conv2D(16, 3, 2, "same", activation="relu")(image)))
    model = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    kernel, _ = shared.get_weights()
    kernel[..., :8] = 0
    shared.set_weights([kernel, np.arange(16) // 8])
    editor = Editor(Int16x8().convert(model, examples))
    biases = [editor.values(int(one.inputs[2])) for one in editor.operators if len(one.inputs) > 2]
    found = [bias[:8].tolist() for bias in biases if bias is not None and bias.dtype == np.int64]
    assert found
    assert all(not any(bias) for bias in found)


class _Looping(keras.layers.Layer):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return tf.while_loop(lambda n, _: n < 3, lambda n, x: (n + 1, x / 2), [0, inputs])[1]


def test_a_file_with_a_loop_is_stored_without_zeros(batch: Any, examples: Examples) -> None:
    """What the loop needs lies in a graph of its own."""
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.LSTM(14)(layers.Reshape((8, 64))(layers.Conv2D(8, 4, 4)(image)))
    network = keras.Model(image, layers.Dense(10)(x))
    kernel = network.layers[-1].kernel
    kernel.assign(np.where(np.arange(10) < 9, 0, kernel))
    assert error(Float32(sparse=True).convert(network, examples), network, batch) < 1e-5


@pytest.mark.parametrize("mode", [Int8(), Int16x8()], ids=lambda mode: str(mode.key))
def test_a_loop_is_refused_by_name_where_calibrating_it_would_end_the_process(
    mode: Any, batch: Any, examples: Examples
) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    rows = layers.Reshape((8, 64))(layers.Conv2D(8, 4, 4)(image))
    looping, unrolled = (
        keras.Model(image, layers.LSTM(4, unroll=flag, name="steps")(rows))
        for flag in (False, True)
    )
    with pytest.raises(UserError, match="cannot calibrate the loops of steps"):
        mode.require_known(looping)
    with pytest.raises(UserError, match="cannot calibrate the loops of steps"):
        mode.convert(looping, examples)
    mode.require_known(unrolled)
    own = keras.Model(image, layers.Flatten()(_Looping(name="own")(rows)))
    with pytest.raises(UserError, match="cannot calibrate the loops of own"):
        mode.convert(own, examples)
    assert error(mode.convert(unrolled, examples), unrolled, batch) < 2 * mode.logit_error
