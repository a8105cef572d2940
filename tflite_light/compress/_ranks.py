"""How low a rank layers can have: what is lost by it, measured on pictures."""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tflite_light.compress._directions import PICTURES, factors_of, inputs_of
from tflite_light.compress._layers import weighty
from tflite_light.errors import UserError
from tflite_light.graph.kernels import multiply_adds
from tflite_light.graph.low_rank import Splittable
from tflite_light.graph.statistics import measure, standardise
from tflite_light.graph.uses import shared

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples

WIDTH = 8  # ranks are multiples of it: XNNPACK computes 8 channels at a time, or more
_MEASURED = 64  # pictures by which batch norms are measured when a layer is narrowed


def splittable(model: Any, exclude: list[str]) -> dict[str, Splittable]:
    """Layers that can be two; one that is used several times would need directions for all."""
    layers, several = weighty(model, exclude, "compress.factorize.exclude"), shared(model)
    ordinary = [one for one in layers if getattr(one, "groups", 1) == 1 and one.name not in several]
    return {
        layer.name: Splittable(layer)
        for layer in ordinary
        if set(getattr(layer, "dilation_rate", (1,))) == {1}
    }


def _harm(
    model: Any,
    layers: Mapping[str, Splittable],
    factors: Mapping[str, Any],
    examples: "Examples",
) -> dict[str, float]:
    """How far the logits move, squared, for each share of a layer's output variance that is lost.

    Measured at one rank of each layer in turn, with batch norms measured anew, which make up for a
    part: to first order, harm is in proportion to the loss, and that of several layers adds up.
    """
    batches = list(examples.inputs(examples.sample(PICTURES), batch_size=32))
    few = list(examples.inputs(examples.sample(_MEASURED), batch_size=32))
    probe = standardise(model, batches)
    before = probe.get_weights()
    answers = [probe.predict_on_batch(batch) for batch in batches]
    harm = {}
    for name, one in layers.items():
        ranks = list(_choices(one))
        if not ranks:
            continue
        first, second, lost = factors[name]
        rank = ranks[len(ranks) // 2]
        probe.get_layer(name).kernel.assign(one.kernel(first[:, :rank] @ second[:rank]))
        measure(probe, few)
        moved = [probe.predict_on_batch(b) - a for b, a in zip(batches, answers, strict=True)]
        harm[name] = float(np.mean(np.square(np.concatenate(moved)))) / max(lost[rank], 1e-9)
        probe.set_weights(before)
    return harm


def _choices(layer: Splittable) -> dict[int, int]:
    """Ranks that make a layer cheaper, with the multiply-adds that they save."""
    saved = {
        rank: layer.multiply_adds() - layer.multiply_adds(rank)
        for rank in range(WIDTH, layer.most, WIDTH)
    }
    return {rank: saving for rank, saving in saved.items() if saving > 0}


def narrowable(layers: Mapping[str, Splittable]) -> list[str]:
    """Names of the layers that some rank makes cheaper."""
    return [name for name, one in layers.items() if _choices(one)]


def saved(layers: Mapping[str, Splittable], ranks: Mapping[str, int]) -> int:
    """Multiply-adds of the network."""
    return sum(
        layers[name].multiply_adds() - layers[name].multiply_adds(rank)
        for name, rank in ranks.items()
    )


def _cheapest(
    choices: Mapping[str, Mapping[int, int]], lost: Mapping[str, Any], ranks: Mapping[str, int]
) -> tuple[str, int] | None:
    """The layer and its next rank that lose least for what they save; None where none is left."""
    steps = []
    for name, savings in choices.items():
        now = ranks.get(name)
        before = (savings[now], lost[name][now]) if now else (0, 0.0)
        for rank, saving in savings.items():
            if not now or rank < now:
                steps.append(((lost[name][rank] - before[1]) / (saving - before[0]), name, rank))
    return min(steps)[1:] if steps else None


def _return_spare(
    choices: Mapping[str, Mapping[int, int]],
    lost: Mapping[str, Any],
    ranks: dict[str, int],
    spare: int,
) -> None:
    """Raise ranks for the multiply-adds that steps saved beyond the budget, by being large; first
    those that win back most of what is lost. A rank of 0 is the whole layer."""

    def gain(name: str, rank: int) -> float:
        return float(lost[name][ranks[name]] - (lost[name][rank] if rank else 0))

    def cost(name: str, rank: int) -> int:
        return choices[name][ranks[name]] - (choices[name][rank] if rank else 0)

    while better := [
        (name, rank)
        for name in ranks
        for rank in (0, *choices[name])
        if cost(name, rank) <= spare and gain(name, rank) > 0
    ]:
        name, rank = max(better, key=lambda step: gain(*step))
        spare -= cost(name, rank)
        if rank:
            ranks[name] = rank
        else:
            del ranks[name]


def by_energy(
    model: Any, layers: Mapping[str, Splittable], examples: "Examples | None", energy: float
) -> dict[str, int]:
    """The lowest ranks that keep a share of each layer's output variance; cheaper ones alone.

    Without examples none: what untrained weights need says nothing. Raises UserError where no
    weights could have any.
    """
    if not narrowable(layers):
        raise UserError(
            f"compress.factorize.energy: ranks of {WIDTH} or more make no layer cheaper; "
            "depthwise, grouped and excluded layers stay whole.",
            "Leave the stage out, or exclude fewer layers.",
        )
    if not examples:
        return {}
    factors = factors_of(layers, inputs_of(model, layers, examples))
    lost = {name: shares for name, (_, _, shares) in factors.items()}
    enough = {
        name: next((rank for rank in _choices(one) if 1 - lost[name][rank] >= energy), None)
        for name, one in layers.items()
    }
    return {name: rank for name, rank in enough.items() if rank}


def by_budget(
    model: Any, layers: Mapping[str, Splittable], examples: "Examples | None", keep: float
) -> dict[str, int]:
    """Ranks that leave a share of the network's multiply-adds and move the logits least.

    Without examples, that lose the least variance. Raises UserError where the share is too small.
    """
    factors = factors_of(layers, inputs_of(model, layers, examples) if examples else {})
    lost = {name: shares for name, (_, _, shares) in factors.items()}
    if examples:
        harm = _harm(model, layers, factors, examples)
        lost = {name: shares * harm.get(name, 1.0) for name, shares in lost.items()}
    total = multiply_adds(model).total()
    choices = {name: _choices(one) for name, one in layers.items()}
    ranks: dict[str, int] = {}
    while total - saved(layers, ranks) > keep * total:
        step = _cheapest(choices, lost, ranks)
        if not step:
            reached = 1 - saved(layers, ranks) / total
            raise UserError(
                f"compress.factorize.keep: {keep:g} of the multiply-adds cannot be reached; "
                f"ranks of {WIDTH} throughout leave {reached:.3f}, and depthwise, grouped and "
                f"excluded layers, which stay whole, are {_untouched(model, layers) / total:.3f}.",
                f"Write `--set compress.factorize.keep={reached + 0.01:.2f}` or more."
                if reached < 0.95
                else "Leave the stage out: depthwise and grouped convolutions stay as they are.",
            )
        ranks |= [step]
    _return_spare(choices, lost, ranks, int(keep * total) - total + saved(layers, ranks))
    return {name: ranks[name] for name in layers if name in ranks}


def _untouched(model: Any, layers: Mapping[str, Splittable]) -> int:
    """Multiply-adds of the layers that cannot be split."""
    return sum(count for name, count in multiply_adds(model).items() if name not in layers)


def given(ranks: Mapping[str, int], layers: Mapping[str, Splittable]) -> dict[str, int]:
    for name, rank in ranks.items():
        place = f"compress.factorize.ranks.{name}"
        if name not in layers:
            near = ", ".join(difflib.get_close_matches(name, layers, 3, 0.0))
            raise UserError(
                f"{place}: no layer of this name can be factorized.",
                f"Such layers are {near}." if near else "There are none: leave the stage out.",
            )
        whole = layers[name].multiply_adds()
        cheaper = [
            r
            for r in range(1, min(layers[name].matrix.shape))
            if layers[name].multiply_adds(r) < whole
        ]
        if rank not in cheaper:
            raise UserError(
                f"{place}: a rank of {rank} makes the layer no cheaper.",
                f"Write 1 to {max(cheaper)}." if cheaper else "Leave this layer out.",
            )
    return dict(ranks)
