"""Channel pruning: a smaller network of the same layers, which is faster everywhere."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tflite_light.compress import Plan, Stage
from tflite_light.compress._budget import Figure, Spaces, choose
from tflite_light.compress._saliency import by_norm, by_taylor
from tflite_light.errors import UserError
from tflite_light.graph.coupling import Coupling, couple
from tflite_light.graph.statistics import measure, moved, set_statistics, standardise
from tflite_light.graph.thinner import thin

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data

PICTURES = 256  # of training, for scores and for statistics
MEASURED = 32  # pictures at a time, whose activations are in memory together
SCORED = 8  # pictures for each gradient
SHARE = 0.25  # of its channels, which every layer keeps


class Channels(Stage):
    """Structured pruning by global importance, after Molchanov et al. 2019, arXiv 1906.10771.

    Channels that a sum, a product, a shuffle or a grouped convolution ties together go together.
    Of all such sets those go first whose loss changes the logits least for the multiply-adds it
    saves. The picture, the classes and a quarter of each layer stay. No zeros of an earlier stage
    are kept, since training goes on with all weights.
    """

    keep: float = Field(0.5, gt=0, lt=1, description="largest share of the costs that stays")
    of: Figure = Field("multiply_adds", description="the costs: multiply_adds or parameters")
    score: Literal["taylor", "norm"] = Field(
        "taylor", description="importance by the logits' gradients, or by the filters' norms"
    )
    rounds: int = Field(5, ge=1, le=100, description="removals, each scored anew")
    round_to: int = Field(8, ge=1, le=64, description="widths become multiples where they can")
    epochs: int = Field(10, ge=1, description="epochs of training inside the stage")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """`channels`: the output channels that each thinned layer keeps; `widths`, `multiply_adds`
        and `parameters`: before and after; `statistics` of batch norms, where there are pictures.
        """
        whole = coupling = couple(model)
        least = {name: _least(len(own), self.round_to) for name, own in whole.traced.own.items()}
        kept = {name: list(range(len(own))) for name, own in whole.traced.own.items()}
        total, rounds = Spaces(whole).total(self.of), self.rounds if data else 1
        thinned = standard = standardise(model, _inputs(data, MEASURED)) if data else model
        for number in range(1, rounds + 1):
            target = total * self.keep ** (number / rounds)
            stay = self._chosen(thinned, coupling, data, target, least)
            kept |= {name: [kept[name][place] for place in places] for name, places in stay.items()}
            thinned = thin(thinned, stay)
            if data:
                measure(thinned, _inputs(data, MEASURED))
            coupling = couple(thinned)
        self._require(Spaces(coupling).total(self.of) / total)
        plan = _described(whole, coupling, kept)
        if data:
            stored, before = (thin(one, plan["channels"]) for one in (model, standard))
            plan["statistics"] = moved(stored, before, thinned)
        return plan

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        thinned = thin(model, plan["channels"])
        set_statistics(thinned, plan.get("statistics", {}))
        return thinned

    def _chosen(
        self,
        model: Any,
        coupling: Coupling,
        data: "Data | None",
        target: float,
        least: dict[str, int],
    ) -> dict[str, list[int]]:
        """The output channels that stay of each layer that loses some."""
        if data and self.score == "taylor":
            scores = by_taylor(model, coupling, _inputs(data, SCORED))
        else:
            scores = by_norm(model, coupling)
        spaces = Spaces(coupling)
        return coupling.kept(choose(spaces, scores, self.of, target, least, self.round_to))

    def _require(self, share: float) -> None:
        """Raises UserError where more than `keep` is left."""
        if share <= self.keep:
            return
        possible = math.ceil(100 * share) / 100
        raise UserError(
            f"compress.channels.keep: {self.keep} cannot be reached: {share:.3f} of the "
            f"{self.of.replace('_', '-')} are left with {SHARE:.0%} of each layer's channels, or "
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
