"""Weight sharing: few values a kernel, assigned so that layers answer as before."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_every_stage import pictures, plan

from tflite_light.compress._centroids import shared as sharing
from tflite_light.compress.cluster import Cluster
from tflite_light.errors import UserError
from tflite_light.graph.abreast import abreast
from tflite_light.graph.copied import copied
from tflite_light.graph.in_turn import in_turn
from tflite_light.stack import keras

SIZE = 32


def network() -> Any:
    """A bias, a group, a stride, a batch norm and neither of them, with weights as they begin."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    keras.backend.reset_uids()  # the first values of a layer are drawn by its name
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(16, 3, 2, "same", activation="relu")(image)
    x = layers.Conv2D(32, 3, groups=2, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(24, 1, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(8, use_bias=False)(x))


def shared(stage: Cluster, model: Any) -> tuple[Any, Any]:
    """With the nearest values, and with those that are assigned by pictures."""
    decided = plan(stage, model, [])
    near, assigned = (stage.wrap(model, decided, 1) for _ in range(2))
    stage.prepare(assigned, model, decided, pictures(SIZE))
    return near, assigned


def pruned(model: Any) -> None:
    """Two thirds of each kernel's weights set to zero, in place."""
    for layer in model.layers:
        if (kernel := getattr(layer, "kernel", None)) is not None:
            values = kernel.numpy()
            kernel.assign(np.where(np.abs(values) > np.quantile(np.abs(values), 2 / 3), values, 0))


def distance(model: Any, other: Any) -> float:
    """The logits', squared, as a share of their variance."""
    images = np.concatenate(list(pictures(SIZE).inputs(range(70))))
    answers = model(images).numpy()
    return float(np.sum((other(images) - answers) ** 2) / np.sum((answers - answers.mean(0)) ** 2))


def distinct(kernel: Any, per: str) -> int:
    rows = kernel.reshape(1, -1) if per == "tensor" else kernel.reshape(-1, kernel.shape[-1]).T
    return max(len(np.unique(row)) for row in rows)


@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_assigned_values_move_the_answers_less_than_the_nearest(per: Any) -> None:
    model = network()
    near, assigned = shared(Cluster(centroids=6, per=per), model)
    assert distance(model, assigned) < 0.05  # 0.02; of the nearest, 1.0 and 0.25
    assert distance(model, near) > 0.15


@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_zeros_stay_and_values_are_no_more_than_asked_for(per: Any) -> None:
    model = network()
    pruned(model)
    stage = Cluster(centroids=4, per=per)
    _, assigned = shared(stage, model)
    for name in plan(stage, model, [])["layers"]:
        before, kernel = (one.get_layer(name).kernel.numpy() for one in (model, assigned))
        assert np.array_equal(kernel == 0, before == 0)
        assert distinct(kernel, per) <= 4


def test_what_has_no_more_weights_than_values_stays_as_it_is() -> None:
    """After other stages channels may be narrow: [16, 3x3x3] here, [32, 3x3x8], [24, 32], [8, 24]."""
    model = network()
    stage = Cluster(centroids=27, per="channel")
    names = [layer.name for layer in model.layers if getattr(layer, "kernel", None) is not None]
    assert plan(stage, model, [])["layers"] == [names[1], names[2]]
    near, _ = shared(stage, model)
    for name in (names[0], names[3]):
        before, kernel = (one.get_layer(name).kernel.numpy() for one in (model, near))
        assert np.array_equal(kernel, before)


@pytest.mark.parametrize(
    ("per", "centroids", "problem"),
    [
        ("channel", 72, "72 are no fewer than the 72 weights of the largest output channel."),
        ("tensor", 2304, "2304 are no fewer than the 2304 weights of the largest kernel."),
    ],
)
def test_more_values_than_weights_are_refused(per: Any, centroids: int, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(Cluster(centroids=centroids, per=per), network(), [])
    assert caught.value.problem == f"compress.cluster.centroids: {problem}"


@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_training_that_goes_on_moves_the_groups_that_it_began_with(per: Any) -> None:
    """Not those of the nearest values, as a stage is wrapped again where it is gone on with."""
    model = network()
    stage = Cluster(centroids=6, per=per)
    near, assigned = shared(stage, model)
    (callback,) = stage.callbacks(near, plan(stage, model, []))
    near.set_weights(assigned.get_weights())  # as a checkpoint does
    callback.on_train_begin({})
    draw = np.random.default_rng(0)
    for variable in near.trainable_variables:
        variable.assign_add(draw.normal(0, 0.1, variable.shape))
    callback.on_train_batch_end(0, {})
    for name in plan(stage, model, [])["layers"]:
        began, found = (one.get_layer(name).kernel.numpy().ravel() for one in (assigned, near))
        values, groups = np.unique(began, return_inverse=True)
        spread = [np.ptp(found[groups == group]) for group in range(len(values))]
        assert max(spread) == 0, name


def left_out(values: Any, count: int, initial: str) -> float:
    """The squared error of a kernel's values, as a share of their squares."""
    off = sharing(values, count, initial, 0) - values
    return float(np.sum(off**2) / np.sum(values**2))


@given(seed=st.integers(0, 2**32 - 1), number=st.integers(4, 9), count=st.integers(1, 3))
def test_few_values_are_shared_as_well_as_can_be(seed: int, number: int, count: int) -> None:
    values = np.sort(np.random.default_rng(seed).standard_normal(number))
    cuts = itertools.combinations(range(1, number), count - 1)
    every = [sum(run.var() * run.size for run in np.split(values, cut)) for cut in cuts]
    assert left_out(values, count, "optimal") == pytest.approx(min(every) / np.sum(values**2))


@given(seed=st.integers(0, 2**32 - 1), number=st.integers(4, 9), count=st.integers(1, 3))
def test_values_are_shared_by_what_their_errors_cost(seed: int, number: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    values, costs = np.sort(draw.standard_normal(number)), draw.uniform(0.1, 9, number)
    pairs = np.stack([values, costs], axis=1)
    cuts = itertools.combinations(range(1, number), count - 1)
    every = [sum(map(_cost, np.split(pairs, cut))) for cut in cuts]
    found = sharing(values, count, "optimal", 0, costs)
    left = np.sum(costs * (found - values) ** 2)
    assert left == pytest.approx(min(every), rel=1e-6, abs=1e-9)


def _cost(run: Any) -> float:
    values, costs = run.T
    mean = np.sum(values * costs) / np.sum(costs)
    return float(np.sum(costs * (values - mean) ** 2))


@pytest.mark.parametrize("tails", [3, 30])
@pytest.mark.parametrize("number", [2_000, 200_000])
def test_optimal_values_lose_less_than_other_beginnings(tails: int, number: int) -> None:
    values = np.random.default_rng(0).standard_t(tails, number)
    best = left_out(values, 64, "optimal")
    for initial in ("k-means++", "linear", "density"):
        assert best < 0.99 * left_out(values, 64, initial), initial


def test_more_values_than_groups_are_begun_by_draws() -> None:
    """Groups of neighbours are too coarse for so many: they would lose twice as much."""
    values = np.random.default_rng(0).standard_t(3, 20_000)
    assert left_out(values, 300, "optimal") == left_out(values, 300, "k-means++")


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 5), inputs=st.integers(1, 6))
def test_unrelated_inputs_are_rounded_to_the_nearest_value(
    seed: int, rows: int, inputs: int
) -> None:
    draw = np.random.default_rng(seed)
    kernel, moments = draw.standard_normal((rows, inputs)), np.diag(draw.uniform(0.1, 1, inputs))
    filled = draw.random(kernel.shape) < 0.7
    values = np.sort(draw.standard_normal(4))
    nearest = values[np.abs(kernel[..., None] - values).argmin(-1)]
    found = in_turn(kernel @ moments, moments, filled, values[None])
    assert np.array_equal(found, np.where(filled, nearest, 0))


def test_two_equal_inputs_share_one_error() -> None:
    moments = np.ones((2, 2)) + 1e-6 * np.eye(2)
    found = in_turn(
        np.array([[0.4, 0.4]]) @ moments, moments, np.ones((1, 2), bool), np.eye(1, 2, 1)
    )
    assert sorted(found[0]) == [0, 1]


def several(kind: str) -> Any:
    """A convolution that is used twice, a network as a layer, or an operator with a constant."""
    layers, image = keras.layers, keras.Input((SIZE, SIZE, 3))
    keras.utils.set_random_seed(0)
    x = layers.Conv2D(16, 3, 2, "same", activation="relu", name="stem")(image)
    again = layers.Conv2D(16, 3, padding="same", activation="relu", name="again")
    if kind == "chained":
        x = layers.Add()([again(again(x)), x])
    if kind == "beside":
        x = layers.Add()([again(x), again(layers.ReLU()(-x))])
    if kind == "network":
        x = keras.Sequential([layers.ReLU(), layers.ZeroPadding2D()], name="inner")(x)
    if kind == "operator":
        x = x * 2.0 + 1.0
    if kind == "twice read":
        x = layers.Add()([x, x])
    if kind == "drawn":  # unless it is told that nothing is trained
        x = layers.RandomFlip()(x)
    x = layers.Conv2D(24, 3, activation="relu", name="last")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    "kind", ["chained", "beside", "network", "operator", "twice read", "drawn"]
)
def test_layers_are_given_what_they_read_in_the_network(kind: str) -> None:
    model = several(kind)
    images = next(pictures(SIZE).inputs(range(8)))
    seen = {}
    for layer, [(own, other)] in abreast(model, copied(model), [images]):
        seen[layer.name] = own
        assert np.array_equal(own, other)
    assert "again" not in seen  # no choice of values is right for all that it reads
    read = keras.Model(model.input, [model.get_layer(name).input for name in ("last", "logits")])
    expected_ = read(images, training=False)
    for name, expected in zip(("last", "logits"), expected_, strict=True):
        assert np.array_equal(seen[name], expected)


@pytest.mark.parametrize("kind", ["chained", "beside"])
def test_a_layer_that_is_used_twice_shares_values_as_others_do(kind: str) -> None:
    model = several(kind)
    near, assigned = shared(Cluster(centroids=6), model)
    assert distance(model, assigned) < distance(model, near)
    kernels = [one.get_layer("again").kernel.numpy() for one in (near, assigned)]
    assert np.array_equal(*kernels)
    assert distinct(kernels[0], "tensor") == 6
