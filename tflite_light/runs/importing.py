"""A recipe without `train`: its network is built, given weights from elsewhere, and exported."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tflite_light import files
from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.graph.build import build
from tflite_light.measure.accuracy import Measured, answers
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.pictures import SPLITS, UNKNOWN, Pictures, Split
from tflite_light.pipeline.reading import measurable, read_data
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs.delivery import Wanted, deliver_all, require_made
from tflite_light.runs.replacing import require_replaceable
from tflite_light.sockets import load as load_part
from tflite_light.wording import some

PHOTOGRAPHS = 32  # of the package's own, where the recipe has no data: enough to compare answers on


def export(
    path: str | Path,
    changes: str | Sequence[str] = (),
    modes: str | Sequence[str] = (),
    out: str | Path | None = None,
) -> dict[Path, Measured]:
    """Write the files of the recipe `path`, named after it, into `out`; their rows.

    Raises UserError where the recipe trains, its weights do not fit, or its data has other classes.
    """
    recipe = recipes.load(path, changes)
    chosen = recipe.modes(modes)
    out = _require_exportable(recipe, path, chosen, out)
    paths = {out / f"{Path(path).stem}_{mode.stem}.tflite": mode for mode in chosen}
    require_replaceable(paths)
    model, data = opened(recipe)
    for mode in chosen:
        mode.require_known(model)
    logits = answers(KerasModel(model), data.test)
    files_ = [Wanted(mode, model, logits, file) for file, mode in paths.items()]
    rows, unmade = deliver_all(files_, data, [], recipe.license)
    require_made(unmade, rows)
    return rows


def opened(recipe: Recipe) -> tuple[Any, Data]:
    """The model of an import, and its pictures."""
    labels = recipe.class_names()
    outliers = recipe.data.outlier_parts if recipe.data else {}
    data = measurable(read_data(labels, _parts(recipe, labels), outliers, recipe.image))
    return network(recipe, labels), data


def network(recipe: Recipe, labels: list[str]) -> Any:
    """The model of an import, with its weights. Raises UserError where they do not fit."""
    model = build(recipe.model, recipe.image.size, len(labels), recipe.seed)
    _load_weights(recipe, model, None if recipe.classes else labels)
    return model


def _require_exportable(
    recipe: Recipe, path: str | Path, modes: Sequence[Mode], out: str | Path | None
) -> Path:
    """The folder for the files. Raises UserError before anything is built that cannot be used."""
    if recipe.train:
        raise UserError(
            f"{path} has train:, and only a recipe without it is exported directly.",
            f"Train it first: `tflite-light train {path}`",
        )
    if not out:
        raise UserError(
            "missing option `--out`: the folder for the files.",
            f"`tflite-light export {path} --out FOLDER`",
        )
    files.require_writable(Path(out))
    blind = [mode.key for mode in modes if mode.needs_pictures and not recipe.data]
    if blind:
        raise UserError(
            f"{blind[0]} needs pictures to set its ranges by.",
            f"Give {path} some, such as `data: {{pictures: {{path: FOLDER}}}}`, or export "
            "`--float32` alone.",
        )
    return Path(out)


def _parts(recipe: Recipe, labels: list[str]) -> dict[Split, Pictures]:
    """The recipe's pictures, labelled by the import's classes; else photographs without a label."""
    if not recipe.data:
        return _photographs()
    classes, where = recipe.data.classes(), recipe.data.where
    strange = sorted(set(classes) - set(labels))
    if strange:
        raise UserError(
            f"{where} has classes that are not among the {len(labels)} labels: {some(strange)}.",
            f"The labels are {some(labels)}. Give `labels:` a file that has them all.",
        )
    parts = {name: recipe.data.split(name) for name in SPLITS}
    without = [name for name in ("train", "test") if not parts[name].names]
    if without:
        count = sum(len(part) for part in parts.values())
        raise UserError(
            f"{where} has too few pictures: of its {count}, none fell to {without[0]}, by their "
            "content.",
            "Twenty or more are enough.",
        )
    places = {UNKNOWN: UNKNOWN} | {n: labels.index(name) for n, name in enumerate(classes)}
    return {
        name: replace(part, labels=[places[label] for label in part.labels])
        for name, part in parts.items()
    }


def _photographs() -> dict[Split, Pictures]:
    """Some of the package's own, to compare answers on; none to calibrate by."""
    every = load_part("data", "sign_digits")().split("test")
    few = every.chosen(range(0, len(every), -(-len(every) // PHOTOGRAPHS)))
    unlabelled = replace(few, labels=[UNKNOWN] * len(few))
    return {"train": every.chosen([]), "val": unlabelled, "test": unlabelled}


def _load_weights(recipe: Recipe, model: object, labels: list[str] | None) -> None:
    """`labels` are None where the recipe gives their number alone."""
    if not recipe.weights and recipe.model.brings_weights:
        return
    if not recipe.weights:
        say("no weights: they are drawn from the seed, so that only size and speed mean anything")
        return
    if problem := recipe.weights.misfit(recipe.image, recipe.model):
        raise UserError(f"{problem}.", "Write theirs under `image:`.")
    for remark in recipe.weights.load(model, recipe.model, labels, whole=True):
        say(remark)
