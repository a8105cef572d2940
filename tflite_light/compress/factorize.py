"""Low rank: layers become two narrower ones, where that costs fewer multiply-adds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from tflite_light.compress import Plan, Stage
from tflite_light.errors import UserError
from tflite_light.graph.kernels import multiply_adds
from tflite_light.graph.uses import require_flat
from tflite_light.parts import Epochs

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data, Examples


class Factorize(Stage):
    """Dense layers and 1x1 convolutions into two of a lower rank, n x n into n x 1 and 1 x n.

    As Jaderberg et al. 2014, arXiv 1405.3866, and Zhang et al. 2015, arXiv 1411.4229: a layer's
    directions are those in which its outputs vary most on training pictures, not those of its
    kernel alone. Depthwise and grouped convolutions stay.
    With `keep`, ranks are taken where they cost least: again and again the layer is narrowed that
    moves the logits least for the multiply-adds it saves, judged on 256 training pictures with
    batch norms measured anew, as they are before training goes on.
    """

    epoch_cost: ClassVar[float] = 1.1  # MobileNet v2 0.35 at 96 px, 2 cores

    keep: float | None = Field(
        None, gt=0, lt=1, description="share of the network's multiply-adds; default: 0.7"
    )
    energy: float | None = Field(
        None, gt=0, lt=1, description="instead: share of each layer's output variance that stays"
    )
    ranks: dict[str, int] | None = Field(
        None, min_length=1, description="instead: ranks by layer, {name: rank}"
    )
    exclude: list[str] = Field(
        [], description="layers that stay as they are: names, or patterns such as block1_*"
    )
    epochs: Epochs = Field(5, description="epochs of training inside the stage")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    @classmethod
    def example(cls, folder: Path) -> "Factorize":
        return cls(keep=0.9)

    @model_validator(mode="after")
    def _one_rule(self) -> "Factorize":
        rules = [key for key in ("keep", "energy", "ranks") if getattr(self, key) is not None]
        if len(rules) > 1:
            raise ValueError(f"{' and '.join(rules)} both choose the ranks; write one of them")
        return self

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """Ranks by layer, and the network's multiply-adds before and after."""
        from tflite_light.compress import _ranks

        require_flat(model, self.key)
        layers = _ranks.splittable(model, self.exclude)
        ranks = self._ranks(model, layers, data)
        if not ranks and data:
            raise UserError(
                "compress.factorize would leave every layer as it is: none gets cheaper.",
                "Lower `energy`, or leave the stage out.",
            )
        before = multiply_adds(model).total()
        return {"ranks": ranks, "multiply_adds": [before, before - _ranks.saved(layers, ranks)]}

    def covers(self, model: Any, plan: Plan) -> list[str]:
        """Where pictures are still to decide, all that can become cheaper."""
        from tflite_light.compress import _ranks

        return list(plan["ranks"]) or _ranks.narrowable(_ranks.splittable(model, self.exclude))

    def undecided(self, model: Any) -> list[str]:
        from tflite_light.compress import _ranks
        from tflite_light.graph.low_rank import HALF
        from tflite_light.graph.naming import free

        layers = {} if self.ranks else _ranks.splittable(model, self.exclude)
        taken = {layer.name for layer in model.layers}
        return [free(f"{name}{HALF}", taken) for name in _ranks.narrowable(layers)]

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        from tflite_light.compress import _directions

        return _directions.factorized(model, plan["ranks"])

    def prepare(self, wrapped: Any, model: Any, plan: Plan, examples: "Examples") -> None:
        """Directions by the pictures in place of those of the kernels; then the batch norms."""
        from tflite_light.compress import _directions

        wrapped.set_weights(_directions.fitted(model, plan["ranks"], examples).get_weights())

    def _ranks(self, model: Any, layers: Any, data: "Data | None") -> dict[str, int]:
        from tflite_light.compress import _ranks

        examples = data.train if data else None
        if self.ranks:
            return _ranks.given(self.ranks, layers)
        if self.energy:
            return _ranks.by_energy(model, layers, examples, self.energy)
        return _ranks.by_budget(model, layers, examples, 0.7 if self.keep is None else self.keep)
