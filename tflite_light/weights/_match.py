"""Fitting named arrays to a network, wherever in the file they are; nothing is skipped silently."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights
from tflite_light.weights._plan import Classes, Mistake, Plan, expected, is_counter, is_keras

SHOWN = 10  # lines of mistakes
ANOTHER = 0.25  # share of the names: with fewer it is no variant of the network but another
PREFIX_LENGTH = 200
HINT = (
    "Compare the model and its fields (alpha, variant, version ...) with what the file was made "
    "for."
)


class _Found(NamedTuple):
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


def assign_weights(
    weights: Weights,
    model: Any,
    architecture: Architecture,
    classes: Sequence[str] | None,
    whole: bool,
) -> list[str]:
    """Assign what fits best; remarks for a person. As `Weights.load` says."""
    arrays = _read(weights, architecture)
    references = weights.references(architecture)
    if not references:
        raise UserError(
            f"weights {weights.source}: no reference implementation of {architecture.key} with "
            "these fields is known.",
            HINT,
        )
    named = Classes(weights.classes(), classes)
    found = [
        _Found(prefix, below, Plan(model, architecture, below, reference, names, named))
        for reference, names in references.items()
        for prefix, below in _networks(arrays, expected(model, reference, names))
    ]
    best, remarks = _best(found, weights)
    _require_fit(best, arrays, weights, architecture, model)
    _require_numbers(best, weights.source)
    plan = best.plan
    if plan.other_classes and whole:
        raise UserError(
            f"{weights.source}: {plan.other_classes}, and an import trains nothing.",
            "Set `labels:` or `classes:` to theirs.",
        )
    for variable, value in plan.values:
        variable.assign(value.astype(np.float32))
    remarks += _left_out(best, arrays, weights.source)
    if plan.other_classes:
        return [*remarks, f"{plan.other_classes}: the classifier starts anew"]
    if named.order:
        remarks.append("the classifier's classes are put into the order of the model's")
    return remarks


def _read(weights: Weights, architecture: Architecture) -> Arrays:
    try:
        return weights.arrays(architecture)
    except OSError as error:
        raise UserError(
            f"weights {weights.source} cannot be read: {error.strerror or error}.",
            "Give a file that you may read.",
        ) from error


def _networks(arrays: Arrays, names: set[str]) -> list[tuple[str, Arrays]]:
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


def _best(found: list[_Found], weights: Weights) -> tuple[_Found, list[str]]:
    """The network to take, and a remark where there were several."""
    wanted = getattr(weights, "network", None)
    if wanted:
        chosen = [
            one for one in found if one.title == wanted or one.prefix.startswith(f"{wanted}.")
        ]
        if not chosen:
            raise UserError(
                f"weights {weights.source} hold no network {wanted}.",
                f"They hold {_or([one.title for one in found])}.",
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
    taken = f"the moving average {averaged[0].title} is taken, not {_or(others)}"
    return averaged[0], [f"{weights.source}: {taken} (`network:` chooses)"]


def _equal(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[name]) for name, array in one.items()
    )


def _or(titles: list[str]) -> str:
    return " or ".join(sorted(set(titles)))


def _require_fit(
    best: _Found,
    arrays: Arrays,
    weights: Weights,
    architecture: Architecture,
    model: Any,
) -> None:
    plan, source = best.plan, weights.source
    missing = sum(kind == "missing" for kind, _, _ in plan.mistakes)
    if len(plan.used) < ANOTHER * (len(plan.used) + missing):
        some, known = ", ".join(list(arrays)[:3]), weights.references(architecture)
        raise UserError(
            f"weights {source} are of another network, or of a reference implementation that is "
            f"not known here: names such as {some} are not those that {architecture.key} with "
            f"these fields has in {_or([_whose(one) for one in known])} names.",
            _part_for(arrays, architecture, model, source) or HINT,
        )
    if plan.mistakes:
        lines = _grouped(plan.mistakes)
        more = [f"and {len(lines) - SHOWN} more such lines"] if len(lines) > SHOWN else []
        raise UserError("\n  ".join([_headline(best, source), *lines[:SHOWN], *more]), HINT)


def _part_for(arrays: Arrays, architecture: Architecture, model: Any, source: str) -> str:
    """A hint where another part knows these names, perhaps with another variant."""
    variant = type(architecture).model_fields.get("variant")
    choices = get_args(variant.annotation) if variant else ()
    kinds = [architecture.model_copy(update={"variant": one}) for one in choices] or [architecture]
    for kind in kinds:
        known: dict[str, Names] = {"own": {}} | kind.references()
        for reference, names in known.items():
            theirs = expected(model, reference, names)
            if any(
                2 * len(theirs & below.keys()) > len(theirs)
                for _, below in _networks(arrays, theirs)
            ):
                part = "npz" if is_keras(reference) else "torch"
                return (
                    f"They have {_whose(reference)} names: write "
                    f"`weights: {{{part}: {{path: {source}}}}}`."
                )
    return ""


def _require_numbers(best: _Found, source: str) -> None:
    arrays = {name: best.arrays[name] for name in best.arrays if name in best.plan.used}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise UserError(
                f"weights {source}: {name} holds {array.dtype}, not numbers.",
                "Save the weights as float32.",
            )
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite then
        odd = checkpoint.non_finite({n: a.astype(np.float32) for n, a in arrays.items()})
    if odd:
        raise UserError(f"weights {source}: {odd[0]} holds NaN or infinity.", "Fetch them again.")


def _left_out(best: _Found, arrays: Arrays, source: str) -> list[str]:
    """A remark that names the prefix, and what stands beside the network."""
    taken = {best.prefix + name for name in best.arrays}
    beside = [name for name in arrays if name not in taken and not is_counter(arrays[name])]
    others = sorted({_group(name, best.prefix) for name in beside})
    if not others:
        return []
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return [f"{source}: {best.title} is taken; left out: {', '.join(others[:3])}{more}"]


def _group(name: str, prefix: str) -> str:
    """What to call a tensor beside the network: the first part of its name that differs."""
    common = next(
        (place for place in reversed(_places(prefix)) if name.startswith(prefix[:place])), 0
    )
    return name[:common] + re.split(r"[./]", name[common:])[0]


def _headline(best: _Found, source: str) -> str:
    count, whose = len(best.plan.mistakes), _whose(best.plan.reference)
    where = f" below {best.title}" if best.prefix else ""
    return f"weights {source} do not fit, read by {whose} names{where}: {count} differences"


def _whose(reference: str) -> str:
    return "this project's" if reference == "own" else f"{reference}'s"


def _grouped(mistakes: list[Mistake]) -> list[str]:
    """One line for those of a layer that are alike."""
    lines: list[str] = []
    for (kind, stem, detail), same in itertools.groupby(mistakes, _likeness):
        leaves = [name[len(stem) :] for _, name, _ in same]
        names = leaves[0] if len(leaves) == 1 else f"{{{', '.join(leaves)}}}"
        lines.append(f"{kind}: {stem}{names} {detail}")
    return lines


def _likeness(mistake: Mistake) -> Mistake:
    kind, name, detail = mistake
    return kind, name[: max(name.rfind("."), name.rfind("/")) + 1], detail
