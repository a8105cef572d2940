"""What TF-MOT would refuse or leave unrounded is named before a run, or rewritten exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Call, as_json, complaint, networks

from tflite_light import recipe as recipes
from tflite_light.compress.channels import Channels
from tflite_light.compress.cluster import Cluster
from tflite_light.compress.factorize import Factorize
from tflite_light.compress.prune import Prune
from tflite_light.compress.qat import QAT
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint, lint
from tflite_light.graph.flattening import flattened
from tflite_light.graph.fusing import folded, fused
from tflite_light.graph.statistics import norms
from tflite_light.runs import chain, planning
from tflite_light.runs.planning import row, steps
from tflite_light.sockets import load
from tflite_light.stack import keras, tf

LAYERS = keras.layers
STAGES = """
compress:
  - prune: {sparsity: 0.3}
  - cluster: {centroids: 4, exclude: [EXCLUDED]}
  - qat: {}
"""
Body = Callable[[Any], Any]


def network(body: Body) -> Any:
    image = LAYERS.Input((16, 16, 3))
    x = LAYERS.GlobalAveragePooling2D()(body(image))
    return keras.Model(image, LAYERS.Dense(3, name="logits")(x))


def conv(x: Any, name: str = "conv", **fields: Any) -> Any:
    return LAYERS.Conv2D(4, 3, padding="same", name=name, **fields)(x)


def apart(image: Any) -> Any:
    """ReLUs apart from all kinds of layers, one of them behind a sum, one read twice."""
    x = LAYERS.ReLU(name="first_relu")(conv(image, "first"))
    side = LAYERS.Activation("relu", name="side_relu")(
        LAYERS.DepthwiseConv2D(3, padding="same", name="side")(x)
    )
    x = LAYERS.ReLU(name="sum_relu")(LAYERS.Add(name="sum")([x, side]))
    x = LAYERS.ReLU(name="split_relu")(LAYERS.SeparableConv2D(6, 3, name="split")(x))
    x = LAYERS.ReLU(name="norm_relu")(LAYERS.BatchNormalization(name="norm")(conv(x, "last")))
    return LAYERS.Reshape((1, 1, 5))(
        LAYERS.ReLU(name="dense_relu")(LAYERS.Dense(5, name="dense")(LAYERS.Flatten()(x)))
    )


def test_a_relu_apart_is_fused_exactly() -> None:
    model = network(apart)
    with pytest.raises(UserError, match="weights of first, side, "):
        QAT().plan(model, None)
    found = fused(model)
    gone = {layer.name for layer in model.layers} - {layer.name for layer in found.layers}
    assert gone == {"first_relu", "side_relu", "split_relu", "dense_relu"}
    pictures = np.random.default_rng(0).normal(0, 1, (8, 16, 16, 3)).astype(np.float32)
    assert np.array_equal(found.predict_on_batch(pictures), model.predict_on_batch(pictures))
    before, after = checkpoint.weights_of(model), checkpoint.weights_of(found)
    assert list(before) == list(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    QAT().plan(found, None)
    assert fused(found) is found


def test_a_relu_at_the_end_is_fused_and_what_is_read_twice_is_not() -> None:
    image = LAYERS.Input((16, 16, 3))
    first = conv(image, "first")
    x = LAYERS.Add()([first, LAYERS.ReLU(name="kept")(first)])
    end = LAYERS.ReLU(name="end")(LAYERS.Dense(3, name="logits")(LAYERS.Flatten()(x)))
    found = fused(keras.Model(image, end))
    assert [layer.name for layer in found.layers if "kept" in layer.name] == ["kept"]
    assert found.layers[-1].name == "logits"
    assert found.layers[-1].activation is keras.activations.relu


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (lambda x: conv(LAYERS.Lambda(lambda t: t * 2, name="double")(conv(x)), "b"), "double (Lambda)"),
        (lambda x: conv(conv(x) * 2.0, "b"), "tf.math.multiply (TFOpLambda)"),
        (lambda x: LAYERS.PReLU(name="leak")(conv(x)), "leak (PReLU)"),
        (lambda x: conv(x, "gate", activation="hard_sigmoid"), "gate (Conv2D with hard_sigmoid)"),
        (lambda x: LAYERS.Activation("hard_sigmoid", name="gate")(conv(x)), "gate (Activation with hard_sigmoid)"),
        (lambda x: conv(LAYERS.BatchNormalization(name="early")(x)), "early (BatchNormalization that is not alone behind a linear layer)"),
        (lambda x: LAYERS.BatchNormalization(name="late")(conv(x, activation="relu")), "late (BatchNormalization that is not alone"),
        (lambda x: keras.Sequential([LAYERS.Conv2D(4, 3)], name="inner")(conv(x)), "inner (Sequential)"),
        (lambda x: LAYERS.Reshape((8, 8, 4))(LAYERS.SeparableConv1D(4, 4, 4, name="rows")(LAYERS.Reshape((256, 4))(conv(x)))), "rows (SeparableConv1D)"),
    ],
    ids=["lambda", "operator", "unknown", "activation", "activation apart", "norm first", "norm late", "nested", "one axis"],
)  # fmt: skip
def test_what_tf_mot_refuses_is_named(body: Body, named: str) -> None:
    model = network(body)
    with pytest.raises(UserError) as caught:
        QAT().plan(model, None)
    assert f"compress.qat: TF-MOT cannot quantise {named}" in caught.value.problem
    with pytest.raises((ValueError, RuntimeError)):  # so it would raise, as a rule without a name
        QAT().wrap(model, {"kept": []}, 1)


def test_a_norm_beside_another_reader_is_named() -> None:
    def body(image: Any) -> Any:
        x = conv(image)
        return LAYERS.Add()([x, LAYERS.BatchNormalization(name="norm")(x)])

    assert list(lint.refused(network(body))) == ["norm"]


@pytest.mark.parametrize(
    "body",
    [
        lambda x: LAYERS.Activation(tf.nn.relu6)(LAYERS.BatchNormalization()(conv(x))),
        lambda x: LAYERS.ReLU(6.0)(LAYERS.BatchNormalization()(conv(x))),
        lambda x: LAYERS.ReLU()(LAYERS.BatchNormalization()(LAYERS.SeparableConv2D(4, 3)(x))),
        lambda x: LAYERS.Multiply()([conv(x), conv(x, "b", activation="sigmoid")]),
    ],
    ids=["relu6 function", "relu6", "separable", "product"],
)
def test_what_tf_mot_rounds_is_not_named(body: Body) -> None:
    QAT().plan(network(body), None)


def summed(image: Any, kind: Any = LAYERS.Add) -> Any:
    """Two sums of more than two, one of which is used twice and reads a tensor twice."""
    x, y, z = (conv(image, name, activation="relu") for name in "xyz")
    again = kind(name="again")
    return kind(name="sum")([again([x, y, x, z]), again([z, y, x, y]), conv(x, "w")])


@pytest.mark.parametrize("kind", [LAYERS.Add, LAYERS.Multiply])
def test_a_sum_of_three_is_made_of_two_and_computed_in_integers(kind: Any) -> None:
    """Its int8 file computed it in float, known after all of the training."""
    model = network(lambda x: summed(x, kind))
    with pytest.raises(UserError, match="int8 file would compute again, sum in float"):
        QAT().plan(model, None)
    found = flattened(model)
    assert [one.name for one in found.layers if len(one.inbound_nodes[0].parent_nodes) > 2] == []
    pictures = np.random.default_rng(0).normal(0, 1, (8, 16, 16, 3)).astype(np.float32)
    assert np.array_equal(found.predict_on_batch(pictures), model.predict_on_batch(pictures))
    before, after = checkpoint.weights_of(model), checkpoint.weights_of(found)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert {"again", "sum", "sum_of_two"} < {layer.name for layer in found.layers}
    QAT().plan(found, None)
    assert flattened(found) is found


def dense_norms(image: Any) -> Any:
    """With a bias and without, a ReLU or nothing behind; places of a picture, too."""
    x = LAYERS.Dense(6, name="places")(conv(image, activation="relu"))
    x = LAYERS.ReLU()(LAYERS.BatchNormalization(scale=False)(x))
    x = LAYERS.Dense(9, use_bias=False, name="bare")(LAYERS.GlobalAveragePooling2D()(x))
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(x))
    x = LAYERS.BatchNormalization(center=False)(LAYERS.Dense(8, name="linear")(x))
    return LAYERS.Reshape((1, 1, 8))(x)


def test_a_norm_of_a_dense_layer_is_folded_and_computed_in_integers() -> None:
    """Its int8 file computed the layer in float, known after all of the training."""
    model, random = network(dense_norms), np.random.default_rng(0)
    for norm in norms(model):
        norm.set_weights([random.uniform(0.5, 1.5, one.shape) for one in norm.get_weights()])
    found = folded(model)
    assert not [one for one in found.layers if isinstance(one, LAYERS.BatchNormalization)]
    pictures = random.normal(0, 1, (8, 16, 16, 3)).astype(np.float32)
    expected = model.predict_on_batch(pictures)
    assert np.abs(found.predict_on_batch(pictures) - expected).max() < 1e-5 * np.ptp(expected)
    QAT().plan(model, None)
    assert folded(found) is found


def transposed(x: Any, **fields: Any) -> Any:
    return LAYERS.Conv2DTranspose(4, 3, 2, padding="same", name="up", **fields)(x)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (lambda x: transposed(conv(x), activation="relu"), "up"),
        (lambda x: LAYERS.ReLU(name="relu")(LAYERS.BatchNormalization(name="norm")(transposed(conv(x)))), "up, norm, relu"),
    ],
    ids=["activation", "norm"],
)  # fmt: skip
def test_what_the_int8_file_would_compute_in_float_is_named(body: Body, named: str) -> None:
    """It was found in the file, after all of the training."""
    with pytest.raises(UserError) as caught:
        QAT().plan(network(body), None)
    assert caught.value.problem.startswith(
        f"compress.qat: the int8 file would compute {named} in float"
    )
    assert caught.value.hint.startswith("Leave out the qat stage")


def test_a_transposed_convolution_without_activation_is_in_integers() -> None:
    QAT().plan(network(lambda x: transposed(conv(x))), None)


def test_a_relu6_without_norm_is_named_unless_it_is_ignored() -> None:
    model = network(lambda x: LAYERS.ReLU(6.0)(conv(x)))
    assert fused(model) is model
    wrapped = QAT().wrap(model, {"kept": []}, 1)
    assert lint.unrounded(wrapped) == ["conv"]
    assert lint.unrounded(wrapped, {"conv"}) == []
    with pytest.raises(UserError, match="the weights of conv would not be rounded") as caught:
        QAT().plan(model, None)
    assert "batch norm between the layer and its ReLU" in caught.value.hint


def architectures() -> list[Any]:
    """TF-MOT takes 10 s and more for a network of a paper."""
    slow = [name for name in networks() if name not in ("tiny", "squeezenet")]
    return [pytest.param(n, marks=pytest.mark.slow if n in slow else ()) for n in networks()]


@pytest.mark.parametrize("name", architectures())
def test_every_architecture_goes_through_all_promises_and_nothing_escapes(
    name: str, tmp_path: Path
) -> None:
    text = TINY.partition("compress:")[0].replace("model: {tiny: {width: 4}}", f"model: {name}")
    (tmp_path / "all.yaml").write_text(text + STAGES.replace("EXCLUDED", "logits*"))
    recipe = recipes.load(tmp_path / "all.yaml")
    model = chain.build(recipe, ["a", "b", "c"])
    assert len(model.layers) == len(recipe.model.build((32, 32, 3), 3).layers)  # nothing to fuse
    rows = [row(step) for step in steps(recipe, model)]
    assert [one.name for one in rows] == ["prune", "cluster", "qat"]
    assert rows[-1].layers == rows[-1].of_layers > 8
    assert rows[-1].left == []
    assert 0 < rows[0].weights < rows[0].of_weights
    assert "logits" in str(rows[1].left)


def test_check_graph_shows_each_stage_without_the_pictures(tiny: Path, call: Call) -> None:
    text = tiny.read_text().replace(
        "synthetic: {count: 120, number_of_classes: 3, side: 40}", "directory: {path: away}"
    )
    tiny.write_text(text)
    assert "away does not exist" in complaint(call("check", tiny))
    shown = call("check", tiny, "--graph")
    assert shown.exit_code == 0
    assert "Counted with 1000 classes." in shown.stderr
    lines = shown.stdout.splitlines()
    assert (
        lines[1] == "prune  5 of 9 layers, 33,696 of 34,056 weights (98.9%), 73,920 multiply-adds"
    )
    assert lines[2].startswith("       without stem_conv, block1_spatial_depthwise, ")
    assert lines[3].startswith("qat    9 of 9 layers, 34,056 of 34,056 weights (100.0%)")
    found = as_json(call("check", tiny, "--graph", "--json"))
    assert [stage["layers"] for stage in found["stages"]] == [5, 9]
    assert load("models", "tiny")().key in found["model"]


def test_check_graph_ends_with_two_where_a_stage_cannot_keep_its_promise(
    tiny: Path, call: Call
) -> None:
    told = complaint(call("check", tiny, "--graph", "--set", "compress.prune.sparsity=0.99"))
    assert "compress.prune.sparsity: 0.99 cannot be reached" in told
    assert call("check", tiny, "--set", "compress.prune.sparsity=0.99").exit_code == 0
    files = "--set=export=[{int8: {float_layers: [stem_con]}}]"
    assert "export.int8.float_layers: " in complaint(call("check", tiny, "--graph", files))


@pytest.mark.parametrize("half", ["block2_expand_conv_rank", "block3_expand_conv_rank"])
def test_halves_that_pictures_decide_on_cannot_be_named(half: str, tiny: Path) -> None:
    """Names by the untrained network were lost after the fit, and those by the trained refused."""
    whole = half.removesuffix("_rank")
    told = "{} may fit no layer: pictures decide whether compress.factorize leaves {}."

    def changed(rule: str, stage: str = "prune", mode: str = "int8") -> list[str]:
        stages = f"[{{factorize: {{{rule}}}}}, {stage}]"
        return ["model.tiny.width=16", f"compress={stages}", f"export=[{mode}]"]

    for rule, place, stage, mode in (
        ("keep: 0.75", "compress.prune.exclude", f"prune: {{exclude: [{half}]}}", "int8"),
        ("energy: 0.9", "compress.qat.exclude", f"qat: {{exclude: [{half}]}}", "int8"),
        ("keep: 0.75", "export.int8.float_layers", "prune", f"int8: {{float_layers: [{half}]}}"),
    ):
        with pytest.raises(UserError) as caught:
            planning.lint(tiny, changed(rule, stage, mode))
        assert caught.value.problem == f"{place}: " + told.format(repr(half), half)
        assert caught.value.hint.endswith(f"such as `{whole}*`.")
    for pattern in (f"{whole}*", "*_rank"):
        planning.lint(
            tiny, changed("keep: 0.75", f"prune: {{sparsity: 0.1, exclude: ['{pattern}']}}")
        )
    planning.lint(
        tiny, changed(f"ranks: {{{whole}: 8}}", f"prune: {{sparsity: 0.1, exclude: [{half}]}}")
    )


def used_twice(layer: Any, first: str = "conv") -> Any:
    """A layer that two convolutions share."""

    def body(image: Any) -> Any:
        return LAYERS.Concatenate()([layer(conv(image, first)), layer(conv(image, "other"))])

    return network(body)


def inside(image: Any) -> Any:
    """A network as a layer, frozen, as one that was trained on other pictures is."""
    inner = keras.Sequential([LAYERS.Conv2D(4, 3), LAYERS.ReLU()], name="inner")
    inner.trainable = False
    return inner(conv(image))


FLAT = [Prune(), Cluster(centroids=4), Factorize(), Channels()]


@pytest.mark.parametrize("stage", FLAT, ids=lambda stage: stage.key)
def test_a_network_as_a_layer_is_refused_before_a_run(stage: Any) -> None:
    with pytest.raises(UserError) as caught:
        stage.plan(network(inside), None)
    assert caught.value.problem == (
        f"compress.{stage.key}: layer inner is a network of its own, whose layers the stage does "
        "not see."
    )
    assert caught.value.hint == (
        "Build the network of the layers of inner themselves, or leave the stage out."
    )


@pytest.mark.parametrize("stage", FLAT, ids=lambda stage: stage.key)
def test_a_network_without_kernels_may_be_a_layer(stage: Any) -> None:
    flips = keras.Sequential([LAYERS.ReLU(), LAYERS.ZeroPadding2D()], name="inner")

    def body(image: Any) -> Any:
        return LAYERS.Conv2D(64, 3, name="b")(LAYERS.Conv2D(64, 3, name="a")(flips(image)))

    stage = stage.model_copy(update={"keep": 0.9} if "keep" in type(stage).model_fields else {})
    assert "b" in stage.covers(network(body), stage.plan(network(body), None))


@pytest.mark.parametrize("kind", [LAYERS.ReLU, LAYERS.BatchNormalization])
def test_channels_refuses_a_layer_that_is_used_twice(kind: Any) -> None:
    with pytest.raises(UserError) as caught:
        Channels().plan(used_twice(kind(name="again")), None)
    assert caught.value.problem == (
        "compress.channels: layer again is used 2 times, and the stage needs a layer for each use."
    )
    assert caught.value.hint.startswith("Build the network with a layer for each use, or leave")


def test_a_norm_that_is_used_twice_is_named() -> None:
    found = lint.refused(used_twice(LAYERS.BatchNormalization(name="again")))
    assert found == {"again": "(BatchNormalization that is used 2 times)"}
