"""Layers by name or pattern, as recipes write them; and names that no layer has."""

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tflite_light.errors import UserError


def fitting(names: Sequence[str], patterns: Sequence[str], place: str, kind: str) -> set[str]:
    """The names that any pattern fits, such as `logits` or `block1_*`.

    `place` is where the recipe has the patterns, `kind` which layers they may name. Raises
    UserError where a pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, 1, 0.0)
            raise UserError(
                f"{place}: none of the layers {kind} is called {pattern!r}.",
                f"Write a name, such as {near[0]}, or a pattern, such as `{near[0][:4]}*`; other "
                "layers are left alone anyway.",
            )
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


def require_lasting(
    names: Sequence[str], patterns: Sequence[str], place: str, undecided: Mapping[str, str]
) -> None:
    """Raises UserError where a pattern may come to fit none: of all that it fits, pictures decide
    whether they are there. `undecided` has such layers, each with the stage that adds it or not;
    what fits all of those is meant for any that come."""
    lasting = [name for name in names if name not in undecided]
    for pattern in patterns:
        fits = [name for name in undecided if fnmatchcase(name, pattern)]
        sure = len(fits) == len(undecided) or any(fnmatchcase(name, pattern) for name in lasting)
        if fits and not sure:
            (near,) = difflib.get_close_matches(fits[0], lasting, 1, 0.0)
            raise UserError(
                f"{place}: {pattern!r} may fit no layer: pictures decide whether "
                f"compress.{undecided[fits[0]]} leaves {fits[0]}.",
                f"Write a pattern that fits other layers, too, such as `{near}*`.",
            )


def free(name: str, taken: set[str]) -> str:
    """The name, or one like it that no layer has; it is taken then."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def by_kernels(model: Any) -> list[str]:
    """A network's layers, those with kernels first: what operators of its file are called after."""
    kernels = [one.name for one in model.layers if any(w.shape.rank > 1 for w in one.weights)]
    return [*kernels, *(layer.name for layer in model.layers)]
