"""Every architecture is its paper's network, and fit for QAT, int8 and phones."""

import functools
import gc
from typing import Any, get_args

import numpy as np
import pytest
from conftest import ROOT, networks
from pydantic import ValidationError

from tflite_light.cost.inspection import network_of
from tflite_light.export.float32 import Float32
from tflite_light.models import Architecture
from tflite_light.models._blocks import make_divisible
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.sockets import load
from tflite_light.stack import keras, tf
from tflite_light.tflite.file import File

MODELS = networks()
SLOW = pytest.mark.slow


def model_of(name: str) -> Architecture:
    made: Architecture = load("models", name)()
    return made


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


def drawn(architecture: Architecture, size: int, classes: int) -> Any:
    """A model whose counts matter, not its weights."""
    with keras.utils.custom_object_scope({"glorot_uniform": keras.initializers.Zeros}):
        return architecture.build((size, size, 3), classes)


def require_counts(
    architecture: Architecture, size: int, parameters: int | None, cost: int | None
) -> None:
    keras.backend.clear_session()
    model = drawn(architecture, size, 1000)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert parameters in (None, trained)
    assert cost in (None, multiply_adds(model))


def counts_of(name: str) -> list[Any]:
    """Each variant and size with its reference's counts; one of the smallest is fast."""
    rows = {
        (row.variant, size): (row.fields, size, row.parameters, row.multiply_adds.get(size))
        for row in load("models", name).published()
        for size in row.multiply_adds or [row.size]
    }
    ordered = sorted(rows, key=lambda key: (rows[key][2] or 0, key[1]))
    return [
        pytest.param(name, *rows[key], id=f"{name} {key[0]} {key[1]}", marks=SLOW if place else ())
        for place, key in enumerate(ordered)
    ]


@pytest.mark.parametrize(
    ("name", "fields", "size", "parameters", "cost"),
    [row for name in MODELS for row in counts_of(name)],
)
def test_the_network_has_its_reference_s_counts(
    name: str, fields: dict[str, Any], size: int, parameters: int | None, cost: int | None
) -> None:
    require_counts(load("models", name)(**fields), size, parameters, cost)


@pytest.mark.parametrize("name", MODELS)
def test_the_page_of_networks_has_the_references_counts(name: str) -> None:
    """It is written from the networks as they are built."""
    page = (ROOT / "docs" / "networks.md").read_text()
    section = page.partition(f"## {name}\n")[2].partition("## ")[0]
    for row in load("models", name).published():
        if row.parameters:
            assert f"| {row.variant} | {row.size} | {row.parameters:,} | " in section
        if cost := row.multiply_adds.get(row.size):
            assert f"| {row.size} | {row.parameters:,} | {cost:,} | " in section


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "alpha", "parameters", "cost"),
    [
        (8, 1.5, 4_268_952, 290_188_800),
        (8, 2.0, 6_521_232, 521_942_016),
        (2, 1.5, 3_271_312, None),
        (4, 1.5, 3_573_032, None),
    ],
)
def test_shufflenet_v1_counts_where_the_paper_has_no_accuracy(
    groups: int, alpha: float, parameters: int, cost: int | None
) -> None:
    architecture = load("models", "shufflenet_v1")(groups=groups, alpha=alpha)
    require_counts(architecture, 224, parameters, cost)


@pytest.mark.parametrize(
    ("alpha", "total"),
    [
        pytest.param(1.4, 6_156_712, marks=SLOW),
        pytest.param(1.3, 5_431_048, marks=SLOW),
        pytest.param(1.0, 3_538_984, marks=SLOW),
        pytest.param(0.75, 2_663_064, marks=SLOW),
        pytest.param(0.5, 1_987_224, marks=SLOW),
        (0.35, 1_691_208),
    ],
)
def test_mobilenet_v2_has_the_total_that_keras_publishes(alpha: float, total: int) -> None:
    """With the moving statistics."""
    rows = [row for row in MobileNetV2.published() if row.fields == {"alpha": alpha}]
    model = drawn(MobileNetV2(alpha=alpha), 32, 1000)
    moving = sum(int(np.prod(weight.shape)) for weight in model.non_trainable_weights)
    assert model.count_params() == total
    assert {row.parameters for row in rows} == {total - moving}


def variants(name: str) -> list[Architecture]:
    """One of each `variant`, for architectures that have such a field."""
    field = load("models", name).model_fields.get("variant")
    choices = get_args(field.annotation) if field else ()
    return [load("models", name)(variant=one) for one in choices] or [model_of(name)]


@functools.cache
def small(name: str) -> Any:
    """For 32-pixel pictures of three classes; the tests that only look at it share it."""
    keras.utils.set_random_seed(0)
    return model_of(name).build((32, 32, 3), 3)


