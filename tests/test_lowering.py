"""Files rewritten for a target: fewer or faster operators, and the very same answers."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from conftest import networks

from tflite_light.compress._layers import weighty
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.export.dynamic_range import DynamicRange
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.export.int16x8 import Int16x8
from tflite_light.lowering import Target, dense, ghosts, lowered
from tflite_light.lowering._cutting import cuts, finer
from tflite_light.lowering.acceptance import refused
from tflite_light.measure.kernels import DEPTHWISE
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models import Architecture
from tflite_light.models._blocks import shuffle, torch_average_pool
from tflite_light.models.shufflenet_v1 import ShuffleNetV1
from tflite_light.models.shufflenet_v2 import ShuffleNetV2
from tflite_light.pipeline.examples import Examples
from tflite_light.runs.making import make
from tflite_light.sockets import load, names
from tflite_light.stack import keras, tf
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.promises import Clusters, Groups

SIDE = 64
TARGETS = get_args(Target)


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Synthetic(count=40, side=SIDE).load(Image(size=SIDE)).train


def settled(architecture: Architecture, side: int = SIDE) -> Any:
    """A network whose batch norms have statistics and weights of their own."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = architecture.build((side, side, 3), 10)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            scales, shifts = (
                random.uniform(0.5, 1.5, (2, *shape)),
                random.normal(0, 0.1, (2, *shape)),
            )
            layer.set_weights([scales[0], shifts[0], shifts[1], scales[1]])
    return model


def kinds(content: bytes) -> Counter[str]:
    editor = Editor(content)
    return Counter(editor.kind(one) for one in editor.operators)


def rewritten(content: bytes, target: Target = "any") -> bytes:
    return lowered(content, target, lambda _: True)


def off(content: bytes, other: bytes, examples: Examples) -> float:
    """The largest difference of two files' logits: in steps of integers, or over the largest."""
    batch = next(examples.inputs(examples.sample(8)))
    new, old = (TFLiteModel(one) for one in (content, other))
    unit = old.output.scale or float(np.abs(old.logits([batch])).max())
    return float(np.abs(new.logits([batch]) - old.logits([batch])).max()) / unit


SHUFFLING = [  # operators before and after, at 64 px
    (ShuffleNetV2(alpha=0.5), "int8", 176, 97),
    (ShuffleNetV1(alpha=0.5, groups=3), "int8", 132, 88),
    *(
        pytest.param(*one, marks=pytest.mark.slow)
        for one in [
            (ShuffleNetV2(alpha=0.5), "float32", 174, 93),
            (ShuffleNetV2(alpha=0.5, variant="torchvision"), "int8", 185, 97),
            (ShuffleNetV2(alpha=0.5), "float16", 174, 93),
            (ShuffleNetV2(), "int8", 176, 105),
        ]
    ),
]


@pytest.mark.parametrize(("architecture", "mode", "before", "after"), SHUFFLING)
def test_shuffles_are_taken_by_the_weights_around_them(
    architecture: Architecture, mode: str, before: int, after: int, examples: Examples
) -> None:
    converted = load("export", mode)().convert(settled(architecture), examples)
    made = rewritten(converted)
    found, old = kinds(made), kinds(converted)
    old.pop("DEQUANTIZE", 0), found.pop("DEQUANTIZE", 0)  # of float16 weights
    assert (sum(old.values()), sum(found.values())) == (before, after)
    assert (old["TRANSPOSE"], found["TRANSPOSE"], found["STRIDED_SLICE"]) == (
        old["TRANSPOSE"],
        0,
        0,
    )
    assert off(made, converted, examples) < (1e-6 if mode != "int8" else 1e-9)


@pytest.mark.parametrize("mode", names("export"))
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "tiny" else pytest.mark.slow) for n in networks()]
)
def test_every_file_answers_as_before(name: str, mode: str, examples: Examples) -> None:
    """What is rounded as it comes, in dynamic_range, may fall to the other side of a half."""
    made_by: Mode = load("export", mode)()
    converted = made_by.convert(settled(load("models", name)()), examples)
    for target in TARGETS:
        difference = off(rewritten(converted, target), converted, examples)
        assert difference <= {"int8": 0, "int16x8": 0, "dynamic_range": 0.02}.get(mode, 1e-5)


