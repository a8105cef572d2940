"""The conductor: fit -> stages -> export -> measure, in a run folder from which it can go on."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tflite_light import files, interrupts
from tflite_light.compress import Plan, Stage
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.graph import checkpoint
from tflite_light.graph.build import build
from tflite_light.measure.accuracy import Measured, answers, measure, measure_file
from tflite_light.measure.predict import open_file
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.batches import steps_per_epoch
from tflite_light.pipeline.examples import Data, read
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs.delivery import deliver
from tflite_light.runs.finding import create
from tflite_light.runs.folder import CLASSIFIER_PHASE, Run, require_finished
from tflite_light.sockets import names
from tflite_light.tflite.promises import Promise
from tflite_light.training import distribution
from tflite_light.training.display import Display
from tflite_light.training.objective import CrossEntropy
from tflite_light.training.phase import Phase, train_phase

WARMUP = 0.5  # epochs; a fresh optimizer's first steps at the full rate undo a stage's start


def start(recipe: Recipe, name: str = "", runs: str | Path = "runs") -> tuple[Run, list[Measured]]:
    """A new run of a recipe in a folder of its own below `runs`, trained to the end.

    It is named after its network, unless `name` is given; the rows are the report's.
    """
    if not recipe.train:
        raise UserError("the recipe has no train:, so it is an import.", "Add `train: {}`.")
    data = recipe.source.load(recipe.image)
    check(recipe, data)
    run = create(recipe, name or recipe.model.key, Path(runs), data.parts)
    with run.locked():
        return run, _train(run, data)


def resume(run: Run, data: str | Path | None = None) -> tuple[Run, list[Measured]]:
    """What is still to be done of a run; its pictures lie at `data` where they were moved."""
    with run.locked():
        recipe = _moved(run, data)
        run.require_same_data(recipe)
        pictures = recipe.source.load(recipe.image)
        run.require_same_contents(pictures.parts)
        return run, _train(run, pictures)


def check(recipe: Recipe, data: Data) -> None:
    """Raises UserError where a stage cannot keep its promise, before a run is begun for it.

    Each stage plans for the untrained model that the stages before it leave.
    """
    model = _build(recipe, data.classes)
    if recipe.weights:
        recipe.weights.load(model, recipe.model, data.classes)
        if problem := recipe.weights.misfit(recipe.image):
            say(f"{problem}: training has to make up for that")
    for stage in recipe.compress:
        plan = _plan(recipe, stage, model, data)
        if stage is not recipe.compress[-1]:
            model = stage.strip(stage.wrap(model, plan, steps=1))


def export(
    run: Run,
    modes: Sequence[str] = (),
    out: str | Path | None = None,
    data: str | Path | None = None,
) -> dict[Path, Measured]:
    """Files of a finished run, of the modes named or its recipe's, and what was measured of each.

    `data` has pictures of the run's classes, to calibrate and measure on instead of the run's own.
    Raises UserError where the run or its data is not what it was when it was trained.
    """
    require_finished(run)
    out = Path(out) if out else None
    files.require_writable(out or run.folder)
    recipe = _moved(run, data)
    run.require_same_classes(recipe) if data else run.require_same_data(recipe)
    chosen = recipe.modes(modes)
    run.exported()  # a damaged metrics.json is refused before files are written
    pictures = recipe.source.load(recipe.image)
    if not data:
        run.require_same_contents(pictures.parts)
    models = dict(zip(run.phases, _models(run), strict=True))
    logits = {
        phase: answers(KerasModel(models[phase]), pictures.test)
        for phase in {source_phase(run, mode) for mode in chosen}
    }
    rows = {}
    with run.locked():
        for mode in chosen:
            phase, path = source_phase(run, mode), run.export_path(mode.key, out)
            promised = _promises(run)
            rows[path] = deliver(mode, models[phase], logits[phase], pictures, promised, path)
        if not out:
            run.write_rows(list(rows.values()))
    return rows


def evaluate(
    run: Run, data: str | Path | None = None, skip_strangers: bool = False
) -> list[Measured]:
    """Every Keras model and every exported file of a finished run, on the same test pictures.

    They are the run's own, which must be as they were, at `data` if they were moved; or those of
    other pictures at `data`, of the same classes.
    """
    require_finished(run)
    recipe = _moved(run, data, skip_strangers)
    run.require_same_classes(recipe) if data else run.require_same_data(recipe)
    others = data and not run.has_same_data(recipe)
    pictures = recipe.source.measured() if others else recipe.source.split("test")
    test = read({"test": pictures}, recipe.image)["test"]
    if not data:
        run.require_same_contents({"test": test})
    rows, logits, exported = [], {}, run.exported()
    for phase, model in zip(run.phases, _models(run), strict=True):
        row, logits[phase] = measure(phase, KerasModel(model), test)
        rows.append(row)
    for key in [key for key in names("export") if run.export_path(key).exists()]:
        path, (mode,) = run.export_path(key), recipe.modes([key])
        predictor, agreed = open_file(path)
        if agreed.image != recipe.image or agreed.labels != run.classes:
            raise UserError(
                f"{path} is not this run's: its contract has other pixels or labels.",
                f"Write it again with `tflite-light export {run.folder} --{key}`.",
            )
        network = agreed.flatbuffer and agreed.flatbuffer.sha256
        if key not in exported or exported[key] not in (None, network):
            raise UserError(
                f"{path} is not this run's: metrics.json records another network, or none.",
                f"Write it again with `tflite-light export {run.folder} --{key}`.",
            )
        reference = logits[source_phase(run, mode)]
        rows.append(measure_file(key, path.read_bytes(), predictor, test, reference))
    return rows


def source_phase(run: Run, mode: Mode) -> str:
    """The phase whose model a mode converts: the last that leaves a kind of model it accepts."""
    return next(
        phase
        for phase in reversed(run.phases)
        if phase not in run.stages or mode.accepts_qat_model or run.stages[phase].yields == "float"
    )


def _moved(run: Run, data: str | Path | None, skip_strangers: bool = False) -> Recipe:
    """The run's recipe, with its pictures at `data` where that is given."""
    if data is None:
        return run.recipe
    source = run.recipe.source.located(Path(data), skip_strangers)
    return run.recipe.model_copy(update={"data": source})


