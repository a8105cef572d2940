"""`--set PLACE=VALUE`: one value of an unchecked recipe is replaced."""

import shlex
from pathlib import Path
from typing import Any

from tflite_light import own
from tflite_light.errors import UserError
from tflite_light.recipe import yaml
from tflite_light.recipe.recipe import rooted

ALONE = ("model", "data", "weights")  # keys with one part below them
MARKS = ("'", '"', "|", ">", "!")  # what text begins with in YAML that is not plain


def apply(recipe: dict[str, Any], change: str) -> None:
    """Set a value; a part named in the place replaces another there.

    A part of a list goes by its name or its index: `compress.prune.epochs`,
    `compress.0.prune.epochs`.
    One outside the package goes by its file's name without `.py`; a path is relative to where the
    command is typed.
    Raises UserError where the place is none, or the value cannot be read.
    """
    place, equals, text = change.partition("=")
    if not equals or not all(place.split(".")):
        raise UserError(f"--set {change!r} is not PLACE=VALUE.", "Write it as in `train.epochs=5`.")
    value = _read(place, text)
    if place.partition(".")[2].isdecimal() or "." not in place:
        section = place.partition(".")[0]
        value = rooted({section: value}, Path.cwd())[section]
    try:
        _put(recipe, place.split("."), value)
    except (ValueError, IndexError, TypeError) as error:
        reason, hint = error.args if isinstance(error, _NoPart) else ("", "")
        raise UserError(
            f"--set {change!r}: {place} is not a place in this recipe{reason}.",
            hint or "`tflite-light check` shows all places of a recipe.",
        ) from None


def _read(place: str, text: str) -> Any:
    """The value as YAML reads it, where it reads all of the text.

    It takes what follows ` #` for a comment, and drops or changes the spaces around and in a text.
    """
    change = f"{place}={text}"
    quoted = f"`--set {shlex.quote(f'{place}={yaml.dump(text).rstrip()}')}`"
    try:
        value, rest = yaml.parse(text), text[yaml.end(text) :].strip()
    except yaml.Unreadable:
        raise UserError(
            f"--set {change!r}: {text} is not YAML.", f"As a text it needs quotes: {quoted}"
        ) from None
    plain = isinstance(value, str) and not text.lstrip().startswith(MARKS)
    if rest or (plain and value != text):
        raise UserError(
            f"--set {change!r}: YAML reads {value!r} and leaves out the rest.",
            f"Leave it out too, or put all of it in quotes: {quoted}",
        )
    return value


def _put(holder: Any, steps: list[str], value: Any) -> None:
    for depth, step in enumerate(steps[:-1]):
        holder = _enter(holder, step, alone=depth == 1 and steps[0] in ALONE)
    step = steps[-1]
    if not isinstance(holder, list):
        holder[_named(holder, step)] = value
    elif step.isdecimal():
        holder[int(step)] = value
    else:
        index = _index(holder, step)
        holder[index] = {_named(_opened(holder[index], is_part=True), step): value}


def _enter(holder: Any, step: str, alone: bool) -> Any:
    if isinstance(holder, list):
        index = int(step) if step.isdecimal() else _index(holder, step)
        holder[index] = _opened(holder[index], is_part=True)
        return holder[index] if step.isdecimal() else _enter(holder[index], step, alone=False)
    step = _named(holder, step)
    if alone and step not in holder:
        holder.clear()
    holder[step] = _opened(holder.get(step), is_part=step in ALONE)
    return holder[step]


def _named(holder: Any, step: str) -> str:
    """The key that a step means: of a file outside the package it is a path."""
    return next((name for name in holder if own.key(name) == step), step)


class _NoPart(ValueError):
    """Why a name is not a place in a list, and what to do."""


def _index(parts: list[Any], name: str) -> int:
    """Where the part of that name stands."""
    found = [
        index
        for index, part in enumerate(parts)
        if name in map(own.key, part if isinstance(part, dict) else [part])
    ]
    if len(found) > 1:
        hint = f"Put its index before its name, as in `{found[0]}.{name}`."
        raise _NoPart(f": {name} occurs {len(found)} times", hint)
    if not found:
        raise _NoPart(f": {name} is not in the list", "")
    return found[0]


def _opened(value: Any, is_part: bool) -> Any:
    if isinstance(value, str):
        return {value: {}} if is_part else {}
    return {} if value is None else value
