"""Compression: stages that a trained model goes through, one after another.

A new stage is one file here with one public class derived from `Stage`. Which orders are possible
follows from what the stages declare, and is checked with the recipe.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tflite_light.graph.kernels import kernels
from tflite_light.parts import Epochs, Part

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data, Examples
    from tflite_light.tflite.promises import Promise

Plan = dict[str, Any]  # JSON; its key `kept` is the names of earlier stages' promises
Kind = Literal["float", "quantised"]


class Stage(Part):
    """Wraps a model, has it trained on for `epochs`, and takes the wrapping off again.

    What it decides by looking at the model it is given (ranks, kept channels, the sparsity of each
    layer) is its plan, which is saved beside the checkpoint. `wrap` and `strip` are pure functions
    of the plan, so that resuming, measuring and exporting rebuild the same graph.
    """

    accepts: ClassVar[tuple[Kind, ...]] = ("float",)  # kinds of model it can be given
    yields: ClassVar[Kind] = "float"  # the kind it leaves
    gives: ClassVar[frozenset[str]] = frozenset()  # names of its promises, such as `zeros`
    preserves: ClassVar[frozenset[str]] = frozenset()  # promises of earlier stages that it keeps
    epoch_cost: ClassVar[float] = 1.0  # time over an epoch without the stage; for the time left

    epochs: Epochs = Field(3, description="epochs of training inside the stage")
    learning_rate: float = Field(
        5e-4, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """What is decided for this very model, as JSON.

        Raises UserError where the stage cannot keep its promise. Before a run begins it is asked
        along the chain of planned, untrained models, without data: it then decides by the graph
        alone. It is asked again, with data, when the stage begins.
        """
        return {}

    def covers(self, model: Any, plan: Plan) -> list[str]:
        """Names of the layers whose kernels the plan is about; all that have some by default."""
        return [layer.name for layer in model.layers if kernels(layer)]

    def undecided(self, model: Any) -> list[str]:
        """Names of layers that it adds to the model or not, as pictures decide: a recipe that names
        one could fail when the stage is over.
        """
        return []

    @abstractmethod
    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        """The model to train for `steps` steps; the given one is left as it is."""

    def prepare(self, wrapped: Any, model: Any, plan: Plan, examples: "Examples") -> None:
        """Set what training starts from, by training pictures and the model that was wrapped; not
        called where training goes on.
        """

    def callbacks(self, wrapped: Any, plan: Plan) -> list[Any]:
        """Keras callbacks the stage needs while it is trained; `wrapped` is as `wrap` made it,
        also where training then goes on from a checkpoint.
        """
        return []

    def strip(self, wrapped: Any) -> Any:
        """The trained model without what only training needs."""
        return wrapped

    def promises(self, plan: Plan) -> "Sequence[Promise]":
        """What must hold in every exported file because of this stage; named in `gives`."""
        return []


def misfit(stages: Sequence[Stage]) -> str | None:
    """Why stages cannot run in this order; None where they can."""
    kind: Kind = "float"
    kept: dict[str, str] = {}  # promise -> the stage that gave it
    before = ""
    for stage in stages:
        if kind not in stage.accepts:
            return f"{stage.key} cannot follow {before}, which leaves a {kind} model"
        lost = sorted(kept.keys() - stage.preserves)
        if lost:
            return f"{stage.key} cannot follow {kept[lost[0]]}: it would not keep its {lost[0]}"
        kept |= dict.fromkeys(stage.gives, stage.key)
        kind, before = stage.yields, stage.key
    return None
