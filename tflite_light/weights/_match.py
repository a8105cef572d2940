"""Fitting named arrays to a network, wherever in the file they are; nothing is skipped silently."""

import itertools
import json
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.graph.copied import settle
from tflite_light.models import Architecture, Names, classifier
from tflite_light.weights import Arrays, Weights
from tflite_light.weights._networks import Found, choose, either, left_out, networks
from tflite_light.weights._plan import Classes, Mistake, Plan, expected, is_keras
from tflite_light.wording import count

SHOWN = 10  # lines of mistakes
ANOTHER = 0.25  # share of the names: with fewer it is no variant of the network but another


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
            weights.misfit_hint(),
        )
    named = Classes(weights.classes(), classes)
    found = [
        Found(prefix, below, Plan(model, architecture, below, reference, names, named))
        for reference, names in references.items()
        for prefix, below in networks(arrays, expected(model, reference, names))
    ]
    _require_classifier(model, named, weights.source)
    best, remarks = choose(found, weights)
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
    settle(model)
    remarks += [*left_out(best, arrays, weights.source), *weights.remarks()]
    if plan.other_classes:
        return [*remarks, f"{plan.other_classes}: the classifier starts anew"]
    if named.order:
        remarks.append("the classifier's classes are put into the order of the model's")
    return remarks


def digest(weights: Weights, architecture: Architecture) -> str:
    """As `Weights.digest` says."""
    return checkpoint.digest(_read(weights, architecture), json.dumps(weights.classes()).encode())


def _require_classifier(model: Any, named: Classes, source: str) -> None:
    if (named.differ or named.order) and not classifier(model):
        raise UserError(
            f"weights {source} are of other classes, or in another order, and the network's logits "
            "are no single layer's that could follow them.",
            "Give the classes that the weights are of, in their order.",
        )


def _read(weights: Weights, architecture: Architecture) -> Arrays:
    try:
        return weights.arrays(architecture)
    except OSError as error:
        raise UserError(
            f"weights {weights.source} cannot be read: {error.strerror or error}.",
            "Give a file that you may read.",
        ) from error


def _require_fit(
    best: Found,
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
            f"these fields has in {either([_whose(one) for one in known])} names.",
            _part_for(arrays, architecture, model, source) or weights.misfit_hint(),
        )
    if plan.mistakes:
        lines = _grouped(plan.mistakes)
        more = [f"and {len(lines) - SHOWN} more such lines"] if len(lines) > SHOWN else []
        text = "\n  ".join([_headline(best, source), *lines[:SHOWN], *more])
        raise UserError(text, weights.misfit_hint())


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
                for _, below in networks(arrays, theirs)
            ):
                part = "npz" if is_keras(reference) else "torch"
                return (
                    f"They have {_whose(reference)} names: write "
                    f"`weights: {{{part}: {{path: {source}}}}}`."
                )
    return ""


def _require_numbers(best: Found, source: str) -> None:
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


def _headline(best: Found, source: str) -> str:
    number, whose = count(len(best.plan.mistakes), "difference"), _whose(best.plan.reference)
    where = f" below {best.title}" if best.prefix else ""
    return f"weights {source} do not fit, read by {whose} names{where}: {number}"


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
