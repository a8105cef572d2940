"""The conductor: fit -> stages -> export -> measure, in a run folder from which it can go on."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tflite_light import files, interrupts
from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, measure
from tflite_light.measure.balance import Balance
from tflite_light.measure.confidence import FEWEST
from tflite_light.models import classifier
from tflite_light.pipeline.apart import require_apart
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.preprocess import Floats
from tflite_light.pipeline.reading import measurable
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs import chain
from tflite_light.runs.delivery import deliver_all, require_made
from tflite_light.runs.finding import create, require_unfinished
from tflite_light.runs.folder import Run, open_run
from tflite_light.runs.measuring import measure_phase
from tflite_light.runs.planning import steps
from tflite_light.runs.teacher import ROW, Teacher, open_teacher
from tflite_light.runs.training import trained
from tflite_light.training import distribution


@distribution.together()
def start(
    recipe: Recipe | str | Path, name: str | None = None, runs: str | Path = "runs"
) -> tuple[Run, list[Measured]]:
    """A new run of a recipe in a folder of its own below `runs`, trained to the end.

    It is named after its network, unless `name` is given; the rows are the report's.
    """
    recipe = recipe if isinstance(recipe, Recipe) else recipes.load(recipe)
    if not recipe.train:
        raise UserError("the recipe has no train:, so it is an import.", "Add `train: {}`.")
    data = recipe.source.load(recipe.image)
    distribution.require_divisible(recipe.training.batch_size, len(data.train))
    require_apart(recipe.source.where, data.parts)
    check(recipe, data)
    teacher = open_teacher(recipe, data.classes)
    taught = teacher.digest if teacher else None
    folder, called = "", recipe.model.key if name is None else name
    if distribution.writes():
        begun = recipe.weights.digest(recipe.model) if recipe.weights else None
        run = create(recipe, called, Path(runs), data.parts, taught, begun)
        folder = str(run.folder.absolute())
    folder = distribution.agreed(folder)
    if not distribution.writes():
        run = _joined(folder, data)
    with _locked(run):
        interrupts.go_on_with(run.resume_command())
        return run, _train(run, data, teacher)


@distribution.together()
def resume(run: Run | str | Path, data: str | Path | None = None) -> tuple[Run, list[Measured]]:
    """What is still to be done of a run; its pictures lie at `data` where they were moved."""
    run = open_run(run)
    with _locked(run):
        require_unfinished(run)
        recipe = run.recipe_at(data)
        run.origin.require_same_data(recipe)
        teacher = open_teacher(recipe, run.classes)
        run.origin.require_same_teacher(teacher.digest if teacher else None, recipe)
        if not run.begun(run.phases[0]):
            run.origin.require_same_weights(recipe)
        pictures = recipe.source.load(recipe.image)
        distribution.require_divisible(recipe.training.batch_size, len(pictures.train))
        run.origin.require_same_contents(pictures.parts, recipe)
        if distribution.agreed(str(run.folder.absolute())) != str(run.folder.absolute()):
            raise UserError(
                f"the first worker goes on with another run than {run.folder}.",
                "Name the run's folder, the same on all workers.",
            )
        interrupts.go_on_with(run.resume_command(data))
        return run, _train(run, pictures, teacher)


def _joined(folder: str, data: Data) -> Run:
    """The run that the first worker has begun. Raises UserError where this one has other data."""
    if not os.path.exists(Path(folder) / "data.json"):
        raise UserError(
            f"this worker does not see {folder}, which the first one writes.",
            "Put `--runs` on storage that all workers share, under the same path.",
        )
    run = open_run(folder)
    run.origin.require_same_data(run.recipe)
    run.origin.require_same_contents(data.parts, run.recipe)
    run.origin.require_same_weights(run.recipe)
    return run


@contextlib.contextmanager
def _locked(run: Run) -> Iterator[None]:
    """Holds the run for the worker that writes; others are silent but for errors."""
    if distribution.writes():
        with run.locked():
            yield
    else:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield


def check(recipe: Recipe, data: Data) -> None:
    """Raises UserError where a stage or a mode cannot keep its promise, before a run is begun.

    Each stage plans for the untrained model that the stages before it leave.
    """
    model = chain.build(recipe, data.classes)
    if recipe.training.freeze and not classifier(model):
        raise UserError(
            "train.freeze: the network's logits are no single layer's that could be trained alone.",
            "Leave it out, or end the network in one dense layer.",
        )
    if recipe.weights:
        recipe.weights.load(model, recipe.model, data.classes)
        if problem := recipe.weights.misfit(recipe.image, recipe.model):
            say(f"{problem}: training has to make up for that")
    for _ in steps(recipe, model):
        pass


def _say_pictures(run: Run, data: Data) -> None:
    counts = f"{len(data.train)} train, {len(data.val)} val, {len(data.test)} test pictures"
    if data.outliers:
        beside = ", ".join(f"{len(part)} {name}" for name, part in data.outliers.items())
        counts += f"; {beside} outliers"
    if made := run.recipe.training.made_outliers:
        counts += "; made outliers"
    say(f"{run.folder}: {counts}")
    if (data.outliers or made) and len(data.val) < FEWEST:
        say(f"outliers will be answered as others: {FEWEST} val pictures set a threshold for them")


def _train(run: Run, data: Data, teacher: Teacher | None) -> list[Measured]:
    """Do what is still to be done of a run; the rows of its report."""
    if not distribution.writes():
        for _ in trained(run, data, teacher):
            pass
        return []
    seen = measurable(data)
    _say_pictures(run, seen)
    _say_uneven(run.recipe, data)
    rows: list[Measured] = []
    logits: dict[str, Floats] = {}
    models: dict[str, Any] = {}
    if teacher:
        say(f"teacher {teacher.path}: measuring on {len(seen.test)} test pictures")
        rows.append(measure(ROW, teacher, seen.test, data.classes)[0])
    for phase, model, seconds in trained(run, data, teacher):
        row, logits[phase] = measure_phase(run, phase, model, seen.val, seen.test, rows)
        row.seconds, models[phase] = seconds, model
        rows.append(row)
    made, unmade = deliver_all(
        chain.wanted(run, run.recipe.export, models, logits),
        seen,
        chain.promises(run),
        run.recipe.license,
    )
    rows += made.values()
    metrics = {
        "pictures": {"train": len(data.train), "val": len(seen.val), "test": len(seen.test)},
        "promises": {promise.name: promise.figure for promise in chain.promises(run)},
        "rows": [row.to_json() for row in rows],
    }
    files.write_json(run.metrics_path, metrics)
    folder = shlex.quote(str(run.folder))
    require_made(
        unmade,
        (run, rows),
        f"The run is finished without: see `tflite-light evaluate {folder}`; files of other kinds "
        f"come by `tflite-light export {folder} --float32`, for instance.",
    )
    return rows


def _say_uneven(recipe: Recipe, data: Data) -> None:
    """Say where some classes have far more pictures than others, and what there is for that."""
    balance = Balance.of(data.classes, data.train.labels)
    if balance.uneven:
        weigh = "" if recipe.training.class_weights else ", or set `train.class_weights: true`"
        say(f"{balance.sentence()}; look at balanced accuracy and at each class{weigh}")
