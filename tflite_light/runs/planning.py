"""The chain of a recipe's stages on untrained networks: what each works on, and what it refuses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from tflite_light import recipe as recipes
from tflite_light.compress import Plan, Stage
from tflite_light.errors import Unmade, UserError
from tflite_light.export import require_kernels
from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.copied import in_precision
from tflite_light.graph.naming import require_lasting
from tflite_light.measure.kernels import kernels
from tflite_light.parts import Part
from tflite_light.recipe import Recipe
from tflite_light.runs import chain
from tflite_light.runs.inspecting import class_count
from tflite_light.runs.measuring import multiply_adds
from tflite_light.tflite.file import File
from tflite_light.training.features import feature_maps

_NAMING = ("exclude", "float_layers")  # fields in which parts name layers


@dataclass(frozen=True)
class Step:
    """A stage, and the network as it is given to it."""

    stage: Stage
    model: Any
    plan: Plan

    @cached_property
    def result(self) -> Any:
        """The network as the stage leaves it, untrained."""
        return self.stage.strip(self.stage.wrap(self.model, self.plan, steps=1))


@dataclass(frozen=True)
class Row:
    """Of a stage: `layers` it works on, which have `weights` in their kernels; the network it is
    given has `of_layers`, `of_weights` and `multiply_adds` of one picture."""

    name: str
    layers: int
    of_layers: int
    weights: int
    of_weights: int
    multiply_adds: int | None
    left: list[str]  # layers with kernels that the stage leaves alone

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def steps(recipe: Recipe, model: Any) -> Iterator[Step]:
    """Each stage with its plan for the untrained model that the stages before it leave.

    Raises UserError where a stage cannot keep its promise, a stage or mode names layers that are
    not there, or may not be, when the stages before are done, or the network cannot compute in the
    recipe's precision or have a file.
    """
    if recipe.train and recipe.train.precision != "float32":
        in_precision(model, recipe.train.precision)
    if recipe.distil and recipe.distil.features and not feature_maps(model):
        raise UserError(
            "distil.features: the network has no feature maps to compare with the teacher's.",
            "Leave it out, or train a convolutional network.",
        )
    own = recipe.model.file or recipe.model.brings_weights
    if own and not all(mode.file for mode in recipe.export):
        _require_file(model)
    undecided: dict[str, str] = {}
    for stage in recipe.compress:
        _require_lasting(stage, f"compress.{stage.key}", model, undecided)
        plan = chain.plan(recipe, stage, model, None)
        _require_promises(stage, plan)
        step = Step(stage, model, plan)
        yield step
        undecided |= dict.fromkeys(stage.undecided(model), stage.key)
        model = step.model if stage.yields == "quantised" else step.result
    for mode in recipe.export:
        _require_lasting(mode, f"export.{mode.key}", model, undecided)
        mode.require_known(model)


def _require_lasting(part: Part, place: str, model: Any, undecided: Mapping[str, str]) -> None:
    """Raises UserError where a part names layers that may not be there when its turn comes."""
    names = [layer.name for layer in model.layers]
    for field in _NAMING:
        patterns = getattr(part, field, None)
        if isinstance(patterns, list):
            require_lasting(names, patterns, f"{place}.{field}", undecided)


def _require_file(model: Any) -> None:
    """A network of the user's own can have a file: 0.3 s for a small one, 9 s for Xception, where
    no kind of file could be made after all of the training."""
    try:
        content = convert(converter_for(model))
    except Unmade as error:
        raise UserError(error.problem, "Build it without such layers: no file has them.") from error
    require_kernels(File(content), "float32")


def _require_promises(stage: Stage, plan: Plan) -> None:
    """What it promises by a plan that may lack what only pictures tell; but all keys are texts."""
    try:
        chain.promised(stage, plan)
    except KeyError as error:
        if not isinstance(error.args[0], str):
            raise


def lint(path: str | Path, changes: Sequence[str] = ()) -> tuple[Recipe, list[Row]]:
    """A checked recipe and a row for each of its stages; the data need not be here.

    Raises UserError as `steps` does, and for mistakes of the recipe.
    """
    recipe = recipes.load(path, changes)
    classes = [str(number) for number in range(class_count(recipe))]
    return recipe, [row(step) for step in steps(recipe, chain.build(recipe, classes))]


def row(step: Step) -> Row:
    """What a stage works on, in figures."""
    sizes: dict[str, int] = {}
    for kernel in kernels(step.model):
        layer = kernel.name.rpartition("/")[0]
        sizes[layer] = sizes.get(layer, 0) + prod(kernel.values.shape)
    covered = set(step.stage.covers(step.model, step.plan))
    return Row(
        step.stage.key,
        sum(name in covered for name in sizes),
        len(sizes),
        sum(size for name, size in sizes.items() if name in covered),
        sum(sizes.values()),
        multiply_adds(step.model),
        [name for name in sizes if name not in covered],
    )
