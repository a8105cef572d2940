"""Channel pruning: a smaller network of the same layers, which is faster everywhere."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tflite_light.compress import Plan, Stage
from tflite_light.parts import Epochs

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data, Examples


class Channels(Stage):
    """Structured pruning by global importance, after Molchanov et al. 2019, arXiv 1906.10771.

    Channels that a sum, a product, a shuffle or a grouped convolution ties together go together.
    Of all such sets those go first whose loss changes the logits least for the time it saves, as
    XNNPACK takes it. The picture, the classes and a quarter of each layer stay, and so does what a
    layer reads of which it is not known how it uses channels. No zeros of an
    earlier stage are kept, since training goes on with all weights.
    """

    keep: float = Field(0.5, gt=0, lt=1, description="largest share of the costs that stays")
    of: Literal["multiply_adds", "parameters", "latency"] = Field(
        "multiply_adds",
        description="the costs; latency is the float32 file's, measured on this computer",
    )
    score: Literal["taylor", "norm", "scale"] = Field(
        "taylor",
        description="importance by the logits' gradients, filters' norms or batch norms' scales",
    )
    rounds: int = Field(5, ge=1, le=100, description="removals, each scored anew")
    round_to: int = Field(8, ge=1, le=64, description="widths become multiples where they can")
    epochs: Epochs = Field(10, description="epochs of training inside the stage")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """`channels`: the output channels that each thinned layer keeps; `widths`, `multiply_adds`
        and `parameters`, and `latency_ms` where it is the budget: before and after.
        """
        from tflite_light.compress._latency import within
        from tflite_light.compress._selection import selected
        from tflite_light.graph.uses import require_flat

        require_flat(model, self.key, once=True)
        if self.of == "latency" and data:
            return within(self, model, data)
        return selected(self, model, data)

    def covers(self, model: Any, plan: Plan) -> list[str]:
        return list(plan["channels"])

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        from tflite_light.graph.thinner import thin

        return thin(model, plan["channels"])

    def prepare(self, wrapped: Any, model: Any, plan: Plan, examples: "Examples") -> None:
        """What stays takes over what goes, by least squares; then batch norms are measured."""
        from tflite_light.compress._selection import fitted

        wrapped.set_weights(fitted(model, plan["channels"], examples).get_weights())
