"""Which channels go: round by round the least important, until the costs are within the budget."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tflite_light.compress import Plan
from tflite_light.compress._budget import Spaces, choose
from tflite_light.compress._saliency import by_norm, by_taylor
from tflite_light.errors import UserError
from tflite_light.graph.coupling import Coupling, couple
from tflite_light.graph.reconstruction import reconstructed
from tflite_light.graph.statistics import measure, standardise
from tflite_light.graph.thinner import Kept, thin

if TYPE_CHECKING:
    from tflite_light.compress.channels import Channels
    from tflite_light.pipeline.examples import Data, Examples

PICTURES = 256  # of training, for scores and for statistics
MEASURED = 32  # pictures at a time, whose activations are in memory together
READ = 8  # pictures at a time, of which all layers' inputs are: 0.3 GB for MobileNet v2 at 224 px
SCORED = 8  # pictures for each gradient
SHARE = 0.25  # of its channels, which every layer keeps


def selected(stage: "Channels", model: Any, data: "Data | None") -> Plan:
    """The plan of `Channels`. Raises UserError where its `keep` cannot be reached."""
    whole = coupling = couple(model)
    least = {name: _least(len(own), stage.round_to) for name, own in whole.traced.own.items()}
    kept = {name: list(range(len(own))) for name, own in whole.traced.own.items()}
    total, rounds = Spaces(whole).total(stage.of), stage.rounds if data else 1
    thinned = standardise(model, _inputs(data, MEASURED)) if data else model
    for number in range(1, rounds + 1):
        target = total * stage.keep ** (number / rounds)
        stay = _chosen(stage, thinned, coupling, data, target, least)
        kept |= {name: [kept[name][place] for place in places] for name, places in stay.items()}
        thinned = thin(thinned, stay)
        if data:
            measure(thinned, _inputs(data, MEASURED))
        coupling = couple(thinned)
    _require(stage, Spaces(coupling).total(stage.of) / total)
    return _described(whole, coupling, kept)


def fitted(model: Any, kept: Kept, examples: "Examples") -> Any:
    """A network thinned as it answers nearest to the whole one on pictures, without training."""
    pictures = examples.sample(PICTURES)
    standard = standardise(model, examples.inputs(pictures, MEASURED))
    thinned = thin(reconstructed(standard, kept, examples.inputs(pictures, READ)), kept)
    measure(thinned, examples.inputs(pictures, MEASURED))
    return thinned


def _chosen(
    stage: "Channels",
    model: Any,
    coupling: Coupling,
    data: "Data | None",
    target: float,
    least: dict[str, int],
) -> dict[str, list[int]]:
    """The output channels that stay of each layer that loses some."""
    if data and stage.score == "taylor":
        scores = by_taylor(model, coupling, _inputs(data, SCORED))
    else:
        scores = by_norm(model, coupling)
    spaces = Spaces(coupling)
    return coupling.kept(choose(spaces, scores, stage.of, target, least, stage.round_to))


def _require(stage: "Channels", share: float) -> None:
    """Raises UserError where more than `keep` is left."""
    if share <= stage.keep:
        return
    possible = math.ceil(100 * share) / 100
    raise UserError(
        f"compress.channels.keep: {stage.keep} cannot be reached: {share:.3f} of the "
        f"{stage.of.replace('_', '-')} are left with {SHARE:.0%} of each layer's channels, or "
        f"with what sums, shuffles and groups tie together.",
        f"Raise it, such as `--set compress.channels.keep={possible}`."
        if possible < 1
        else "Leave the stage out, or choose a wider network.",
    )


def _least(width: int, round_to: int) -> int:
    """What a layer keeps: a quarter, rounded as widths are, and half where it is narrow."""
    return max(math.ceil(SHARE * width), min(round_to, width // 2))


def _inputs(data: "Data", batch_size: int) -> Iterator[Any]:
    return data.train.inputs(data.train.sample(PICTURES), batch_size)


def _described(before: Coupling, after: Coupling, kept: dict[str, list[int]]) -> Plan:
    widths = {name: [len(own), len(kept[name])] for name, own in before.traced.own.items()}
    thinned = {name: pair for name, pair in widths.items() if pair[1] < pair[0]}
    return {
        "channels": {name: kept[name] for name in thinned},
        "widths": thinned,
        "multiply_adds": [round(Spaces(one).total("multiply_adds")) for one in (before, after)],
        "parameters": [round(Spaces(one).total("parameters")) for one in (before, after)],
    }
