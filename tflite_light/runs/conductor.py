"""The conductor: fit -> stages -> export -> measure, in a run folder from which it can go on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tflite_light.graph import checkpoint
from tflite_light import files
from tflite_light.compress import Stage
from tflite_light.pipeline.batches import steps_per_epoch
from tflite_light.pipeline.examples import Data, read
from tflite_light.runs.delivery import deliver
from tflite_light.errors import UserError
from tflite_light.graph.build import build
from tflite_light.measure.accuracy import Measured, answers, measure, measure_file
from tflite_light.export import Mode
from tflite_light.runs.folder import CLASSIFIER_PHASE, Run, create, require_finished
from tflite_light.training.journal import state_path
from tflite_light.measure.predict import open_file
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.training.display import Display
from tflite_light.recipe import Recipe
from tflite_light.sockets import names
from tflite_light.training.phase import Phase, train_phase

WARMUP = 0.5  # epochs; a fresh optimizer's first steps at the full rate undo a stage's start


def start(recipe: Recipe, name: str, runs: Path) -> tuple[Run, list[Measured]]:
    """A new run of a recipe in a folder of its own below `runs`, trained to the end."""
    data = recipe.source.load(recipe.image)
    check(recipe, len(data.classes))
    run = create(recipe, name, runs)
    return run, train(run, data)


def resume(run: Run) -> tuple[Run, list[Measured]]:
    """What is still to be done of a run."""
    return run, train(run, run.recipe.source.load(run.recipe.image))


def check(recipe: Recipe, classes: int) -> None:
    """Raises UserError where a stage cannot keep its promise, before a run is begun for it."""
    model = _build(recipe, classes)
    if recipe.weights:
        recipe.weights.load(model, recipe.model)
    for stage in recipe.compress:
        stage.check(model)


def train(run: Run, data: Data) -> list[Measured]:
    """Do what is still to be done of a run; the rows of its report."""
    counts = f"{len(data.train)} train, {len(data.val)} val, {len(data.test)} test pictures"
    say(f"{run.folder}: {counts}")
    started = time.monotonic()
    rows: list[Measured] = []
    logits: dict[str, Floats] = {}
    models: dict[str, Any] = {}
    for phase, model, seconds in _trained(run, data):
        say(f"{phase}: measuring on {len(data.test)} test pictures")
        row, logits[phase] = measure(phase, KerasModel(model), data.test)
        row.seconds, models[phase] = seconds, model
        rows.append(row)
    for mode in run.recipe.export:
        phase = source_phase(run, mode)
        path = run.export_path(mode.key)
        rows.append(deliver(mode, models[phase], logits[phase], data, run.promised_zeros, path))
    metrics = {
        "pictures": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "promised_zeros": run.promised_zeros,
        "seconds": time.monotonic() - started,
        "rows": [row.to_json() for row in rows],
    }
    files.write_json(run.folder / "metrics.json", metrics)
    return rows


def export(run: Run, modes: list[str], out: Path | None) -> dict[Path, Measured]:
    """Files of a finished run, of the modes named or its recipe's. Raises UserError on others."""
    require_finished(run)
    files.require_writable(out or run.folder)
    chosen = run.recipe.modes(modes)
    data = run.recipe.source.load(run.recipe.image)
    models = dict(zip(run.phases, _models(run, len(data.classes)), strict=True))
    logits = {
        phase: answers(KerasModel(models[phase]), data.test)
        for phase in {source_phase(run, m) for m in chosen}
    }
    rows = {}
    for mode in chosen:
        phase, path = source_phase(run, mode), run.export_path(mode.key, out)
        rows[path] = deliver(mode, models[phase], logits[phase], data, run.promised_zeros, path)
    return rows


