"""Low rank: how much is lost by it, and what cannot be had."""

from typing import Any

import numpy as np
import pytest

from tflite_light.compress._directions import factors_of, inputs_of
from tflite_light.compress._ranks import WIDTH, _harm
from tflite_light.compress.factorize import Factorize
from tflite_light.contract import Image
from tflite_light.cost import of_model
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.graph.copied import copied
from tflite_light.graph.low_rank import Splittable
from tflite_light.graph.statistics import measure, standardise
from tflite_light.models.shufflenet_v1 import ShuffleNetV1
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Data
from tflite_light.stack import keras

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def data() -> Data:
    return Synthetic(count=120, side=32).load(Image(size=32))


@pytest.fixture
def model() -> Any:
    keras.utils.set_random_seed(0)
    return Tiny(width=16).build(SHAPE, 4)


def test_the_multiply_adds_of_the_plan_are_those_of_the_network(model: Any, data: Data) -> None:
    plan = Factorize(keep=0.8).plan(model, data)
    before, after = plan["multiply_adds"]
    halved = Factorize().wrap(model, plan, 1)
    assert before == of_model.network(model).multiply_adds
    assert after == of_model.network(halved).multiply_adds
    assert 0.75 < after / before <= 0.8


def test_harm_is_judged_with_batch_norms_measured_anew(model: Any, data: Data) -> None:
    """They make up for a third of what narrowing this layer does."""
    name = "block3_expand_conv"
    layers = {name: Splittable(model.get_layer(name))}
    factors = factors_of(layers, inputs_of(model, layers, data.train))
    harm = _harm(model, layers, factors, data.train)[name]
    first, second, lost = factors[name]
    rank = len(range(WIDTH, layers[name].most, WIDTH)) // 2 * WIDTH + WIDTH
    batch = np.concatenate(list(data.train.inputs(data.train.sample(256))))
    whole = standardise(model, [batch])
    narrow = copied(whole)
    narrow.get_layer(name).kernel.assign(layers[name].kernel(first[:, :rank] @ second[:rank]))
    stale = np.mean((narrow(batch) - whole(batch)) ** 2) / lost[rank]
    measure(narrow, [batch])
    anew = np.mean((narrow(batch) - whole(batch)) ** 2) / lost[rank]
    assert abs(harm / anew - 1) < 0.1 < abs(harm / stale - 1)


@pytest.mark.parametrize("keep", [0.9, 0.8, 0.7, 0.6])
def test_what_a_step_saved_beyond_the_budget_is_returned(keep: float) -> None:
    """A step to a low rank went far below it: 0.649 were left where 0.8 were asked for."""
    layers, image = keras.layers, keras.Input(SHAPE)
    keras.utils.set_random_seed(0)
    x = layers.Conv2D(16, 3, 2, "same")(image)
    for filters in (24, 16, 32):
        x = layers.Conv2D(filters, 3, padding="same")(x)
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    plan = Factorize(keep=keep).plan(model, None)
    before, after = plan["multiply_adds"]
    assert after <= keep * before
    for name, rank in plan["ranks"].items():
        one = Splittable(model.get_layer(name))
        wider = min(one.multiply_adds(rank + WIDTH), one.multiply_adds())
        assert after - one.multiply_adds(rank) + wider > keep * before


def test_a_kernel_of_low_rank_answers_alike_in_two_halves(model: Any, data: Data) -> None:
    layer, random = model.get_layer("block3_expand_conv"), np.random.default_rng(0)
    inputs, outputs = layer.kernel.shape[2:]
    product = random.standard_normal((inputs, 8)) @ random.standard_normal((8, outputs))
    layer.kernel.assign(product[None, None])
    plan = {"ranks": {layer.name: 8}}
    halved = Factorize().wrap(model, plan, 1)
    batch = next(data.train.inputs(range(8)))
    expected, answer = model(batch).numpy(), halved(batch).numpy()
    assert np.abs(answer - expected).max() < 1e-4 * np.abs(expected).max()


def test_grouped_convolutions_are_named_where_too_little_else_is_left() -> None:
    model = ShuffleNetV1().build(SHAPE, 4)
    with pytest.raises(
        UserError, match=r"grouped and excluded layers, which stay whole, are 0\.9"
    ) as error:
        Factorize(keep=0.9).plan(model, None)
    assert error.value.hint.startswith("Leave the stage out")