def _train(run: Run, data: Data) -> list[Measured]:
    """Do what is still to be done of a run; the rows of its report."""
    interrupts.go_on_with(f"tflite-light train {run.folder} --resume")
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
        phase, path = source_phase(run, mode), run.export_path(mode.key)
        rows.append(deliver(mode, models[phase], logits[phase], data, _promises(run), path))
    metrics = {
        "pictures": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "promises": {promise.name: promise.figure for promise in _promises(run)},
        "seconds": time.monotonic() - started,
        "rows": [row.to_json() for row in rows],
    }
    files.write_json(run.metrics_path, metrics)
    return rows


def _trained(run: Run, data: Data) -> Iterator[tuple[str, Any, float]]:
    """Name, model and training seconds of each phase: finished ones are read, others trained."""
    steps = steps_per_epoch(data.train, run.recipe.training.batch_size)
    model = _build(run.recipe, data.classes)
    _begin(run, model, data.classes)
    for phase in run.phases:
        stage = run.stages.get(phase)
        if stage and not run.begun(phase):
            files.write_json(run.plan_path(phase), _plan(run.recipe, stage, model, data))
        _require_own(run, phase)
        wrapped = model if stage is None else _wrap(run, stage, model, steps)
        if run.weights_path(phase).exists():
            model = wrapped if stage is None else stage.strip(wrapped)
            yield phase, model, _load_weights(run, phase, model).get("seconds", 0.0)
            continue
        if stage and not run.begun(phase):
            stage.prepare(wrapped, data.train)
        with Display(phase, *epochs_around(run, phase)) as display:
            history = train_phase(
                wrapped,
                replace(_phase(run, phase), facts=_facts(run, phase)),
                run.recipe,
                data,
                run.places(phase),
                display,
            )
        model = wrapped if stage is None else stage.strip(wrapped)
        seconds = sum(row["seconds"] for row in history)
        note = {"seconds": seconds, **_facts(run, phase)}
        checkpoint.write(run.weights_path(phase), checkpoint.weights_of(model), note)
        run.places(phase).state.unlink(missing_ok=True)
        yield phase, model, seconds


