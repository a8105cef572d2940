"""The phases of a run, one after another: finished ones are read, others trained."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from tflite_light import files
from tflite_light.compress import Plan, Stage
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.graph.statistics import LAG, LOOKED, held, lag, norms
from tflite_light.graph.statistics import measure as measure_norms
from tflite_light.graph.trainable import as_before
from tflite_light.pipeline.batches import steps_per_epoch
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.pipeline.reading import look_again
from tflite_light.progress import say
from tflite_light.runs import chain
from tflite_light.runs.delivery import accuracy_as
from tflite_light.runs.folder import Run
from tflite_light.runs.phases import epochs_around, phase_of
from tflite_light.runs.teacher import Teacher
from tflite_light.stack import keras
from tflite_light.training import distribution
from tflite_light.training.display import Display
from tflite_light.training.history import Row
from tflite_light.training.judge import Judge
from tflite_light.training.phase import train_phase


def trained(run: Run, data: Data, teacher: Teacher | None) -> Iterator[tuple[str, Any, float]]:
    """Name, model and training seconds of each phase: finished ones are read, others trained."""
    per_epoch = steps_per_epoch(data.train, run.recipe.training.batch_size)
    model = chain.build(run.recipe, data.classes)
    _begin(run, model, data.classes)
    for phase in run.phases:
        stage = run.stages.get(phase)
        begun, done = distribution.agreed([run.begun(phase), run.weights_path(phase).exists()])
        if stage and not begun and distribution.writes():
            files.write_json(run.plan_path(phase), _plan(run, stage, model, data))
        distribution.agreed(phase)  # now the plan is there
        chain.require_own(run, phase)
        wrapped = model if stage is None else chain.wrap(run, stage, model, per_epoch)
        if done:
            model = wrapped if stage is None else stage.strip(wrapped)
            yield phase, model, chain.load_weights(run, phase, model).get("seconds", 0.0)
            continue
        with as_before(model):
            if run.recipe.training.freeze:
                for norm in norms(model):
                    norm.trainable = False  # as the phase will, for a stage that looks
            if stage and not begun:
                stage.prepare(wrapped, model, run.read_plan(phase), data.train)
            fixed = held(model if run.recipe.training.freeze else wrapped)
        history = _fit(run, phase, model, wrapped, data, teacher)
        model = wrapped if stage is None else stage.strip(wrapped)
        if stage is None or stage.yields == "float":
            _catch_up(phase, model, data.train, fixed)
        seconds = sum(row["seconds"] for row in history)
        if distribution.writes():
            note = {"seconds": seconds, **chain.facts(run, phase)}
            checkpoint.write(run.weights_path(phase), checkpoint.weights_of(model), note)
            run.places(phase).state.unlink(missing_ok=True)
        yield phase, model, seconds
    distribution.leave()


def _plan(run: Run, stage: Stage, model: Any, data: Data) -> Plan:
    """Raises UserError where what the stages before have left, by the pictures, is not what they
    would have left of the untrained network, which was checked."""
    try:
        return chain.plan(run.recipe, stage, model, data)
    except UserError as error:
        if not error.problem.startswith("compress."):  # a picture that is gone, say
            raise
        again = "Then train anew: a run keeps its recipe."
        raise UserError(error.problem, f"{error.hint} {again}") from error


def _catch_up(phase: str, model: Any, examples: Examples, fixed: Collection[str]) -> None:
    """Measure batch norms that a training has left behind, a short one or by a high momentum: their
    statistics are a moving average, and answers by them can be chance where the training's own
    were right. Those that the network itself holds `fixed` stay."""
    if lag(model, examples.inputs(examples.sample(LOOKED)), fixed) > LAG:
        say(f"{phase}: batch norms lag behind the weights: their statistics are measured anew")
        measure_norms(model, examples.inputs(examples.sample(LOOKED)), fixed)


def _fit(
    run: Run, phase: str, model: Any, wrapped: Any, data: Data, teacher: Teacher | None
) -> list[Row]:
    """Train `wrapped`, which a phase has made of `model`, in place; the phase's history."""
    stage = run.stages.get(phase)
    per_epoch = steps_per_epoch(data.train, run.recipe.training.batch_size)
    trainee = chain.to_train(run, phase, model, wrapped, per_epoch)
    with Display(phase, *epochs_around(run, phase)) as display:
        history = train_phase(
            trainee,
            replace(
                phase_of(run, phase, len(data.train), teacher),
                callbacks=_callbacks(run, stage, trainee, wrapped, data)
                if stage
                else [_second_look(run, phase, data)],
                facts=chain.facts(run, phase),
                precision=chain.precision(run, phase),
                jit_compile=stage is None
                and distribution.jit_compiles(run.recipe.training, run.epochs(phase) * per_epoch),
            ),
            run.recipe,
            data,
            run.places(phase),
            display,
        )
    if trainee is not wrapped:
        wrapped.set_weights(trainee.get_weights())
    return history


def _begin(run: Run, model: Any, classes: list[str]) -> None:
    """Give a run that has not begun the recipe's weights."""
    if run.recipe.weights and not run.begun(run.phases[0]):
        for remark in run.recipe.weights.load(model, run.recipe.model, classes):
            say(remark)


def _second_look(run: Run, phase: str, data: Data) -> Any:
    """At the end of the run's first epoch: before its first step it would cost as long as test."""

    def look(epoch: int, logs: Any) -> None:
        if (phase, epoch) == (run.phases[0], 0) and distribution.writes():
            look_again(data)

    return keras.callbacks.LambdaCallback(on_epoch_end=look)


def _callbacks(run: Run, stage: Stage, trainee: Any, wrapped: Any, data: Data) -> list[Any]:
    """The stage's own; and a judge of each epoch's file, where one is made of what it leaves."""
    callbacks = stage.callbacks(trainee, run.read_plan(stage.key))
    modes = [mode for mode in run.recipe.export if mode.accepts_qat_model]

    def accuracy(model: Any) -> float:
        if model is not wrapped:
            wrapped.set_weights(model.get_weights())  # which all workers read together
        found = accuracy_as(modes, wrapped, data) if distribution.writes() else 0.0
        return float(distribution.agreed(found))

    if stage.yields == "quantised" and modes:
        callbacks.append(Judge(accuracy))
    return callbacks