STEMS = {  # kernel, padding, side: (operators for each target's stem, kernel in pairs)
    "3 same": (3, "same", 32, (3, 2, 6)),
    "7 same": (7, "same", 32, (7, 4, 6)),
    "5 same": (5, "same", 32, (5, 3, 6)),
    "3 valid": (3, "valid", 32, (3, 2, 6)),
    "7 valid": (7, "valid", 32, (7, 4, 6)),
    "3 padded": (3, "padded", 32, (3, 2, 6)),
    "5 padded": (5, "padded", 32, (5, 3, 6)),
    "odd": (3, "same", 33, (3, 3, 3)),
    "3 padded by 2, 3 rows": (3, "2, 3 rows", 32, (3, 2, 6)),  # more than SAME would give
}


@pytest.mark.parametrize("form", STEMS)
def test_a_stem_reads_pairs_of_columns(form: str) -> None:
    kernel, padding, side, expected = STEMS[form]
    examples = Synthetic(count=40, side=side).load(Image(size=side)).train
    image = keras.layers.Input((side, side, 3))
    amounts = {"padded": kernel // 2, "2, 3 rows": ((2, 3), (0, 1))}
    x = keras.layers.ZeroPadding2D(amounts[padding])(image) if padding in amounts else image
    rule = "same" if padding == "same" else "valid"
    x = keras.layers.Conv2D(8, kernel, 2, rule, activation="relu")(x)
    model = keras.Model(image, keras.layers.Flatten()(keras.layers.Conv2D(2, 1)(x)))
    converted = Int8().convert(model, examples)
    made = rewritten(converted)
    editor = Editor(made)
    first = next(one for one in editor.operators if editor.kind(one) == "CONV_2D")
    assert editor.shape(int(first.inputs[1]))[1:] == expected
    assert off(made, converted, examples) == 0
    assert rewritten(converted, "gpu") == converted


def test_a_picture_is_padded_by_whole_rows_before_a_pooling(examples: Examples) -> None:
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 1, activation="relu")(image)
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(((1, 0), (2, 1)))(x))
    model = keras.Model(image, keras.layers.Flatten()(x))
    converted = Int8().convert(model, examples)
    made = rewritten(converted)
    assert kinds(made) - kinds(converted) == {"RESHAPE": 2}
    assert off(made, converted, examples) == 0


GHOSTS: dict[
    str, tuple[int, dict[str, Any], dict[str, Any], int]
] = {  # channels, what makes the first half, and the second of it -> joinings left
    "8": (8, {"activation": "relu"}, {"activation": "relu"}, 0),
    "3, of a wide kernel, not cut": (3, {}, {"kernel_size": 5}, 0),
    "8, cut and not": (8, {"activation": "relu"}, {}, 0),
    "8, dilated": (8, {"activation": "relu"}, {"dilation_rate": 2}, 0),
    "8, cut afterwards": (8, {}, {"activation": "relu"}, 1),
    "8, of groups": (8, {"groups": 2, "activation": "relu"}, {"activation": "relu"}, 1),
    "9": (9, {"activation": "relu"}, {"activation": "relu"}, 1),
}


@pytest.mark.parametrize("cheap_first", [False, True])
@pytest.mark.parametrize("form", GHOSTS)
def test_ghosts_of_few_channels_are_not_joined(
    form: str, cheap_first: bool, examples: Examples
) -> None:
    channels, own, of_it, left = GHOSTS[form]
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(6, 3, 2, "same", activation="relu")(image)
    x = keras.layers.Conv2D(channels, 1, bias_initializer="normal", **own)(x)
    cheap = {"kernel_size": 3, "padding": "same", "bias_initializer": "normal"} | of_it
    d = keras.layers.DepthwiseConv2D(**cheap)(x)
    x = keras.layers.Concatenate()([d, x] if cheap_first else [x, d])
    model = keras.Model(image, keras.layers.Flatten()(x))
    for mode in (Int8(), Float32()):
        converted = mode.convert(model, examples)
        assert kinds(converted)["CONCATENATION"] == 1
        editor = Editor(converted)
        ghosts.rewrite(editor, floats=mode.key == "float32")
        made = editor.write()
        assert kinds(made)["CONCATENATION"] == left
        assert off(made, converted, examples) <= (1e-6 if mode.key == "float32" else 0)


def test_pixels_become_int8_by_operators_that_xnnpack_has(examples: Examples) -> None:
    converted = Int8().convert(settled(load("models", "tiny")()), examples)
    made = rewritten(converted, "cpu")
    assert kinds(made)["DEQUANTIZE"] == 1
    assert kinds(rewritten(converted))["DEQUANTIZE"] == 0
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    new, old = (TFLiteModel(one).answer(pixels) for one in (made, converted))
    assert np.array_equal(new, old)