def test_energy_of_layers_that_no_rank_makes_cheaper_is_refused_before_a_run(model: Any) -> None:
    """It was refused after the whole fit."""
    for stage, network in (
        (Factorize(energy=0.9, exclude=["*"]), model),
        (Factorize(energy=0.9), Tiny(width=2).build(SHAPE, 4)),
    ):
        with pytest.raises(UserError) as error:
            stage.plan(network, None)
        assert error.value.problem == (
            "compress.factorize.energy: ranks of 8 or more make no layer cheaper; depthwise, "
            "grouped and excluded layers stay whole."
        )
        assert error.value.hint == "Leave the stage out, or exclude fewer layers."
    with pytest.raises(UserError, match=r"ranks\.again: no layer of this name") as error:
        Factorize(ranks={"again": 8}, exclude=["*"]).plan(model, None)
    assert error.value.hint == "There are none: leave the stage out."


def test_before_a_run_energy_works_on_all_that_can_become_cheaper(model: Any) -> None:
    """It was said to work on none of the layers."""
    stage = Factorize(energy=0.9, exclude=["block3_*"])
    assert stage.covers(model, stage.plan(model, None)) == [
        "block1_expand_conv",
        "block2_expand_conv",
        "last_project_conv",
    ]


def places() -> Any:
    """A dense layer at each place, and one layer that is used twice, at two sizes."""
    layers, image = keras.layers, keras.Input(SHAPE)
    x = layers.Conv2D(32, 3, 2, "same", name="stem")(image)
    again = layers.Conv2D(32, 3, 2, "same", activation="relu", name="again")
    x = layers.Dense(64, activation="relu", name="each")(again(again(x)))
    return keras.Model(image, layers.Dense(4, name="logits")(layers.Flatten()(x)))


def test_places_and_uses_are_counted_and_what_is_used_twice_stays(data: Data) -> None:
    model, stage = places(), Factorize(ranks={"each": 8})
    plan = stage.plan(model, data)
    stem, again, each, logits = 256 * 27 * 32, (64 + 16) * 288 * 32, 16 * 32 * 64, 1024 * 4
    before = stem + again + each + logits
    assert plan["multiply_adds"] == [before, before - each + 16 * 8 * (32 + 64)]
    wrapped = stage.wrap(model, plan, 1)
    stage.prepare(wrapped, model, plan, data.train)
    assert of_model.network(model).multiply_adds == before
    assert of_model.network(wrapped).multiply_adds == plan["multiply_adds"][1]
    assert wrapped.count_params() == model.count_params() - 32 * 64 + 8 * (32 + 64)
    with pytest.raises(UserError, match=r"ranks\.again: no layer of this name can be factorized"):
        Factorize(ranks={"again": 8}).plan(model, data)


def constrained() -> Any:
    """Kernels held by constraints, that begin with arrays, and a layer named as a half would be."""
    layers, held, image = keras.layers, keras.constraints, keras.Input(SHAPE)
    keras.utils.set_random_seed(0)
    first = keras.initializers.Constant(np.random.default_rng(0).random((3, 3, 16, 32)))
    unit = held.UnitNorm(axis=[0, 1, 2])
    x = layers.Conv2D(16, 3, 2, "same", activation="relu")(image)
    x = layers.Conv2D(32, 3, 1, "same", kernel_constraint=unit, name="b")(x)
    x = layers.Conv2D(16, 1, name="b_rank")(layers.ReLU(6, name="relu")(x))
    begun = {"kernel_constraint": held.NonNeg(), "kernel_initializer": first}
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(32, 3, name="c", **begun)(x))
    model = keras.Model(image, layers.Dense(4)(x))
    model.get_layer("b").kernel.assign(unit(model.get_layer("b").kernel))
    return model


def moved_by_a_step(model: Any, images: Any) -> float:
    """How far the answers of a training step that changes nothing are off, as a share of them."""
    before = model(images).numpy()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(images, before, verbose=0)
    return float(np.abs(model(images) - before).max() / np.abs(before).max())


def test_constraints_of_a_kernel_are_not_those_of_its_halves() -> None:
    """UnitNorm and NonNeg of both halves left nothing of the answers after the first step."""
    model, images = constrained(), np.random.default_rng(0).random((8, *SHAPE), np.float32)
    halved = Factorize().wrap(model, {"ranks": {"b": 24, "c": 24}}, 1)
    assert moved_by_a_step(halved, images) < 1e-5


def test_a_half_has_a_name_that_no_layer_has() -> None:
    """A layer that was called `b_rank` already was a traceback."""
    model = constrained()
    halved = Factorize().wrap(model, {"ranks": {"b": 48}}, 1)
    assert [layer.name for layer in halved.layers][2:6] == ["b_rank_", "b", "relu", "b_rank"]
    images = np.random.default_rng(0).random((8, *SHAPE), np.float32)
    assert np.abs(halved(images) - model(images)).max() < 1e-4 * np.abs(model(images)).max()
