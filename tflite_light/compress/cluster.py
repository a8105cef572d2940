"""Weight sharing: each kernel is left with few different values, which training moves together."""

import math
import zlib
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tflite_light.compress import Plan, Stage
from tflite_light.compress._layers import weighty
from tflite_light.compress._structure import keeping
from tflite_light.errors import UserError
from tflite_light.graph.copied import copied
from tflite_light.graph.uses import require_flat
from tflite_light.parts import Epochs
from tflite_light.progress import say
from tflite_light.tflite.promises import Clusters, Promise
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data, Examples


class Cluster(Stage):
    """Values by k-means, weights by what layers answer with them, then the values are trained.

    As Han et al. 2016, Deep Compression, arXiv 1510.00149, where each weight gets the nearest.

    `centroids` is a promise on the exported file: no output channel of a kernel has more different
    values; no kernel has where nothing scales its channels and the file stores floats.
    Depthwise kernels hold 1 to 5 % of the weights and stay as they are, and so do kernels that the
    converter scales by input channels, as it does those of dense layers by batch norms before them.
    Zeros stay exactly those, and are one of the values. Training begins where weights have not the
    nearest of the values, but those that keep the answers of their layers on pictures.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"clusters"})
    preserves: ClassVar[frozenset[str]] = frozenset({"zeros"})
    epoch_cost: ClassVar[float] = 1.1  # MobileNet v2 0.35 at 96 px, 2 cores

    centroids: int = Field(16, ge=2, le=65_536, description="different values of a kernel")
    per: Literal["tensor", "channel"] = Field(
        "tensor", description="what shares the values: a kernel, or each of its output channels"
    )
    initial: Literal["optimal", "k-means++", "linear", "density"] = Field(
        "optimal",
        description="where k-means begins; optimal leaves the least squared error",
    )
    exclude: list[str] = Field(
        [], description="layers that stay as they are: names, or patterns such as block1_*"
    )
    epochs: Epochs = Field(5, description="epochs of training inside the stage")
    learning_rate: float = Field(
        5e-4, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """The layers that are clustered, and of how many of their values; and those whose kernel
        as a whole keeps to the number in a file of floats. What has so few weights is left as it
        is. The network is converted for it: 0.5 s for a small one, 9 s for Xception."""
        from tflite_light.graph.scaling import scaled

        require_flat(model, self.key)
        layers = weighty(model, self.exclude, "compress.cluster.exclude")
        kinds = scaled(model, [layer.name for layer in layers], self.key)
        lost = [name for name, kind in kinds.items() if kind == "otherwise"]
        layers = [layer for layer in layers if layer.name not in lost]
        if not layers:
            raise UserError(
                "compress.cluster leaves every layer as it is: those of `exclude`, and those whose "
                "kernels the converter scales by input channels, as by a batch norm before them, "
                "or leaves out, as nothing uses them.",
                "Exclude fewer layers, or leave the stage out.",
            )
        if lost and data is None:
            say(
                f"cluster: {some(lost)} stay as they are: the converter scales their kernels by "
                "input channels, as by a batch norm before them, or leaves them out, as nothing "
                "uses them"
            )
        most = max(map(self._members, layers))
        if most <= self.centroids:
            what = "kernel" if self.per == "tensor" else "output channel"
            raise UserError(
                f"compress.cluster.centroids: {self.centroids} are no fewer than the {most} "
                f"weights of the largest {what}.",
                "Write fewer.",
            )
        layers = [layer for layer in layers if self._members(layer) > self.centroids]
        whole = self.per == "tensor"
        return {
            "layers": [layer.name for layer in layers],
            "whole": [layer.name for layer in layers if whole and kinds[layer.name] == "whole"],
            "shapes": {layer.name: list(layer.kernel.shape) for layer in layers},
        }

    def covers(self, model: Any, plan: Plan) -> list[str]:
        return list(plan["layers"])

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        copy = copied(model)
        for name in plan["layers"]:
            kernel = copy.get_layer(name).kernel
            kernel.assign(self._clustered(name, kernel.numpy()))
        return copy

    def prepare(self, wrapped: Any, model: Any, plan: Plan, examples: "Examples") -> None:
        """Values are found anew, by what each weight multiplies on pictures; weights get those of
        them by which layers answer as they did."""
        from tflite_light.compress._assignment import PICTURES, READ, assign

        batches = examples.inputs(examples.sample(PICTURES), READ)
        assign(model, wrapped, plan["layers"], self.per == "channel", batches, self._clustered)

    def callbacks(self, wrapped: Any, plan: Plan) -> list[Any]:
        return keeping(wrapped, {"zeros", *self.gives})

    def promises(self, plan: Plan) -> list[Promise]:
        return [
            Clusters(
                self.centroids,
                tuple(
                    (tuple(shape), name in plan["whole"]) for name, shape in plan["shapes"].items()
                ),
                "compress.cluster.centroids",
            )
        ]

    def _members(self, layer: Any) -> int:
        size = int(math.prod(layer.kernel.shape))
        return size if self.per == "tensor" else size // int(layer.kernel.shape[-1])

    def _clustered(self, name: str, kernel: Any, costs: Any = None) -> Any:
        """The kernel with few values; `costs` are what the squared error of each weight costs."""
        import numpy as np

        from tflite_light.compress._centroids import shared

        seed = zlib.crc32(name.encode())
        if self.per == "tensor":
            return shared(kernel, self.centroids, self.initial, seed, costs)
        channels = np.moveaxis(kernel, -1, 0)
        each = [None] * len(channels) if costs is None else np.moveaxis(costs, -1, 0)
        found = [
            shared(one, self.centroids, self.initial, seed, cost)
            for one, cost in zip(channels, each, strict=True)
        ]
        return np.stack(found, axis=-1)