def test_relus_that_stand_alone_are_taken_by_xnnpack(examples: Examples) -> None:
    """Those between a sum that others read and a convolution, as before each block of Xception."""
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, padding="same")(image))
    for _ in range(2):
        inner = keras.layers.Conv2D(8, 3, padding="same")(keras.layers.ReLU()(x))
        x = keras.layers.Add()([x, inner])
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    converted = Int8().convert(model, examples)
    made = rewritten(converted)
    assert (kinds(converted)["RELU"], kinds(made)["RELU"]) == (2, 0)
    assert kinds(made)["ADD"] == kinds(converted)["ADD"] + 2
    assert off(made, converted, examples) == 0


def test_a_rewrite_that_breaks_a_promise_is_left_out(examples: Examples) -> None:
    """A clustered kernel would get the value zero for the columns that no pixel has."""
    model = settled(load("models", "mobilenet_v2")(alpha=0.35))
    for layer in weighty(model, [], ""):
        kernel, *rest = layer.get_weights()
        layer.set_weights([np.where(kernel < 0, -0.1, 0.1), *rest])
    converted = Int8().convert(model, examples)
    assert (_most(converted), _most(rewritten(converted))) == (2, 3)
    assert _most(lowered(converted, "any", lambda content: _most(content) <= 2)) == 2