def evaluate(run: Run) -> list[Measured]:
    """Every Keras model and every exported file of a finished run, on the same test pictures."""
    require_finished(run)
    source = run.recipe.source
    test = read({"test": source.split("test")}, run.recipe.image)["test"]
    models = _models(run, len(source.classes()))
    rows, logits = [], {}
    for phase, model in zip(run.phases, models, strict=True):
        row, logits[phase] = measure(phase, KerasModel(model), test)
        rows.append(row)
    written = sorted((run.folder / "exports").glob("*.tflite"))
    for path in (path for path in written if path.stem in names("export")):
        (mode,) = run.recipe.modes([path.stem])
        predictor, agreed = open_file(path)
        if agreed.image != run.recipe.image:
            raise UserError(
                f"{path} takes other pictures than image: of {run.folder / 'recipe.yaml'} says. "
                "Was it changed? Restore it, or train anew."
            )
        reference = logits[source_phase(run, mode)]
        rows.append(measure_file(path.stem, path.read_bytes(), predictor, test, reference))
    return rows


def source_phase(run: Run, mode: Mode) -> str:
    """The phase whose model a mode converts: the last, or the last before `qat`."""
    return next(phase for phase in reversed(run.phases) if mode.takes_quantised or phase != "qat")


def _trained(run: Run, data: Data) -> Iterator[tuple[str, Any, float]]:
    """Name, model and training seconds of each phase: finished ones are read, others trained."""
    settings = run.recipe.training
    steps = steps_per_epoch(data.train, settings.batch_size)
    model = _build(run.recipe, len(data.classes))
    _begin(run, model)
    for phase in run.phases:
        stage = run.stages.get(phase)
        wrapped = model if stage is None else _wrap(run, stage, model, steps)
        if run.weights_path(phase).exists():
            model = wrapped if stage is None else stage.strip(wrapped)
            note = _load_weights(run, phase, model)
            yield phase, model, note["seconds"]
            continue
        if stage and not state_path(run.folder, phase).exists():
            stage.prepare(wrapped, data.train)
        history = train_phase(
            wrapped, _phase(run, phase), run.recipe, data, run.folder, Display(phase)
        )
        model = wrapped if stage is None else stage.strip(wrapped)
        seconds = sum(row["seconds"] for row in history)
        note = {
            "seconds": seconds,
            "model": {run.recipe.model.key: run.recipe.model.model_dump(mode="json")},
            "classes": data.classes,
        }
        checkpoint.write(run.weights_path(phase), checkpoint.weights_of(model), note)
        state_path(run.folder, phase).unlink(missing_ok=True)
        yield phase, model, seconds


def _begin(run: Run, model: Any) -> None:
    """Give a run that has not begun the recipe's weights."""
    first = run.phases[0]
    begun = run.weights_path(first).exists() or state_path(run.folder, first).exists()
    if run.recipe.weights and not begun:
        for remark in run.recipe.weights.load(model, run.recipe.model):
            say(remark)


def _phase(run: Run, phase: str) -> Phase:
    stage = run.stages.get(phase)
    if stage:
        return Phase(phase, stage.epochs, stage.learning_rate, WARMUP, callbacks=stage.callbacks())
    settings, freeze = run.recipe.training, run.recipe.training.freeze
    if freeze and phase == CLASSIFIER_PHASE:
        return Phase(phase, freeze.epochs, freeze.learning_rate, WARMUP, classifier_only=True)
    return Phase(
        phase,
        settings.epochs,
        settings.learning_rate,
        settings.warmup_epochs,
        settings.average,
        settings.patience,
        settings.schedule,
    )


def _models(run: Run, classes: int) -> list[Any]:
    """The model as each phase left it."""
    models: list[Any] = []
    for phase in run.phases:
        stage = run.stages.get(phase)
        models.append(
            stage.strip(_wrap(run, stage, models[-1], steps=1))
            if stage
            else _build(run.recipe, classes)
        )
        _load_weights(run, phase, models[-1])
    return models


def _build(recipe: Recipe, classes: int) -> Any:
    return build(recipe.model, recipe.image.size, classes, recipe.seed)


def _wrap(run: Run, stage: Stage, model: Any, steps: int) -> Any:
    before = run.recipe.compress[: run.recipe.compress.index(stage)]
    return stage.wrap(model, steps * stage.epochs, before)


def _load_weights(run: Run, phase: str, model: Any) -> dict[str, Any]:
    arrays, note = checkpoint.read(run.weights_path(phase))
    checkpoint.set_weights(model, arrays, run.weights_path(phase))
    return note
