"""The rate of each step and what weight decay does, against figures worked out by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflite_light.recipe.train import Schedule, Stairs, Train
from tflite_light.stack import keras, tf
from tflite_light.training.journal import Journal
from tflite_light.training.objective import CrossEntropy
from tflite_light.training.optimizer import Rate, optimizer
from tflite_light.training.phase import Phase, rate
from tflite_light.training.places import Places

STEPS = 100  # in an epoch; 10 epochs, the first of them warm-up


def rates(schedule: Schedule, warmup_epochs: float = 1) -> Any:
    return rate(Phase("fit", CrossEntropy(), 10, 0.5, warmup_epochs, schedule=schedule), STEPS)


FALLS: dict[str, tuple[Schedule, float, float, float]] = {  # halfway after the warm-up, last, end
    "cosine": ("cosine", 0.25, 0.25 * (1 + math.cos(math.pi * 899 / 900)), 0.0),
    "linear": ("linear", 0.25, 0.5 / 900, 0.0),
    "stairs": (
        Stairs(factor=0.9, every_epochs=1.5),
        0.5 * 0.9**3,  # 4.5 epochs after the warm-up: the third stair begins
        0.5 * 0.9**5,
        0.5 * 0.9**6,
    ),
}


@pytest.mark.parametrize("name", FALLS)
def test_the_rate_rises_in_a_line_and_falls_as_the_schedule_says(name: str) -> None:
    schedule, half, last, end = FALLS[name]
    found = [float(rates(schedule)(step)) for step in (0, 50, 100, 550, 999, 1000)]
    assert found == pytest.approx([0, 0.25, 0.5, half, last, end], rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", FALLS)
def test_without_warmup_the_first_step_has_the_highest_rate(name: str) -> None:
    assert float(rates(FALLS[name][0], warmup_epochs=0)(0)) == 0.5


def test_stairs_are_flat_between_their_edges() -> None:
    stairs = rates(Stairs(factor=0.94, every_epochs=2), warmup_epochs=0)
    found = [float(stairs(step)) for step in (199, 200, 399, 400)]
    assert found == pytest.approx([0.5, 0.47, 0.47, 0.4418])


def step(settings: Train, weight: float, gradients: list[float], name: str = "kernel") -> float:
    """The weight after a step for each gradient, at a rate of 0.1."""
    variable = tf.Variable(weight, name=name)
    chosen = optimizer(settings, Rate(0.1, 0, lambda step: tf.ones_like(step)))
    chosen.build([variable])
    for gradient in gradients:
        chosen.apply_gradients([(tf.constant(gradient), variable)])
    return float(variable)


def settings(**fields: Any) -> Train:
    return Train.model_validate({"weight_decay": 0.5, **fields})


def test_sgd_puts_weight_decay_into_the_gradient_and_so_into_its_momentum() -> None:
    # gradients with decay: 1 + 0.5 x 2 = 2, then 1 + 0.5 x 1.8 = 1.9; momentum -0.2, then -0.37
    assert step(settings(optimizer="sgd"), 2.0, [1.0]) == pytest.approx(1.8)
    assert step(settings(optimizer="sgd"), 2.0, [1.0, 1.0]) == pytest.approx(1.43)


def test_nesterov_looks_ahead() -> None:
    # 0.9 x momentum - rate x gradient = 0.9 x -0.2 - 0.2
    assert step(settings(optimizer="nesterov"), 2.0, [1.0]) == pytest.approx(1.62)


def test_rmsprop_scales_the_gradient_together_with_its_decay() -> None:
    # mean square 0.1 x 2^2 = 0.4; 0.1 x 2 / sqrt(0.4 + 1)
    expected = 2 - 0.2 / math.sqrt(1.4)
    assert step(settings(optimizer="rmsprop"), 2.0, [1.0]) == pytest.approx(expected)


def test_adamw_takes_weight_decay_off_beside_its_step() -> None:
    # the weight shrinks by 0.1 x 0.5 of itself, and Adam's first step is the rate
    assert step(settings(optimizer="adamw"), 2.0, [1.0]) == pytest.approx(1.9 - 0.1, abs=1e-5)


@pytest.mark.parametrize("chosen", ["adamw", "sgd", "nesterov", "rmsprop"])
@pytest.mark.parametrize(
    "name", ["stem_conv/bias", "stem_norm/beta", "stem_norm/gamma", "stem_conv/bias/replica_1"]
)
def test_biases_and_norms_do_not_decay(chosen: str, name: str) -> None:
    assert step(settings(optimizer=chosen), 2.0, [0.0], name) == 2.0


@pytest.mark.parametrize("chosen", ["adamw", "sgd", "nesterov", "rmsprop"])
def test_depthwise_kernels_decay_unless_spared(chosen: str) -> None:
    for name in ("spatial/depthwise_kernel", "spatial/depthwise_kernel/replica_12"):
        assert step(settings(optimizer=chosen), 2.0, [0.0], name) < 2.0
        assert step(settings(optimizer=chosen, decay_depthwise=False), 2.0, [0.0], name) == 2.0
    pointwise = "block1_expand_conv/kernel"
    assert step(settings(optimizer=chosen, decay_depthwise=False), 2.0, [0.0], pointwise) < 2.0


@pytest.mark.parametrize("name", ["unbiased_conv/kernel", "depthwise_block/pointwise_kernel"])
def test_what_is_not_decayed_goes_by_the_variable_not_by_its_layer(name: str) -> None:
    assert step(settings(decay_depthwise=False), 2.0, [0.0], name) < 2.0


def test_coupled_decay_is_the_gradient_of_an_l2_loss() -> None:
    """A step of SGD on loss + 0.25 x sum of squares, against one with weight_decay 0.5."""
    start = np.array([1.0, -2.0, 3.0], np.float32)
    plain, decayed = tf.Variable(start, name="kernel"), tf.Variable(start, name="kernel")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(plain)) + 0.25 * tf.reduce_sum(plain**2)
    reference = keras.optimizers.SGD(0.1, momentum=0.9)
    reference.apply_gradients([(tape.gradient(loss, plain), plain)])
    chosen = optimizer(settings(optimizer="sgd"), Rate(0.1, 0, lambda step: tf.ones_like(step)))
    chosen.apply_gradients([(tf.cos(tf.constant(start)), decayed)])
    assert np.allclose(decayed.numpy(), plain.numpy(), atol=1e-7)


def test_the_average_counts_steps_whatever_the_length_of_an_epoch(tmp_path: Path) -> None:
    """It is moved every 16 steps and at each epoch's end, by as many steps as have passed."""
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(4,), name="dense")])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    places = Places(tmp_path / "state.npz", tmp_path / "history.csv", tmp_path / "board")
    steps, validated = [], []

    class Seen(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            steps.append(model.get_weights()[0])

        def on_test_begin(self, logs: Any = None) -> None:
            validated.append(model.get_weights()[0])

    journal = Journal(model, "fit", 0.9, None, places, {})
    random = np.random.default_rng(0)
    inputs, answers = random.normal(size=(20, 4)), random.normal(size=(20, 1))
    held = {"validation_data": (inputs, answers), "verbose": 0, "batch_size": 1, "epochs": 2}
    model.fit(inputs, answers, callbacks=[journal, Seen()], **held)
    average, expected, before = steps[15], [], 16
    for step in (16, 20, 36, 40):
        keep = min(0.9, (1 + step) / (10 + step)) ** (step - before)
        average, before = keep * average + (1 - keep) * steps[step - 1], step
        if step % 20 == 0:
            expected.append(average)
    assert np.abs(np.subtract(validated, expected)).max() < 1e-5
    journal.finish()
    assert np.array_equal(model.get_weights()[0], validated[-1])
