"""What a recipe's network, a run's or a file's costs, without training or running anything."""

from collections.abc import Sequence
from pathlib import Path

from tflite_light import recipe as recipes
from tflite_light.cost import of_file
from tflite_light.cost.guidelines import guidelines
from tflite_light.cost.inspection import Inspected, network_of
from tflite_light.cost.network import Network
from tflite_light.errors import UserError
from tflite_light.measure.sizing import shapes_at
from tflite_light.progress import say
from tflite_light.recipe import Recipe, shipped
from tflite_light.runs.folder import open_run
from tflite_light.tflite import file as tflite
from tflite_light.weights import SUFFIXES

ELSEWHERE = 1000  # classes, ImageNet's, where a recipe's data is not here to count them


def inspect(target: str | Path, changes: Sequence[str] = (), size: int | None = None) -> Inspected:
    """`target` is a recipe (.yaml), the folder of a run, or a .tflite file.

    Of a run, the network of its recipe, as it is before any stage; its files show what came out.
    `size` is the side of the pictures where a file leaves it open. Raises UserError when `target`
    is none of these, or a damaged one, or when its pictures have another size.
    """
    target = Path(target)
    found = _inspect(target, changes, size)
    _require_size(target, found.network, size)
    return found


def _require_size(target: Path, network: Network, size: int | None) -> None:
    """Raises UserError where the sides of its pictures are known, and others."""
    sides = network.input_shape[1:-1]
    others = any(side not in (-1, size) for side in sides)
    if size and (others or (len(sides) != 2 and not network.is_open)):
        shown = "x".join("?" if side < 0 else str(side) for side in sides) or "no size"
        raise UserError(
            f"{target} has pictures of {shown}, not of {size}x{size}.",
            "Leave out `--size`: it is for files that leave the size open.",
        )


def _inspect(target: Path, changes: Sequence[str], size: int | None) -> Inspected:
    if target.is_dir() or shipped.is_recipe(target):
        return _inspect_recipe(target, changes)
    if changes:
        raise UserError(f"`--set` changes a recipe, but {target} is not one.", "Leave out `--set`.")
    if not target.exists():
        raise UserError(
            f"{target} does not exist.",
            "Give a recipe (.yaml), the folder of a run, or a .tflite file.",
        )
    if target.suffix.lower() in SUFFIXES:
        raise UserError(
            f"{target} holds weights, not a network.",
            "Inspect a recipe that names them at `weights`.",
        )
    return _inspect_file(target, size)


def _inspect_file(target: Path, size: int | None) -> Inspected:
    file = tflite.read(target)
    network = of_file.network(file)
    if size and network.is_open:
        _require_size(target, network, size)  # before the file is run
        file = file.with_shapes(shapes_at(file.content, size))
        network = of_file.network(file)
    return Inspected(str(target), network, guidelines(network), file=file)


def _inspect_recipe(target: Path, changes: Sequence[str]) -> Inspected:
    run = open_run(target) if target.is_dir() else None
    recipe = recipes.load(run.folder / "recipe.yaml" if run else target, changes)
    model, size = recipe.model, recipe.image.size
    known = run and not changes and (run.folder / "data.json").exists()
    classes = len(run.classes) if run and known else class_count(recipe)
    network = network_of(model, size, classes)
    return Inspected(str(target), network, guidelines(network), model=model, size=size)


def class_count(recipe: Recipe) -> int:
    """How many the recipe's data has; as many as ImageNet where the data is not here yet."""
    try:
        return len(recipe.class_names())
    except UserError as error:
        if not recipe.train:
            raise
        say(f"{error.problem} Counted with {ELSEWHERE} classes.")
        return ELSEWHERE
