"""The conductor: fit -> stages -> export -> measure, in a run folder from which it can go on."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tflite_light import files, interrupts
from tflite_light.compress import Stage
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.measure.accuracy import Measured, measure
from tflite_light.pipeline.apart import require_apart
from tflite_light.pipeline.batches import steps_per_epoch
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs import chain
from tflite_light.runs.delivery import accuracy_as, deliver
from tflite_light.runs.finding import create
from tflite_light.runs.folder import CLASSIFIER_PHASE, Run
from tflite_light.runs.phases import measure_phase
from tflite_light.runs.planning import steps
from tflite_light.runs.teacher import ROW, Teacher, open_teacher
from tflite_light.training.display import Display
from tflite_light.training.distillation import Distillation
from tflite_light.training.judge import Judge
from tflite_light.training.objective import CrossEntropy, Objective
from tflite_light.training.phase import Phase, train_phase

WARMUP = 0.5  # epochs; a fresh optimizer's first steps at the full rate undo a stage's start


def start(recipe: Recipe, name: str = "", runs: str | Path = "runs") -> tuple[Run, list[Measured]]:
    """A new run of a recipe in a folder of its own below `runs`, trained to the end.

    It is named after its network, unless `name` is given; the rows are the report's.
    """
    if not recipe.train:
        raise UserError("the recipe has no train:, so it is an import.", "Add `train: {}`.")
    data = recipe.source.load(recipe.image)
    require_apart(recipe.source.where, data.parts)
    check(recipe, data)
    teacher = open_teacher(recipe, data.classes)
    digest = teacher.digest if teacher else None
    run = create(recipe, name or recipe.model.key, Path(runs), data.parts, digest)
    with run.locked():
        return run, _train(run, data, teacher)


def resume(run: Run, data: str | Path | None = None) -> tuple[Run, list[Measured]]:
    """What is still to be done of a run; its pictures lie at `data` where they were moved."""
    with run.locked():
        recipe = run.recipe_at(data)
        run.require_same_data(recipe)
        teacher = open_teacher(recipe, run.classes)
        run.require_same_teacher(teacher.digest if teacher else None)
        pictures = recipe.source.load(recipe.image)
        run.require_same_contents(pictures.parts)
        return run, _train(run, pictures, teacher)


def check(recipe: Recipe, data: Data) -> None:
    """Raises UserError where a stage or a mode cannot keep its promise, before a run is begun.

    Each stage plans for the untrained model that the stages before it leave.
    """
    model = chain.build(recipe, data.classes)
    if recipe.weights:
        recipe.weights.load(model, recipe.model, data.classes)
        if problem := recipe.weights.misfit(recipe.image):
            say(f"{problem}: training has to make up for that")
    for step in steps(recipe, model):
        model = step.model if step.stage.yields == "quantised" else step.result
    for mode in recipe.export:
        mode.require_known(model)


def _train(run: Run, data: Data, teacher: Teacher | None) -> list[Measured]:
    """Do what is still to be done of a run; the rows of its report."""
    interrupts.go_on_with(f"tflite-light train {run.folder} --resume")
    counts = f"{len(data.train)} train, {len(data.val)} val, {len(data.test)} test pictures"
    say(f"{run.folder}: {counts}")
    started = time.monotonic()
    rows: list[Measured] = []
    logits: dict[str, Floats] = {}
    models: dict[str, Any] = {}
    if teacher:
        say(f"teacher {teacher.path}: measuring on {len(data.test)} test pictures")
        rows.append(measure(ROW, teacher, data.test)[0])
    for phase, model, seconds in _trained(run, data, teacher):
        row, logits[phase] = measure_phase(run, phase, model, data.val, data.test, rows)
        row.seconds, models[phase] = seconds, model
        rows.append(row)
    for mode in run.recipe.export:
        phase, path = chain.source_phase(run, mode), run.export_path(mode.stem)
        made = mode, models[phase], logits[phase], data, chain.promises(run), path
        rows.append(deliver(*made, run.recipe.license))
    metrics = {
        "pictures": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "promises": {promise.name: promise.figure for promise in chain.promises(run)},
        "seconds": time.monotonic() - started,
        "rows": [row.to_json() for row in rows],
    }
    files.write_json(run.metrics_path, metrics)
    return rows


def _trained(run: Run, data: Data, teacher: Teacher | None) -> Iterator[tuple[str, Any, float]]:
    """Name, model and training seconds of each phase: finished ones are read, others trained."""
    per_epoch = steps_per_epoch(data.train, run.recipe.training.batch_size)
    model = chain.build(run.recipe, data.classes)
    _begin(run, model, data.classes)
    for phase in run.phases:
        stage = run.stages.get(phase)
        if stage and not run.begun(phase):
            files.write_json(run.plan_path(phase), chain.plan(run.recipe, stage, model, data))
        chain.require_own(run, phase)
        wrapped = model if stage is None else chain.wrap(run, stage, model, per_epoch)
        if run.weights_path(phase).exists():
            model = wrapped if stage is None else stage.strip(wrapped)
            yield phase, model, chain.load_weights(run, phase, model).get("seconds", 0.0)
            continue
        if stage and not run.begun(phase):
            stage.prepare(wrapped, model, run.read_plan(phase), data.train)
        with Display(phase, *epochs_around(run, phase)) as display:
            history = train_phase(
                wrapped,
                replace(
                    _phase(run, phase, teacher),
                    callbacks=_callbacks(run, stage, wrapped, data) if stage else [],
                    facts=chain.facts(run, phase),
                ),
                run.recipe,
                data,
                run.places(phase),
                display,
            )
        model = wrapped if stage is None else stage.strip(wrapped)
        seconds = sum(row["seconds"] for row in history)
        note = {"seconds": seconds, **chain.facts(run, phase)}
        checkpoint.write(run.weights_path(phase), checkpoint.weights_of(model), note)
        run.places(phase).state.unlink(missing_ok=True)
        yield phase, model, seconds


def _begin(run: Run, model: Any, classes: list[str]) -> None:
    """Give a run that has not begun the recipe's weights."""
    if run.recipe.weights and not run.begun(run.phases[0]):
        for remark in run.recipe.weights.load(model, run.recipe.model, classes):
            say(remark)


