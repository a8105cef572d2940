"""Reading a recipe from YAML, changed by `--set`; and writing it back."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tflite_light.errors import UserError
from tflite_light.recipe.recipe import Recipe

ALONE = ("model", "data", "weights")  # keys with one part below them


def load(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe, after `place.to.field=value` changes.

    Raises UserError that names every mistake with its place.
    """
    value = _read(path)
    for change in changes:
        _apply(value, change)
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        mistakes = [
            f"{_place(line['loc'])}: {line['msg'].removeprefix('Value error, ')}"
            for line in error.errors()
        ]
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise UserError("\n  ".join([f"{path} has {count}:", *mistakes])) from error


def to_yaml(recipe: Recipe) -> str:
    """The recipe with every default written out; loads back equal."""
    yaml: Any = YAML(typ="safe", pure=True)
    text = io.StringIO()
    yaml.sort_base_mapping_type_on_output = False  # in the order of the fields
    yaml.dump(recipe.model_dump(mode="json"), text)
    return text.getvalue()


def _read(path: Path) -> dict[str, Any]:
    try:
        value = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"recipe {path} does not exist. Give the path of a .yaml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read: {error}.") from error
    except YAMLError as error:
        raise UserError(f"recipe {path} is not YAML: {_one_line(error)}") from error
    except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
        raise UserError(f"recipe {path} cannot be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"holds a {type(value).__name__}"
        raise UserError(
            f"recipe {path} {found}. It needs at least the keys model:, data: and train:."
        )
    return value


def _one_line(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error).splitlines()[0]


def _place(loc: tuple[int | str, ...]) -> str:
    """As it is in YAML: without pydantic's own name for a kind of schedule."""
    return ".".join(str(step) for step in loc if step != "stairs") or "recipe"


def _apply(recipe: dict[str, Any], change: str) -> None:
    """Set a value in the unchecked recipe; a part named in the place replaces another there."""
    place, equals, text = change.partition("=")
    steps = place.split(".")
    if not equals or not all(steps):
        raise UserError(f"--set {change!r}: write PLACE=VALUE, for example train.epochs=5.")
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (ValueError, RecursionError, YAMLError):
        raise UserError(f"--set {change!r}: {text} is not YAML; put it in quotes.") from None
    try:
        holder: Any = recipe
        for depth, step in enumerate(steps[:-1]):
            holder = _enter(holder, step, alone=depth == 1 and steps[0] in ALONE)
        holder[int(steps[-1]) if isinstance(holder, list) else steps[-1]] = value
    except (ValueError, IndexError, TypeError):
        raise UserError(f"--set {change!r}: {place} is not a place in this recipe.") from None


def _enter(holder: Any, step: str, alone: bool) -> Any:
    if isinstance(holder, list):
        index = int(step)
        holder[index] = _opened(holder[index], is_part=True)
        return holder[index]
    if alone and step not in holder:
        holder.clear()
    holder[step] = _opened(holder.get(step), is_part=step in ALONE)
    return holder[step]


def _opened(value: Any, is_part: bool) -> Any:
    if isinstance(value, str):
        return {value: {}} if is_part else {}
    return {} if value is None else value