@pytest.mark.parametrize("target", TARGETS)
def test_few_values_leave_no_grouped_convolution(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GPUs compute int8 ones wrongly, and NNAPI knows none. A file for a CPU has no value more in
    any clustered kernel, one for the others the zero between groups and no more operators."""
    data = Synthetic(count=100, side=SIDE, number_of_classes=10).load(Image(size=SIDE))
    model = settled(ShuffleNetV1(alpha=0.25, groups=2))
    layers = weighty(model, [], "")
    for layer in layers:
        kernel, *rest = layer.get_weights()
        layer.set_weights([np.where(kernel < 0, -0.1, 0.1), *rest])
    shapes = tuple((tuple(layer.kernel.shape), True) for layer in layers)
    promise = Clusters(2, shapes, "compress.cluster.centroids")
    made = make(Int8(target=target), model, data, [promise], tmp_path / "int8.tflite")
    editor = Editor(made)
    convolutions = [one for one in editor.operators if editor.kind(one) == "CONV_2D"]
    kernels = [(one, editor.weight(one, 1)) for one in convolutions]
    assert all(
        editor.shape(int(one.inputs[0]))[3] == kernel.shape[3]
        for one, kernel in kernels
        if kernel is not None
    )
    found = [one for one in File(made).weights() if one.operator != DEPTHWISE]
    accelerated = target in ("gpu", "nnapi")
    assert max(one.not_zero(whole=False) for one in found) == 2
    assert max(one.distinct_by_channel for one in found) == (3 if accelerated else 2)
    told = "int8: rewrites that would break promised clusters are left out"
    assert capsys.readouterr().err.count(told) == (0 if accelerated else 1)
    if accelerated:
        plain = make(Int8(target=target), model, data, [], tmp_path / "plain.tflite")
        assert kinds(made) == kinds(plain)


@pytest.mark.parametrize("network", [ShuffleNetV1(alpha=0.5, groups=3), ShuffleNetV2()])
@pytest.mark.parametrize("target", ["any", "nnapi"])
def test_patterns_of_zeros_are_moved_with_the_kernels(
    target: Target, network: Architecture, tmp_path: Path
) -> None:
    """No kernel of the file has a group of 4 inputs with more than 2 weights that had none, counted
    here by hand: a shuffle that mixes groups up is not taken. Grouped convolutions become dense."""
    data = Synthetic(count=100, side=SIDE, number_of_classes=10).load(Image(size=SIDE))
    model = settled(network)
    layers = [one for one in weighty(model, [], "") if one.kernel.shape[-2] % 4 == 0]
    for layer in layers:
        kernel, *rest = layer.get_weights()
        kernel[..., 0::4, :] = kernel[..., 1::4, :] = 0
        layer.set_weights([kernel, *rest])
    shapes = tuple(
        (tuple(layer.kernel.shape), layer.kernel.shape.num_elements() // 4) for layer in layers
    )
    promise = Groups(1, 4, 2, shapes, "compress.prune.pattern")
    before = File(Int8().convert(model, data.train))
    after = File(make(Int8(target=target), model, data, [promise], tmp_path / "int8.tflite"))
    assert promise.shortfall(before) is None
    assert _full(after) <= _full(before)
    assert not any(graph.grouped() for graph in after.graphs)


def _full(file: File) -> set[str]:
    """Kernels with more than 2 weights in a group of 4 inputs, the last one perhaps of fewer."""
    found = set()
    for weight in file.weights():
        kept = weight.values != 0
        starts = range(0, kept.shape[-1], 4)
        sums = [kept[..., start : start + 4].sum(axis=-1) for start in starts]
        if weight.operator != DEPTHWISE and max(one.max() for one in sums) > 2:
            found.add(weight.name)
    return found


@pytest.mark.parametrize("target", ["any", "gpu"])
def test_kernels_without_a_promise_are_rewritten_as_ever(target: Target, tmp_path: Path) -> None:
    """Also a grouped convolution of 6 inputs, beside one whose pattern is promised; a float one may
    stay grouped, and where int8 ones would the refusal names the layer that has groups."""
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(12, 3, strides=2, padding="same", name="stem")(image)
    x = keras.layers.Conv2D(12, 1, groups=2, name="odd")(x)
    x = keras.layers.Conv2D(12, 1, name="pruned")(x)
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    kernel, bias = model.get_layer("pruned").get_weights()
    kernel[..., 0::4, :] = kernel[..., 1::4, :] = 0
    model.get_layer("pruned").set_weights([kernel, bias])
    data = Synthetic(count=100, side=SIDE, number_of_classes=10).load(Image(size=SIDE))
    promise = Groups(1, 4, 2, (((1, 1, 12, 12), 36),), "compress.prune.pattern")
    made = make(Int8(target=target), model, data, [promise], tmp_path / "int8.tflite")
    assert not any(graph.grouped() for graph in File(made).graphs)
    converted = Int8().convert(model, data.train)
    lack = refused(File(converted), "gpu")
    assert lack == "gpu computes int8 CONV_2Ds of groups wrongly, as in odd"
    assert refused(File(Float32().convert(model, data.train)), "gpu") is None


def _most(content: bytes) -> int:
    """Values in an output channel of a convolution that is not depthwise."""
    weights = [one for one in File(content).weights() if one.operator != DEPTHWISE]
    return max(one.distinct_by_channel for one in weights)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((58, 58), [(0, 1, 2)]),
        ((58, 29, 29), [(0, 1, 3), (1, 2, 3)]),
        ((10, 7), [(0, 1), (1, 2)]),
        ((4, 4, 4), [(0, 1, 2, 3)]),
        ((9,), []),
    ],
)
def test_a_tensor_is_cut_by_as_few_operators_as_do_it(
    sizes: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    assert cuts(sizes) == expected


def test_parts_that_one_split_makes_are_made_by_it() -> None:
    assert finer((58, 29, 29)) == (29, 29, 29, 29)
    assert finer((58, 29, 28)) == (58, 29, 28)
    assert finer((116,)) == (116,)


def test_what_a_target_cannot_run_is_named(examples: Examples, tmp_path: Path) -> None:
    data = Synthetic(count=40, side=SIDE).load(Image(size=SIDE))
    model = settled(load("models", "tiny")())
    for target in ("gpu", "nnapi"):
        with pytest.raises(UserError) as caught:
            make(Int16x8(target=target), model, data, (), tmp_path / "int16x8.tflite")
        assert f"{target} has no int16 CONV_2D, as in stem_conv" in str(caught.value)
        assert "It is kept as" in str(caught.value)
    grouped = settled(ShuffleNetV1(alpha=0.5, groups=3))
    content = make(Float32(target="nnapi"), grouped, data, (), tmp_path / "float32.tflite")
    assert {version for op, version in File(content).codes() if op == "CONV_2D"} == {1}
    assert kinds(content)["TRANSPOSE"] == 0
    assert refused(File(Float32().convert(grouped, examples)), "nnapi") == (
        "nnapi has no CONV_2D of version 6 (groups), as in stage2_unit0_expand_conv"
    )


def test_dense_layers_with_a_scale_for_each_output_become_convolutions(examples: Examples) -> None:
    """So that XNNPACK of 2.16 takes them, and gates keep four dimensions."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(image)
    gate = keras.layers.GlobalAveragePooling2D()(x)
    gate = keras.layers.Dense(4, activation="relu", use_bias=False)(gate)
    gate = keras.layers.Reshape((1, 1, 8))(keras.layers.Dense(8)(gate))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply()([x, gate]))
    model = keras.Model(image, keras.layers.Dense(5)(keras.layers.Dense(6)(x)))
    converted = Int8().convert(model, examples)
    made = rewritten(converted, "gpu")
    assert kinds(converted)["FULLY_CONNECTED"] == 4
    assert (kinds(made)["CONV_2D"], kinds(made)["FULLY_CONNECTED"]) == (5, 0)
    assert kinds(made)["RESHAPE"] == 1  # the end alone
    assert off(made, converted, examples) == 0


