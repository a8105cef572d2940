"""Where an int8 file loses what its network knew, and which layers in float would bring it back."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tflite_light import files
from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.graph.naming import by_kernels
from tflite_light.graph.quantised import unquantised
from tflite_light.measure.accuracy import top1
from tflite_light.measure.losses import Loss, losses
from tflite_light.measure.matching import has_integers
from tflite_light.measure.runners import KerasModel, TFLiteModel
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.reading import measurable
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs import chain, importing
from tflite_light.runs.delivery import JUDGED
from tflite_light.runs.finding import owner
from tflite_light.runs.folder import open_run, require_finished
from tflite_light.sockets import load
from tflite_light.tflite import file as tflite
from tflite_light.tflite.editing import Editor

PICTURES = 64  # on which layers are compared
TRIES = 12
_CUT = 0.005  # of the values that an operator writes; other pictures have a few beyond its range


@dataclass(frozen=True)
class Explanation:
    """`layers`, in the file's order. `exempt` is what `float_layers` of its mode would be with the
    worst one, and `mode` all of the mode's fields then that are not default; None where the mode
    has no such field. `fixed` are layers in float that bring the file within reach of the float
    network, with each try's top-1; `recipe` is where they were written.
    """

    file: str
    layers: list[Loss]
    exempt: list[str] | int | None = None
    mode: dict[str, Any] | None = None
    float_top1: float | None = None
    fixed: dict[str, float] | None = None
    recipe: str | None = None

    @property
    def worst(self) -> list[Loss]:
        """Those first that add most."""
        return sorted(self.layers, key=lambda one: -one.added)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "worst": [one.layer for one in self.worst if one.added > 0]}


@dataclass(frozen=True)
class _Origin:
    """What a file was exported from: `source` is the network as its mode takes it."""

    recipe: Recipe
    mode: Mode
    source: Any
    data: Data

    @cached_property
    def model(self) -> Any:
        """The network in float: after qat its weights without its rounding."""
        return unquantised(self.source)

    @cached_property
    def converted(self) -> bytes:
        """The float file, to which each try is compared."""
        return self.mode.rounded_from(self.source, self.data.train)


def explain(
    path: str | Path,
    against: str | Path,
    changes: Sequence[str] = (),
    fix: float | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
) -> Explanation:
    """Run an integer file and the float network of a run, or of an import's recipe, on the same
    training pictures.

    With `fix`, try layers in float, those first that lose most, until top-1 is at most so many
    points below the float network's, and write the recipe that keeps them so to `out`. A run's
    pictures are at `data` if they were moved. Raises
    UserError where the file is of another network, or no tried layers suffice.
    """
    if fix is not None and not 0 <= fix <= 100:  # nor NaN, which no comparison would ever end
        raise UserError(f"fix is {fix:g}: no number of points, 0 to 100.", "Try 1, for instance.")
    path, against = Path(path), Path(against)
    content = tflite.read(path).content
    origin = _origin(path, against, changes, data)
    found = _explained(path, _losses(content, origin), origin.mode)
    if fix is None:
        return found
    return _fixed(found, origin, fix, Path(out) if out else fixed_path(path))


def _explained(path: Path, layers: list[Loss], mode: Any) -> Explanation:
    found = Explanation(str(path), layers)
    if mode.key != "int8":
        return found
    kept, more = mode.float_layers, found.worst[0].float_layers
    exempt = kept + len(more) if isinstance(kept, int) else [*kept, *more]
    fields = mode.model_dump(mode="json", exclude_defaults=True)
    return replace(found, exempt=exempt, mode={**fields, "float_layers": exempt})


def fixed_path(model: Path) -> Path:
    """Where the recipe of a model's fix goes where nobody says it."""
    return Path(f"{model.stem}_fixed.yaml")


def _origin(path: Path, against: Path, changes: Sequence[str], moved: str | Path | None) -> _Origin:
    if against.is_dir():
        if changes:
            raise UserError(
                f"`--set` changes a recipe, but {against} is a run.", "Leave out `--set`."
            )
        run = open_run(against)
        require_finished(run)
        _require_no_other_run(path, against)
        recipe = run.recipe_at(moved)
        run.origin.require_same_data(recipe)
        data = recipe.source.load(recipe.image)
        run.origin.require_same_contents(data.parts, recipe)
        mode = _mode(recipe, path)
        models = dict(zip(run.phases, chain.models(run), strict=True))
        source = models[chain.source_phase(run, mode)]
        return _Origin(recipe, mode, source, measurable(data))
    if moved:
        raise UserError("`--data` is of a run.", "Change the recipe's data by `--set`.")
    recipe = recipes.load(against, changes)
    if recipe.train and not (recipe.weights or recipe.model.brings_weights):
        raise UserError(
            f"{against} has no weights before it is trained, and {path} is compared with what it "
            "was exported from.",
            f"Give the run: `--against {_run_of(path)}`.",
        )
    model, data = importing.opened(recipe)
    return _Origin(recipe, _mode(recipe, path), model, data)


