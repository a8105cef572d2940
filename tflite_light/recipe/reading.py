"""Reading a recipe, changed by `--set`; and writing it back.

YAML's parser is loaded by those who read: it is a tenth of the time of `list`, which does not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tflite_light.errors import UserError
from tflite_light.recipe import shipped
from tflite_light.recipe.recipe import Recipe, rooted
from tflite_light.wording import count, several


def load(path: str | Path, changes: str | Sequence[str] = ()) -> Recipe:
    """Read and check a recipe, after `place.to.field=value` changes.

    `path` is a file, or the name of a recipe of the kit, such as `mobilenet_v2`. Raises UserError
    that names every mistake with its place.
    """
    from tflite_light.recipe import changing

    value = rooted(*_read(Path(path)))
    for change in several(changes):
        changing.apply(value, change)
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        mistakes = [
            f"{_place(line['loc'])}: {line['msg'].removeprefix('Value error, ')}"
            for line in error.errors()
        ]
        raise _refusal(path, mistakes) from error


def check(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """`load`, and whether every file and folder that the recipe names exists."""
    recipe = load(path, changes)
    if absent := recipe.absent():
        raise _refusal(path, absent)
    return recipe


def to_yaml(recipe: Recipe, beside: bool = False) -> str:
    """The recipe with every default written out; loads back equal.

    Parts outside the package go by their absolute paths, or by their names: files `beside` it.
    """
    from tflite_light.recipe import yaml

    return yaml.dump(recipe.model_dump(mode="json") if beside else recipe.shown())


def _read(path: Path) -> tuple[dict[str, Any], Path]:
    """What a recipe holds, unchecked, and its folder."""
    from tflite_light.recipe import yaml

    file = shipped.find(path)
    try:
        value = yaml.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"recipe {path} does not exist.",
            f"Give the path of a .yaml file, or a name: {', '.join(shipped.names())}.",
        ) from None
    except yaml.Unreadable as error:
        raise UserError(f"recipe {path} {error}.", "Correct it there.") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"recipe {path} cannot be read: {reason}.",
            "Give a YAML file in UTF-8; that of a run is the recipe.yaml in its folder.",
        ) from error
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"holds a {type(value).__name__}"
        raise UserError(
            f"recipe {path} {found}.", "It needs at least the keys model:, data: and train:."
        )
    return value, file.absolute().parent


def _refusal(path: str | Path, mistakes: list[str]) -> UserError:
    head = f"{path} has {count(len(mistakes), 'mistake')}:"
    return UserError("\n  ".join([head, *mistakes]))  # each says what to do


def _place(loc: tuple[int | str, ...]) -> str:
    """As it is in YAML: without pydantic's own name for a kind of schedule."""
    return ".".join(str(step) for step in loc if step != "stairs") or "recipe"
