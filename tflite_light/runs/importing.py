"""A recipe without `train`: its network is built, given weights from elsewhere, and exported."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tflite_light import files
from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.graph.build import build
from tflite_light.measure.accuracy import Measured, answers
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.examples import Data, read
from tflite_light.pipeline.pictures import SPLITS, UNKNOWN, Pictures, Split
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs.delivery import deliver
from tflite_light.sockets import load as load_part
from tflite_light.wording import some

PHOTOGRAPHS = 32  # of the package's own, where the recipe has no data: enough to compare answers on


def export(
    path: str | Path,
    changes: Sequence[str] = (),
    modes: Sequence[str] = (),
    out: str | Path | None = None,
) -> dict[Path, Measured]:
    """Write the files of the recipe `path`, named after it, into `out`; their rows.

    Raises UserError where the recipe trains, its weights do not fit, or its data has other classes.
    """
    recipe = recipes.load(path, changes)
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
    path, out = Path(path), Path(out)
    files.require_writable(out)
    chosen = recipe.modes(modes)
    blind = [mode.key for mode in chosen if mode.needs_pictures and not recipe.data]
    if blind:
        raise UserError(
            f"{blind[0]} needs pictures to set its ranges by.",
            f"Give {path} some, such as `data: {{pictures: {{path: FOLDER}}}}`, or export "
            "`--float32` alone.",
        )
    labels = recipe.class_names()
    data = Data(labels, **read(_parts(recipe, labels), recipe.image))
    model = build(recipe.model, recipe.image.size, len(labels), recipe.seed)
    _load_weights(recipe, model, None if recipe.classes else labels)
    logits = answers(KerasModel(model), data.test)
    return {
        (file := out / f"{path.stem}_{mode.key}.tflite"): deliver(
            mode, model, logits, data, [], file
        )
        for mode in chosen
    }


def _parts(recipe: Recipe, labels: list[str]) -> dict[Split, Pictures]:
    """The recipe's pictures, labelled by the import's classes; else some without any label."""
    if not recipe.data:
        photographs = load_part("data", "sign_digits")().split("test")
        chosen = range(0, len(photographs), -(-len(photographs) // PHOTOGRAPHS))
        names = [photographs.names[index] for index in chosen]
        those = Pictures(names, [UNKNOWN] * len(names), lambda i: photographs.read(chosen[i]))
        return {"train": Pictures([], [], those.read), "val": those, "test": those}
    classes = recipe.data.classes()
    strange = sorted(set(classes) - set(labels))
    if strange:
        raise UserError(
            f"{recipe.data.where} has classes that are not among the {len(labels)} labels: "
            f"{some(strange)}.",
            f"The labels are {some(labels)}. Give `labels:` a file that has them all.",
        )
    places = {UNKNOWN: UNKNOWN} | {n: labels.index(name) for n, name in enumerate(classes)}
    parts = {name: recipe.data.split(name) for name in SPLITS}
    without = [name for name in ("train", "test") if not parts[name].names]
    if without:
        count = sum(len(part.names) for part in parts.values())
        raise UserError(
            f"{recipe.data.where} has too few pictures: of its {count}, none fell to {without[0]}, "
            "by their content.",
            "Twenty or more are enough.",
        )
    return {
        name: replace(part, labels=[places[label] for label in part.labels])
        for name, part in parts.items()
    }


def _load_weights(recipe: Recipe, model: object, labels: list[str] | None) -> None:
    """`labels` are None where the recipe gives their number alone."""
    if not recipe.weights:
        say("no weights: they are drawn from the seed, so that only size and speed mean anything")
        return
    if problem := recipe.weights.misfit(recipe.image):
        raise UserError(f"{problem}.", "Write theirs under `image:`.")
    for remark in recipe.weights.load(model, recipe.model, labels, whole=True):
        say(remark)
