"""The only call of `model.fit`: one phase of a run, checkpointed each epoch, resumable."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tflite_light.graph.trainable import as_before
from tflite_light.graph.uses import is_norm
from tflite_light.models import classifier
from tflite_light.pipeline.batches import (
    evaluation,
    evaluation_steps,
    picture_errors,
    steps_per_epoch,
    training,
)
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.made import Both, Made, Outliers
from tflite_light.recipe import Recipe
from tflite_light.recipe.train import Schedule
from tflite_light.stack import keras, tf
from tflite_light.training import distribution
from tflite_light.training.history import Row
from tflite_light.training.journal import Journal
from tflite_light.training.noise import Noise
from tflite_light.training.objective import Objective
from tflite_light.training.optimizer import Rate, fall, optimizer
from tflite_light.training.places import Places


@dataclass(frozen=True)
class Phase:
    """What differs between fitting a network and training it on inside a stage."""

    name: str
    objective: Objective
    epochs: int
    learning_rate: float
    warmup_epochs: float = 0
    average: float = 0
    patience: int | None = None
    schedule: Schedule = "cosine"
    classifier_only: bool = False
    callbacks: list[Any] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # JSON that goes into the state's note
    precision: str = "float32"  # a Keras policy; what the model's layers compute in
    jit_compile: bool = False


def train_phase(
    model: Any, phase: Phase, recipe: Recipe, data: Data, places: Places, display: Any
) -> list[Row]:
    """Train `model` in place, on from the phase's state if there is one.

    `display` is a Keras callback that shows progress. Returns the phase's history, a row an epoch.
    """
    with as_before(model):
        return _train(model, phase, recipe, data, places, display)


def _train(
    model: Any, phase: Phase, recipe: Recipe, data: Data, places: Places, display: Any
) -> list[Row]:
    seed = recipe.seed + sum(phase.name.encode())  # phases must not see the same order
    keras.utils.set_random_seed(seed)
    settings = recipe.training
    steps = steps_per_epoch(data.train, settings.batch_size)
    if settings.freeze:
        _freeze(model, phase.classifier_only)
    _set_batch_norm_momentum(model, settings.batch_norm_momentum, steps)
    with distribution.strategy().scope():
        learner = phase.objective.learner(model)
        _compile(learner, phase, recipe, steps)
    journal = Journal(learner, phase.name, phase.average, phase.patience, places, phase.facts)
    todo = range(len(journal.history), len(journal.history) if journal.stopped else phase.epochs)
    if todo:
        with picture_errors():
            learner.fit(
                distribution.feed(lambda: _batches(phase, recipe, data, seed, todo)),
                steps_per_epoch=steps,
                initial_epoch=todo.start,
                epochs=todo.stop,
                validation_data=distribution.feed(lambda: _validation(phase, data)),
                validation_steps=_validation_steps(data),
                callbacks=[*phase.callbacks, Noise(seed), *_tensorboard(places), journal, display],
                verbose=0,
            )
    journal.finish()
    return journal.history


def _batches(phase: Phase, recipe: Recipe, data: Data, seed: int, epochs: range) -> Any:
    size, shares = recipe.training.batch_size, distribution.shares()
    given = data.train, len(data.classes), size, recipe.augment, seed, epochs, shares
    batches = phase.objective.labelled(training(*given, _outliers(recipe, data)))
    return _weighed(batches, data) if recipe.training.class_weights else batches


def _outliers(recipe: Recipe, data: Data) -> Outliers | None:
    given, made = data.outliers.get("train"), Made(recipe.image.size)
    if not recipe.training.made_outliers:
        return given
    return Both(given, made) if given else made


def _validation(phase: Phase, data: Data) -> Any:
    batches = evaluation(data.val, len(data.classes), shares=distribution.shares())
    return phase.objective.validated(batches)


def _validation_steps(data: Data) -> int | None:
    """Keras asks for them where devices share the pictures. Told of them, it does not read on to
    the end, without which nothing stays cached."""
    shares = distribution.shares()
    return None if distribution.alone() else evaluation_steps(data.val, shares)


def _freeze(model: Any, classifier_only: bool) -> None:
    """All but the classifier, or batch norm alone, which Keras then runs in inference mode."""
    last = classifier(model)
    for layer in model.layers:
        if classifier_only and layer.name not in last:
            layer.trainable = False
    for layer in model.submodules:  # those inside wrappers, too
        if is_norm(layer):
            layer.trainable = False


def _compile(model: Any, phase: Phase, recipe: Recipe, steps: int) -> None:
    chosen = optimizer(recipe.training, rate(phase, steps))
    if phase.precision == "mixed_float16":  # whose gradients would vanish
        chosen = keras.mixed_precision.LossScaleOptimizer(chosen)
    model.compile(
        optimizer=chosen,
        loss=phase.objective.loss(),
        metrics=[phase.objective.accuracy()],
        jit_compile=phase.jit_compile,
    )
    model.optimizer.build(model.trainable_variables)


def rate(phase: Phase, steps: int) -> Any:
    """The rate of each step of a phase, of which `steps` are an epoch."""
    warmup = int(phase.warmup_epochs * steps)
    falling = max(1, phase.epochs * steps - warmup)
    if phase.schedule != "cosine":
        return Rate(phase.learning_rate, warmup, fall(phase.schedule, falling, steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else phase.learning_rate,
        decay_steps=falling,
        warmup_target=phase.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def _set_batch_norm_momentum(model: Any, momentum: float | None, steps: int) -> None:
    """By default the statistics look back over a fifth of an epoch, within 10 to 100 steps.

    Keras' own 0.99 and MobileNet's 0.999 lag for many epochs of a few dozen steps.
    """
    for layer in model.submodules:
        if is_norm(layer):
            layer.momentum = momentum or min(0.99, max(0.9, 1 - 5 / steps))


def _weighed(batches: Any, data: Data) -> Any:
    """Each picture has the weight of its class, a mixture those of its classes by their shares;
    Keras' own `class_weight` is for one device and knows no shares."""
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    weights = [len(data.train) / (len(counts) * int(count)) for count in counts]
    table = tf.constant(weights, tf.float32)

    def weigh(inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
        shares = targets[:, : len(weights)]  # behind them: a teacher's answers, marks of outliers
        strange = 1 - tf.reduce_sum(shares, axis=1)  # which is of no class, and weighs 1
        return inputs, targets, tf.reduce_sum(shares * table, axis=1) + strange

    return batches.map(weigh)


def _tensorboard(places: Places) -> list[Any]:
    if not distribution.writes():
        return []
    return [keras.callbacks.TensorBoard(str(places.tensorboard), write_graph=False)]