def _require_no_other_run(path: Path, against: Path) -> None:
    """Runs that began with the same weights have files that are much alike."""
    run = owner(path.resolve())
    if run and run.folder != against.resolve():
        raise UserError(
            f"{path} is a file of another run than {against}.",
            f"Give its own: `--against {_run_of(path)}`.",
        )


def _run_of(path: Path) -> str:
    """What to type for the run of a file."""
    run = owner(path.resolve())
    return shlex.quote(os.path.relpath(run.folder)) if run else "runs/NAME"


def _mode(recipe: Recipe, path: Path) -> Mode:
    """That a file was made by, as its name says; else plain int8."""
    every = [*recipe.modes(()), *recipe.possible_modes(), load("export", "int8")()]
    named = [one for one in every if f"_{path.stem}".endswith(f"_{one.stem}")]
    named.sort(key=lambda one: -len(one.stem))  # all_int8.tflite is not of int8, if both are there
    mode: Mode = [*named, *(one for one in every if one.key == "int8")][0]
    return mode


def _fixed(found: Explanation, origin: _Origin, points: float, out: Path) -> Explanation:
    if origin.mode.key != "int8":
        raise UserError(f"{found.file} is not int8, and --fix is for int8.", "Leave out `--fix`.")
    files.require_writable(out.parent)
    data = origin.data
    chosen = data.val.sample(JUDGED)
    labels, inputs = data.val.labels[chosen], list(data.val.inputs(chosen))
    wanted = top1(KerasModel(origin.model).logits(inputs), labels)
    if wanted is None:
        raise UserError("--fix needs labelled pictures.", "Give the recipe `data:` with classes.")
    tried: dict[str, float] = {}
    best = 0.0
    for layers, mode, content in _tries(origin):
        reached = top1(TFLiteModel(content).logits(inputs), labels) or 0.0
        best = max(best, reached)
        tried |= dict.fromkeys(layers, reached)
        say(f"{', '.join(layers) or 'as it is'}: {reached:.4f} of {wanted:.4f}")
        if reached >= wanted - points / 100:
            recipe = origin.recipe.model_copy(update={"export": _with(origin.recipe, mode)})
            files.write(out, recipes.to_yaml(recipe))
            return replace(found, float_top1=wanted, fixed=tried, recipe=str(out))
    raise UserError(
        f"{len(tried)} layers in float leave the file at {best:.4f}, more than "
        f"{points:g} points below the network's {wanted:.4f}.",
        "Allow more points, or train a `qat` stage.",
    )


def _tries(origin: _Origin) -> Iterator[tuple[list[str], Mode, bytes]]:
    """The file with no further layer in float, and then each time with the one that adds most loss
    in the file before, and those that have to go with it, until nothing is left to be rounded.

    First come those whose values are cut off, by a range that others gave them: layers behind them
    may add more, but that is the same loss, made larger.
    """
    mode: Any = origin.mode
    kept = list(mode.float_layers) if isinstance(mode.float_layers, list) else []
    more: list[str] = []
    for _ in range(TRIES + 1):
        content = mode.convert(origin.source, origin.data.train)
        yield more, mode, content
        found = _losses(content, origin) if has_integers(Editor(content)) else []
        rest = [one for one in found if set(one.float_layers) - set(kept)]
        if not rest:
            return
        worst = max(rest, key=lambda one: (one.saturated > _CUT, one.added))
        more = [layer for layer in worst.float_layers if layer not in kept]
        kept = [*kept, *more]
        mode = mode.model_copy(update={"float_layers": kept})


def _losses(content: bytes, origin: _Origin) -> list[Loss]:
    pictures = origin.data.train.inputs(origin.data.train.sample(PICTURES), 1)
    return losses(content, origin.converted, pictures, by_kernels(origin.model))


def _with(recipe: Recipe, mode: Mode) -> list[Mode]:
    others = [one for one in recipe.modes(()) if one.stem != mode.stem]
    return [*others, mode]