@pytest.mark.parametrize(
    "architecture",
    [one for name in MODELS for one in variants(name)],
    ids=lambda one: f"{one.key} {getattr(one, 'variant', '')}".strip(),
)
def test_the_references_names_cover_every_layer_with_weights(architecture: Architecture) -> None:
    if not (references := architecture.references()):
        return
    own = architecture == model_of(architecture.key)
    model = small(architecture.key) if own else drawn(architecture, 32, 3)
    layers = {layer.name for layer in model.layers if layer.weights}
    for names_there in references.values():
        assert layers <= names_there.keys()


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = small(name)
    images = tf.random.stateless_normal((4, 32, 32, 3), seed=(1, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            model(images, training=True) * tf.random.stateless_normal((4, 3), seed=(3, 4))
        )
    for gradient in tape.gradient(loss, model.trainable_weights):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0


@pytest.mark.parametrize("name", MODELS)
def test_graph_is_flat_named_and_within_rank_four(name: str) -> None:
    model = small(name)
    assert model.output_shape == (None, 3)
    assert "softmax" not in str(model.get_config()).lower()  # logits
    for layer in model.layers:
        assert not isinstance(layer, keras.Model)
        assert len(layer.output.shape) <= 4
        assert "conv2d" not in layer.name  # no layer was left with Keras' own name


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("size", "classes"),
    [(45, 11), pytest.param(32, 2, marks=SLOW), pytest.param(224, 1000, marks=SLOW)],
)
def test_every_size_converts_with_static_shapes(name: str, size: int, classes: int) -> None:
    model = model_of(name).build((size, size, 3), classes)
    graph = File(Float32().convert(model, None))._model.subgraphs[0]  # type: ignore[arg-type]
    assert list(graph.tensors[graph.inputs[0]].shape) == [1, size, size, 3]
    assert list(graph.tensors[graph.outputs[0]].shape) == [1, classes]
    assert all(tensor.shapeSignature is None for tensor in graph.tensors)


def test_make_divisible_never_loses_more_than_a_tenth() -> None:
    rounded = [make_divisible(value) for value in (1, 8, 11.2, 12, 18.9, 22, 33.6)]
    assert rounded == [8, 8, 16, 16, 24, 24, 32]
    assert all(make_divisible(value) >= 0.9 * value for value in range(1, 2000))


@functools.cache
def widths(name: str) -> list[Architecture]:
    """The published variants of an architecture, fewest parameters first."""
    part: Any = load("models", name)
    fields = {str(row.fields): part(**row.fields) for row in part.published()}
    costs = {key: network_of(one, 64, 1000).parameters for key, one in fields.items()}
    return [fields[key] for key in sorted(fields, key=costs.__getitem__)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("size", "classes"), [(32, 2), (320, 1000)])
@pytest.mark.parametrize("which", [0, -1], ids=["smallest", "largest"])
def test_the_smallest_and_the_largest_variant_fit_a_delegate(
    name: str, size: int, classes: int, which: int
) -> None:
    architecture = widths(name)[which]
    keras.backend.clear_session()
    gc.collect()  # dozens of networks are 19 GB
    model = architecture.build((size, size, 3), classes)
    file = File(Float32().convert(model, None))  # type: ignore[arg-type]
    graph = file._model.subgraphs[0]
    shapes = [[] if tensor.shape is None else list(tensor.shape) for tensor in graph.tensors]
    assert max(len(shape) for shape in shapes) <= 4
    assert min(side for shape in shapes for side in shape) >= 1
    assert all(tensor.shapeSignature is None for tensor in graph.tensors)
    assert shapes[graph.inputs[0]] == [1, size, size, 3]
    assert shapes[graph.outputs[0]] == [1, classes]
    assert not {"CUSTOM", "FLEX", "GATHER_ND"} & {op for op, _ in file.operators}


@pytest.mark.parametrize(
    "name", [name for name in MODELS if "alpha" in load("models", name).model_fields]
)
@pytest.mark.parametrize(
    "alpha", [0.1, pytest.param(0.37, marks=SLOW), pytest.param(2.0, marks=SLOW)]
)
def test_other_widths_build_or_the_nearest_is_named(name: str, alpha: float) -> None:
    """Some have widths by a table alone."""
    try:
        architecture = load("models", name)(alpha=alpha)
    except ValidationError as error:
        assert "the nearest is " in str(error)  # noqa: PT017
        return
    model = drawn(architecture, 32, 2)
    assert model.output_shape == (None, 2)
    assert all(min(weight.shape) > 0 for weight in model.weights)


def test_a_width_that_is_not_in_a_table_is_refused_with_the_nearest() -> None:
    for alpha in (0.1, 0.37):
        with pytest.raises(ValidationError, match=r"the nearest is 0\.5"):
            load("models", "shufflenet_v2")(alpha=alpha)
    assert load("models", "shufflenet_v2")(alpha=2.0).alpha == 2.0
