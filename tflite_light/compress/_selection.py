"""Which channels go: round by round the least important, until the costs are within the budget."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tflite_light.compress import Plan
from tflite_light.compress._budget import SHARE, Figure, Spaces, choose
from tflite_light.compress._saliency import by_norm, by_scale, by_taylor
from tflite_light.errors import UserError
from tflite_light.graph.coupling import Coupling, Numbers, couple
from tflite_light.graph.kernels import multiply_adds
from tflite_light.graph.reconstruction import reconstructed
from tflite_light.graph.statistics import measure, standardise
from tflite_light.graph.thinner import Kept, thin
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.compress.channels import Channels
    from tflite_light.pipeline.examples import Data, Examples

PICTURES = 256  # of training, for scores and for statistics
MEASURED = 32  # pictures at a time, whose activations are in memory together
READ = 8  # pictures at a time, of which all layers' inputs are: 0.3 GB for MobileNet v2 at 224 px
SCORED = 8  # pictures for each gradient


def selected(stage: "Channels", model: Any, data: "Data | None") -> Plan:
    """The plan of `Channels`, with multiply-adds for latency. Raises UserError where its `keep`
    cannot be reached."""
    figure: Figure = "parameters" if stage.of == "parameters" else "multiply_adds"
    whole = coupling = couple(model)
    least = {name: _least(len(own), stage.round_to) for name, own in whole.traced.own.items()}
    kept = {name: list(range(len(own))) for name, own in whole.traced.own.items()}
    total, rounds = Spaces(whole).total(figure), stage.rounds if data else 1
    thinned = standardise(model, _inputs(data, 0, 1, MEASURED)) if data else model
    for number in range(1, rounds + 1):
        target = total * stage.keep ** (number / rounds)
        pictures = _inputs(data, 0, 1, SCORED) if data else None
        scores = _scores(stage, thinned, coupling, pictures)
        spaces = Spaces(coupling)
        stay = coupling.kept(choose(spaces, scores, figure, target, least, stage.round_to))
        kept |= {name: [kept[name][place] for place in places] for name, places in stay.items()}
        thinned = thin(thinned, stay)
        if data:
            measure(thinned, _inputs(data, number, rounds, MEASURED))
        coupling = couple(thinned)
    before, after = _costs(model, whole), _costs(thinned, coupling)
    _require(stage, figure, after[figure] / before[figure], whole.traced.holding)
    widths = {name: [len(own), len(kept[name])] for name, own in whole.traced.own.items()}
    thinner = {name: pair for name, pair in widths.items() if pair[1] < pair[0]}
    return {
        "channels": {name: kept[name] for name in thinner},
        "widths": thinner,
        **{each: [before[each], after[each]] for each in before},
    }


def fitted(model: Any, kept: Kept, examples: "Examples") -> Any:
    """A network thinned as it answers nearest to the whole one on pictures, without training."""
    pictures = examples.sample(PICTURES)
    standard = standardise(model, examples.inputs(pictures, MEASURED))
    thinned = thin(reconstructed(standard, kept, examples.inputs(pictures, READ)), kept)
    measure(thinned, examples.inputs(pictures, MEASURED))
    return thinned


def _scores(
    stage: "Channels", model: Any, coupling: Coupling, pictures: Iterator[Any] | None
) -> Numbers:
    if stage.score == "scale":
        return by_scale(model, coupling)
    if pictures is None or stage.score == "norm":
        return by_norm(model, coupling)
    return by_taylor(model, coupling, pictures)


def _require(stage: "Channels", figure: Figure, share: float, holding: list[str]) -> None:
    """Raises UserError where more than `keep` is left; `holding` layers need all that they read."""
    if share <= stage.keep:
        return
    costs = figure.replace("_", "-")
    if stage.of == "latency":
        costs += ", which fall faster than the latency,"
    possible = math.ceil(100 * share) / 100
    least = f"{SHARE:.0%} of each layer's channels, or with what sums, shuffles and groups tie"
    held = f"all channels read by {some(holding)}, which the stage does not know; else with "
    raise UserError(
        f"compress.channels.keep: {stage.keep} cannot be reached: {share:.3f} of the "
        f"{costs} are left with {held if holding else ''}{least} together.",
        f"Raise it, such as `--set compress.channels.keep={possible}`."
        if possible < 1
        else "Leave the stage out, or build the network without these layers."
        if holding
        else "Leave the stage out, or choose a wider network.",
    )


def _least(width: int, round_to: int) -> int:
    """What a layer keeps: a quarter, rounded as widths are, and half where it is narrow."""
    return max(math.ceil(SHARE * width), min(round_to, width // 2))


def _inputs(data: "Data", number: int, rounds: int, batch_size: int) -> Iterator[Any]:
    """A round's share of the pictures, enough for statistics of a network that is thinned again."""
    pictures = data.train.sample(PICTURES)
    shares = max(1, min(rounds, len(pictures) // MEASURED))
    return data.train.inputs(pictures[number % shares :: shares], batch_size)


def _costs(model: Any, coupling: Coupling) -> dict[Figure, int]:
    return {
        "multiply_adds": multiply_adds(model).total(),
        "parameters": round(Spaces(coupling).total("parameters")),
    }
