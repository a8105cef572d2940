"""Networks in a file: which there are, below which prefixes, and which to take."""

import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from tflite_light.errors import UserError
from tflite_light.weights import Arrays, Weights
from tflite_light.weights._plan import Plan, is_counter
from tflite_light.wording import some

PREFIX_LENGTH = 200  # of a name is searched for where it begins


class Found(NamedTuple):
    """A network in a file: what stands before its names, and what they make of the arrays."""

    prefix: str
    arrays: Arrays
    plan: Plan

    @property
    def title(self) -> str:
        return self.prefix.rstrip("./") or "."

    @property
    def averaged(self) -> bool:
        """Moving averages: `model_ema.`, `state_dict_ema.`, `ema.module.`, `ema_model.` ..."""
        return "ema" in re.split(r"[._/]", self.prefix.lower())


def networks(arrays: Arrays, names: set[str]) -> list[tuple[str, Arrays]]:
    """Prefixes below which a network's names stand, and what else stands there.

    Several where a checkpoint holds the network more than once, such as its moving average.
    """
    counts = Counter(
        name[:place] for name in arrays for place in _places(name) if name[place:] in names
    )
    most = max(counts.values(), default=0)
    prefixes = [prefix for prefix, count in counts.items() if 2 * count > most] or [""]
    return [
        (
            prefix,
            {
                name[len(prefix) :]: array
                for name, array in arrays.items()
                if name.startswith(prefix) and not _below_another(name, prefix, prefixes)
            },
        )
        for prefix in prefixes
    ]


def _places(name: str) -> list[int]:
    """Where a name may begin."""
    return [0, *(match.end() for match in re.finditer(r"[./]", name[:PREFIX_LENGTH]))]


def _below_another(name: str, prefix: str, prefixes: list[str]) -> bool:
    """Whether a name belongs to a network whose prefix goes on from this one's."""
    return any(len(one) > len(prefix) and name.startswith(one) for one in prefixes)


def choose(found: list[Found], weights: Weights) -> tuple[Found, list[str]]:
    """The network to take, and a remark where there were several."""
    wanted = getattr(weights, "network", None)
    if wanted:
        chosen = [
            one for one in found if one.title == wanted or one.prefix.startswith(f"{wanted}.")
        ]
        if not chosen:
            raise UserError(
                f"weights {weights.source} hold no network {wanted}.",
                f"They hold {either([one.title for one in found])}.",
            )
        found = chosen
    fitting = {one.prefix: one for one in reversed(found) if not one.plan.mistakes}
    if not fitting:
        return min(found, key=lambda one: len(one.plan.mistakes)), []
    ones = sorted(fitting.values(), key=lambda one: one.prefix)
    if all(_equal(one.arrays, ones[0].arrays) for one in ones[1:]):
        return ones[0], []
    averaged = [one for one in ones if one.averaged]
    if len(averaged) != 1:
        raise UserError(
            f"weights {weights.source} hold several networks that fit: "
            f"{', '.join(one.title for one in ones)}.",
            f"Choose one, such as `weights: {{torch: {{path: {weights.source}, "
            f"network: {ones[0].title}}}}}`.",
        )
    others = [one.title for one in ones if one is not averaged[0]]
    taken = f"the moving average {averaged[0].title} is taken, not {either(others)}"
    return averaged[0], [f"{weights.source}: {taken} (`network:` chooses)"]


def _equal(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[name]) for name, array in one.items()
    )


def left_out(best: Found, arrays: Arrays, source: str) -> list[str]:
    """A remark that names the prefix, and what stands beside the network."""
    taken = {best.prefix + name for name in best.arrays}
    beside = [name for name in arrays if name not in taken and not is_counter(arrays[name])]
    others = sorted({_group(name, best.prefix) for name in beside})
    if not others:
        return []
    return [f"{source}: {best.title} is taken; left out: {some(others, 3)}"]


def _group(name: str, prefix: str) -> str:
    """What to call a tensor beside the network: the first part of its name that differs."""
    common = next(
        (place for place in reversed(_places(prefix)) if name.startswith(prefix[:place])), 0
    )
    return name[:common] + re.split(r"[./]", name[common:])[0]


def either(titles: list[str]) -> str:
    return " or ".join(sorted(set(titles)))
