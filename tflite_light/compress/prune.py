"""Magnitude pruning: the smallest weights become zero, and training makes up for them."""

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from tflite_light.compress import Plan, Stage
from tflite_light.compress._layers import copied, kernels, weighty
from tflite_light.errors import UserError
from tflite_light.stack import keras, tfmot
from tflite_light.tflite.promises import Promise, Zeros

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data

RAMP = 0.6  # of the stage's steps, in which sparsity rises; the rest trains what is left
UPDATES = 30  # of the masks, while it rises; each sorts every layer's weights


class Prune(Stage):
    """Zhu & Gupta 2017, arXiv 1710.01878, by TF-MOT: sparsity rises by a cubic polynomial.

    `sparsity` is a promise on the exported file: the share of all its kernel weights, depthwise
    ones included, that are zero. The first convolution and the depthwise ones hold 1 to 5 % of the
    weights and lose accuracy first, so they stay dense and each other layer is pruned a little more
    to make up.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"zeros"})
    epoch_cost: ClassVar[float] = 1.7  # MobileNet v2 0.35 at 96 px, 2 cores

    sparsity: float = Field(
        0.5, gt=0, lt=1, description="share of the file's kernel weights that are zero"
    )
    epochs: int = Field(5, ge=1, description="epochs of training inside the stage")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """The sparsity of each layer that is pruned."""
        pruned = _prunable(model)
        return {"sparsity": dict.fromkeys(pruned, self._each(model, pruned))}

    def covers(self, model: Any, plan: Plan) -> list[str]:
        return list(plan["sparsity"])

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        def wrap_layer(layer: Any) -> Any:
            sparsity = plan["sparsity"].get(layer.name)
            if sparsity is None:
                return layer
            return tfmot.sparsity.keras.prune_low_magnitude(layer, _schedule(sparsity, steps))

        # Of a copy, or the layers that are left alone would be the given model's.
        return keras.models.clone_model(copied(model), clone_function=wrap_layer)

    def _each(self, model: Any, pruned: list[str]) -> float:
        """Sparsity of each pruned layer, so that all kernels together reach the promise."""
        sizes = {
            layer.name: math.prod(kernel.shape)
            for layer in model.layers
            for kernel in kernels(layer)
        }
        total, within = sum(sizes.values()), sum(sizes[name] for name in pruned)
        each = self.sparsity * total / within
        if each >= 1:
            raise UserError(
                f"compress.prune.sparsity: {self.sparsity} cannot be reached, because only "
                f"{within / total:.3f} of the weights are outside depthwise and first "
                "convolutions.",
                f"Lower it, such as `--set compress.prune.sparsity={0.9 * within / total:.2f}`.",
            )
        # TF-MOT keeps round(size * (1 - sparsity)) weights a layer: half a zero each may lack.
        return float(min(each + 0.5 * len(pruned) / within, 1 - 1e-6))

    def callbacks(self, wrapped: Any, plan: Plan) -> list[Any]:
        return [tfmot.sparsity.keras.UpdatePruningStep()]

    def strip(self, wrapped: Any) -> Any:
        return tfmot.sparsity.keras.strip_pruning(wrapped)

    def promises(self, plan: Plan) -> list[Promise]:
        return [Zeros(self.sparsity, "compress.prune.sparsity")]


def _schedule(sparsity: float, steps: int) -> Any:
    end = max(1, int(RAMP * steps))
    return tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=end,
        frequency=max(1, end // UPDATES),
    )


def _prunable(model: Any) -> list[str]:
    return [layer.name for layer in weighty(model)][1:]