def _callbacks(run: Run, stage: Stage, wrapped: Any, data: Data) -> list[Any]:
    """The stage's own; and a judge of each epoch's file, where one is made of what it leaves."""
    callbacks = stage.callbacks(wrapped, run.read_plan(stage.key))
    modes = [mode for mode in run.recipe.export if mode.accepts_qat_model]
    if stage.yields == "quantised" and modes:
        callbacks.append(Judge(partial(accuracy_as, modes[0], data=data)))
    return callbacks


def _objective(recipe: Recipe, teacher: Teacher | None) -> Objective:
    smoothing = recipe.training.label_smoothing
    if recipe.distil and teacher:
        return Distillation(teacher, recipe.distil, smoothing)
    return CrossEntropy(smoothing)


def _phase(run: Run, phase: str, teacher: Teacher | None = None) -> Phase:
    stage, settings = run.stages.get(phase), run.recipe.training
    loss, freeze = _objective(run.recipe, teacher), settings.freeze
    if stage:
        return Phase(phase, loss, stage.epochs, stage.learning_rate, WARMUP)
    if freeze and phase == CLASSIFIER_PHASE:
        rates = freeze.epochs, freeze.learning_rate, WARMUP
        return Phase(phase, loss, *rates, classifier_only=True)
    return Phase(
        phase,
        loss,
        settings.epochs,
        settings.learning_rate,
        settings.warmup_epochs,
        settings.average,
        settings.patience,
        settings.schedule,
    )


def epochs_around(run: Run, phase: str) -> tuple[float, float]:
    """Epochs of the phases before and after one, in time that one of its own takes."""

    def cost(name: str) -> float:
        return run.stages[name].epoch_cost if name in run.stages else 1.0

    costs = [_phase(run, name).epochs * cost(name) / cost(phase) for name in run.phases]
    position = run.phases.index(phase)
    return sum(costs[:position]), sum(costs[position + 1 :])