def _facts(run: Run, phase: str) -> dict[str, Any]:
    """What weights mean nothing without: the network, what it takes, what it answers; and what
    they came of, by which those of another run of the same network are told."""
    recipe = run.recipe
    return {
        "model": {recipe.model.key: recipe.model.model_dump(mode="json")},
        "image": recipe.image.model_dump(mode="json"),
        "classes": run.classes,
        "recipe": recipe.model_dump(mode="json"),
        "pictures": run.contents,
        "plan": run.read_plan(phase) if phase in run.stages else {},
    }


def _begin(run: Run, model: Any, classes: list[str]) -> None:
    """Give a run that has not begun the recipe's weights."""
    if run.recipe.weights and not run.begun(run.phases[0]):
        for remark in run.recipe.weights.load(model, run.recipe.model, classes):
            say(remark)


def _phase(run: Run, phase: str) -> Phase:
    stage, settings = run.stages.get(phase), run.recipe.training
    loss, freeze = CrossEntropy(settings.label_smoothing), settings.freeze
    if stage:
        rates = stage.epochs, stage.learning_rate, WARMUP
        return Phase(phase, loss, *rates, callbacks=stage.callbacks())
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


def _models(run: Run) -> list[Any]:
    """The model as each phase left it."""
    models: list[Any] = []
    for phase in run.phases:
        _require_own(run, phase)
        stage = run.stages.get(phase)
        models.append(
            stage.strip(_wrap(run, stage, models[-1], steps=1))
            if stage
            else _build(run.recipe, run.classes)
        )
        _load_weights(run, phase, models[-1])
    return models


def _require_own(run: Run, phase: str) -> None:
    """Raises UserError where what a phase has left on disk is of another run."""
    for path in (run.weights_path(phase), run.places(phase).state):
        if not path.exists():
            continue
        facts, note = _facts(run, phase), checkpoint.read_note(path)
        odd = [key for key in facts if note.get(key, facts[key]) != facts[key]]
        if odd:
            raise UserError(
                f"checkpoint {path} is of another run: its {' and '.join(odd)} "
                f"{'differs' if len(odd) == 1 else 'differ'} from "
                f"{'its plan.json' if odd == ['plan'] else 'recipe.yaml and data.json'}.",
                "Restore them, or train the recipe again.",
            )


def _build(recipe: Recipe, classes: list[str]) -> Any:
    with distribution.scope():
        return build(recipe.model, recipe.image.size, len(classes), recipe.seed)


def _plan(recipe: Recipe, stage: Stage, model: Any, data: Data) -> Plan:
    before = recipe.compress[: recipe.compress.index(stage)]
    return stage.plan(model, data) | {
        "kept": sorted({name for one in before for name in one.gives})
    }


def _wrap(run: Run, stage: Stage, model: Any, steps: int) -> Any:
    with distribution.scope():
        return stage.wrap(model, run.read_plan(stage.key), steps * stage.epochs)


def _promises(run: Run) -> list[Promise]:
    return [
        promise
        for key, stage in run.stages.items()
        for promise in stage.promises(run.read_plan(key))
    ]


def _load_weights(run: Run, phase: str, model: Any) -> dict[str, Any]:
    """Put a finished phase's weights into its model; the checkpoint's note."""
    arrays, note = checkpoint.read(run.weights_path(phase))
    checkpoint.set_weights(model, arrays, run.weights_path(phase))
    return note
