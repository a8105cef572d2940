"""Magnitude pruning: the smallest weights become zero, and training makes up for them."""

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tflite_light.compress import Plan, Stage
from tflite_light.compress._layers import is_pointwise, weighty
from tflite_light.compress._patterns import Pattern
from tflite_light.errors import UserError
from tflite_light.graph.copied import copied
from tflite_light.graph.uses import require_flat
from tflite_light.parts import Epochs
from tflite_light.progress import say
from tflite_light.tflite.promises import Groups, Promise, Zeros
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data


class Prune(Stage):
    """Zhu & Gupta 2017, arXiv 1710.01878: sparsity rises by a cubic polynomial.

    `sparsity` is a promise on the exported file: the share of all its kernel weights, depthwise
    ones included, that are zero. The first convolution and the depthwise ones hold 1 to 5 % of the
    weights and lose accuracy first, so they stay dense and each other layer is pruned a little more
    to make up.

    `pattern` is a promise, too. `2:4`: of every 4 neighbouring input channels, at each place of a
    kernel and for each output channel, at most 2 have a weight, as sparse tensor units and TF-MOT
    have it; sparsity follows. `4x1`: blocks of 4 output channels x 1 input channel are zero as a
    whole. XNNPACK's sparse kernels take 1x1 convolutions, in blocks of 1, 2 or 4 output channels:
    `only: pointwise`, with `2x1` or `4x1` (Elsen et al. 2019, arXiv 1911.09723). Layers whose
    channels make no whole groups stay dense.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"zeros"})  # what keeps them, keeps their pattern
    epoch_cost: ClassVar[float] = 1.1  # 1.07 a step by benchmarks/steps.py

    sparsity: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the file's kernel weights that are zero; default: 0.5",
    )
    pattern: str = Field(
        "unstructured",
        description="which weights go: unstructured, N:M such as 2:4, or blocks such as 4x1",
    )
    schedule: Literal["polynomial", "constant"] = Field(
        "polynomial", description="sparsity rises, or is whole from the first step"
    )
    only: Literal["all", "pointwise"] = Field(
        "all", description="all layers, or the 1x1 convolutions that XNNPACK has sparse kernels for"
    )
    exclude: list[str] = Field(
        [], description="layers that stay dense: names, or patterns such as block1_*"
    )
    epochs: Epochs = Field(5, description="epochs of training inside the stage")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    @field_validator("pattern")
    @classmethod
    def _known(cls, text: str) -> str:
        Pattern.parse(text)
        return text

    @model_validator(mode="after")
    def _one_rule(self) -> "Prune":
        if self._pattern.most and self.sparsity is not None:
            raise ValueError(
                f"pattern {self.pattern} has a sparsity of its own; leave sparsity out"
            )
        return self

    @property
    def _pattern(self) -> Pattern:
        return Pattern.parse(self.pattern)

    @property
    def _promised_zeros(self) -> float:
        return 0.5 if self.sparsity is None else self.sparsity

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """`sparsity` and shape of each layer that is pruned, the layers that the pattern leaves
        `dense`, and the share of `zeros` among all weights."""
        from tflite_light.graph.scaling import counted

        require_flat(model, self.key)
        chosen = self._chosen(model)
        layers = [layer for layer in chosen if self._pattern.fits(layer.kernel.shape)]
        dense = [layer.name for layer in chosen if layer not in layers]
        if not layers:
            raise UserError(
                f"compress.prune.pattern: {self.pattern} fits no layer: the channels of "
                f"{some(dense)} make no whole groups.",
                "Write a smaller pattern, such as 2x1, or unstructured.",
            )
        if dense and data is None:
            say(f"prune: {some(dense)} stay dense: channels make no whole groups of {self.pattern}")
        shapes = {layer.name: list(layer.kernel.shape) for layer in layers}
        zeros, each = self._shares(shapes, *counted(model, list(shapes), self.key))
        sparsity = dict.fromkeys(shapes, each)
        return {"zeros": zeros, "sparsity": sparsity, "shapes": shapes, "dense": dense}

    def covers(self, model: Any, plan: Plan) -> list[str]:
        return list(plan["sparsity"])

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        return copied(model)

    def callbacks(self, wrapped: Any, plan: Plan) -> list[Any]:
        from tflite_light.compress._masks import Masks

        layers = {name: wrapped.get_layer(name).kernel for name in plan["sparsity"]}
        goals = [
            (kernel, self._pattern.pruned(kernel.shape, plan["sparsity"][name]))
            for name, kernel in layers.items()
        ]
        return [Masks(goals, self._pattern, ramp=self.schedule == "polynomial")]

    def promises(self, plan: Plan) -> list[Promise]:
        zeros = Zeros(plan.get("zeros", self._promised_zeros), "compress.prune.sparsity")
        if self.pattern == "unstructured":
            return [zeros]
        wanted = tuple(
            (tuple(shape), self._promised_groups(shape, plan["sparsity"][name]))
            for name, shape in plan["shapes"].items()
        )
        return [Groups(*self._pattern, wanted, "compress.prune.pattern"), zeros]

    def _promised_groups(self, shape: list[int], sparsity: float) -> int:
        if self._pattern.most:
            return self._pattern.groups(shape)
        return self._pattern.pruned(shape, sparsity)

    def _chosen(self, model: Any) -> list[Any]:
        any_weights = self.pattern == "unstructured"
        first = weighty(model, transposed=any_weights)[:1]
        layers = [
            layer
            for layer in weighty(
                model, self.exclude, "compress.prune.exclude", transposed=any_weights
            )
            if layer not in first and (self.only == "all" or is_pointwise(layer))
        ]
        if layers:
            return layers
        raise UserError(
            "compress.prune leaves every layer dense: the first convolution and depthwise ones, "
            "those of `exclude`, and those that are not of `only`.",
            "Exclude fewer layers, write `only: all`, or leave the stage out.",
        )

    def _shares(self, shapes: dict[str, list[int]], total: int, within: int) -> tuple[float, float]:
        """The share of zeros among all weights, of which `within` are pruned, and in each layer
        that is."""
        if not self._pattern.most:
            return self._promised_zeros, self._each(self._promised_zeros, shapes, total, within)
        each = 1 - self._pattern.most / self._pattern.inputs
        pruned = sum(self._pattern.pruned(one, each) for one in shapes.values())
        return pruned * within / (total * sum(map(math.prod, shapes.values()))), each

    def _each(self, zeros: float, shapes: dict[str, list[int]], total: int, within: int) -> float:
        """Sparsity of each pruned layer, so that all kernels together reach the promise."""
        each = zeros * total / max(within, 1)
        if each >= 1:
            lower = f"{0.9 * within / total:.2g}"
            raise UserError(
                f"compress.prune.sparsity: {zeros} cannot be reached, because only "
                f"{within / total:.3f} of the weights are in layers that are pruned.",
                f"Lower it, such as `--set compress.prune.sparsity={lower}`, or let more layers be "
                "pruned; depthwise ones and the first convolution never are.",
            )
        for name, shape in shapes.items():
            if self._pattern.pruned(shape, each) == self._pattern.groups(shape):
                raise UserError(
                    f"compress.prune.sparsity: {zeros} would leave no weight in {name}.",
                    f"Lower it, or write `exclude: [{name}]`.",
                )
        return each
