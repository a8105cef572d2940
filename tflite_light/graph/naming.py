"""Layers by name or pattern, as recipes write them; and names that no layer has."""

import difflib
from collections.abc import Sequence
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