@pytest.mark.parametrize(
    ("size", "padding", "stays"),
    [(3, "valid", 0), ((1, 5), "valid", 0), (2, "valid", 1), (3, "same", 1)],
)
def test_averages_of_odd_windows_are_taken_by_xnnpack(
    size: Any, padding: str, stays: int, examples: Examples
) -> None:
    """A half of a step rounds in more than one way, and a mean leaves out what is padded."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(image)
    x = keras.layers.Conv2D(8, 3)(keras.layers.AveragePooling2D(size, 2, padding)(x))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    converted = Int8().convert(model, examples)
    made = rewritten(converted)
    assert (kinds(converted)["AVERAGE_POOL_2D"], kinds(made)["AVERAGE_POOL_2D"]) == (1, stays)
    assert kinds(made)["DEPTHWISE_CONV_2D"] == 1 - stays
    assert off(made, converted, examples) == 0


def test_padding_comes_last_before_what_was_a_pooling(examples: Examples) -> None:
    """ShuffleNet v1 has a ReLU between the two, for GPUs that else leave the padding out."""
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(image)
    x = torch_average_pool(keras.layers.Add()([x, keras.layers.Conv2D(8, 1)(x)]), "shortcut")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    converted = Int8().convert(model, examples)
    made = rewritten(converted, "gpu")
    editor = Editor(made)
    order = [editor.kind(one) for one in editor.operators]
    assert order == ["QUANTIZE", "CONV_2D", "CONV_2D", "ADD", "ADD", "PAD", *order[6:]]
    assert order[6:8] == ["DEPTHWISE_CONV_2D", "MEAN"]
    assert off(made, converted, examples) == 0


def unit(strides: int, width: int, groups: int, first: int) -> Any:
    """Two pointwise convolutions, of `first` and of `groups` groups, with a shuffle between."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((SIDE // 2, SIDE // 2, 3))
    x = keras.layers.Conv2D(width, 3, strides, "same", activation="relu")(image)
    x = keras.layers.Conv2D(width // 4, 1, groups=first, activation="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", bias_initializer="random_normal")(x)
    x = shuffle(x, width // 4 // groups, "unit")
    x = keras.layers.Conv2D(width, 1, groups=groups, bias_initializer="random_normal")(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


UNITS = {  # of 32 px strides, channels, groups: (convolutions behind the stem, shuffles)
    (1, 240, 3): (1 + 3, 0),
    (2, 480, 3): (3 + 3, 1),
    (2, 48, 3): (1 + 1, 0),
    (4, 1536, 8): (8 + 8, 1),
}


@pytest.mark.parametrize(("strides", "width", "groups"), UNITS)
def test_grouped_convolutions_become_several_where_that_is_cheaper(
    strides: int, width: int, groups: int
) -> None:
    examples = Synthetic(count=40, side=SIDE // 2).load(Image(size=SIDE // 2)).train
    converted = Int8().convert(unit(strides, width, groups, groups), examples)
    made = rewritten(converted, "cpu")
    found, several = kinds(made), UNITS[strides, width, groups]
    assert (found["CONV_2D"] - 1, found["TRANSPOSE"]) == several
    assert {version for op, version in File(made).codes() if op == "CONV_2D"} == {3}
    editor = Editor(made)
    joins = [one for one in editor.operators if editor.kind(one) == "CONCATENATION"]
    assert max((len(one.inputs) for one in joins), default=0) <= 5  # or XNNPACK leaves it
    assert off(made, converted, examples) == 0
    assert kinds(rewritten(converted, "gpu"))["CONV_2D"] == 1 + 2
    if sum(several) > 2:
        assert len(made) < len(rewritten(converted, "gpu"))


def test_a_shuffle_is_taken_by_what_makes_its_channels() -> None:
    """Where groups read them; through a depthwise convolution."""
    examples = Synthetic(count=40, side=SIDE // 2).load(Image(size=SIDE // 2)).train
    converted = Float32().convert(unit(1, 24, 3, 1), examples)
    made = rewritten(converted, "cpu")
    assert (kinds(converted)["TRANSPOSE"], kinds(made)["TRANSPOSE"]) == (1, 0)
    assert off(made, converted, examples) < 1e-6
    apart = Float32().convert(unit(1, 24, 3, 3), examples)
    assert kinds(rewritten(apart, "cpu"))["TRANSPOSE"] == 1


def test_convolutions_of_dynamic_range_keep_the_version_of_their_kind(examples: Examples) -> None:
    """5 of those without groups: floats that read int8 kernels with a scale a channel."""
    image = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(64, 3, groups=2)(keras.layers.Conv2D(64, 3)(image))
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))
    converted = DynamicRange().convert(model, examples)

    def versions(content: bytes) -> list[int]:
        editor = Editor(content)
        return [editor.version(one) for one in editor.operators if editor.kind(one) == "CONV_2D"]

    assert versions(converted) == [6, 6]
    assert versions(rewritten(converted)) == [5, 6]
    dense = rewritten(converted, "nnapi")
    assert versions(dense) == [5, 5]
    assert off(dense, converted, examples) < 0.02


def conv(x: Any, filters: int = 8, strides: int = 1) -> Any:
    return keras.layers.Conv2D(filters, 3, strides, "same", activation="relu")(x)


ODD: dict[str, Callable[[Any], Any]] = {  # networks of others, up to a dense layer
    "a factor of one value before a shuffle": lambda image: keras.layers.Add()(
        [shuffle(keras.layers.Rescaling(1 / 6)(conv(image)), 2, "odd"), conv(image)]
    ),
    "a padding of channels behind a shuffle": lambda image: conv(
        tf.pad(shuffle(conv(image), 2, "odd"), [[0, 0], [1, 1], [1, 1], [0, 8]])
    ),
    "a padding of channels before a shuffle": lambda image: keras.layers.Add()(
        [shuffle(tf.pad(conv(image), [[0, 0]] * 3 + [[4, 4]]), 2, "odd"), conv(image, 16)]
    ),
    "a channel read twice": lambda image: conv(tf.gather(conv(image), [0, 1, 1, 2, 3, 0], axis=-1)),
    "channels that come first in a mean": lambda image: keras.layers.GlobalAveragePooling2D(
        "channels_first"
    )(keras.layers.Permute((3, 1, 2))(conv(image, strides=2))),
    "a mean over height and channels": lambda image: tf.reduce_mean(conv(image), [1, 3]),
}


@pytest.mark.parametrize("mode", [Int8(), Float32()], ids=lambda mode: mode.key)
@pytest.mark.parametrize("form", ODD)
def test_odd_forms_keep_their_answers(form: str, mode: Mode) -> None:
    examples = Synthetic(count=40, side=SIDE // 2).load(Image(size=SIDE // 2)).train
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((SIDE // 2, SIDE // 2, 3))
    x = ODD[form](image)
    x = keras.layers.GlobalAveragePooling2D()(x) if x.shape.rank == 4 else x
    converted = mode.convert(keras.Model(image, keras.layers.Dense(5)(x)), examples)
    for target in TARGETS:
        difference = off(rewritten(converted, target), converted, examples)
        assert difference <= (1e-6 if mode.key == "float32" else 0), target


def test_one_rewrite_that_changes_answers_is_left_out_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is left is still held to the target."""

    def spoilt(editor: Editor) -> None:
        (last,) = [one for one in editor.operators if editor.kind(one) == "FULLY_CONNECTED"]
        kernel = editor.weight(last, 1)
        assert kernel is not None
        editor.set_weight(last, 1, -kernel)

    monkeypatch.setattr(dense, "rewrite", spoilt)
    data = Synthetic(count=40, side=SIDE).load(Image(size=SIDE))
    model = settled(load("models", "tiny")())
    content = make(Int8(target="cpu"), model, data, (), tmp_path / "int8.tflite")
    assert (
        "int8: a rewrite for its target would change answers; left out" in capsys.readouterr().err
    )
    assert kinds(content)["FULLY_CONNECTED"] == 1
    assert kinds(content)["DEQUANTIZE"] == 1  # the edges' rewrite came after
