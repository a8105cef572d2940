"""What a network costs, all figures of it, of a recipe's architecture or of a file."""

import gc
from dataclasses import asdict, dataclass
from typing import Any

from tflite_light.cost.guidelines import Guideline
from tflite_light.cost.network import Network, Operator
from tflite_light.models import Architecture, Published
from tflite_light.tflite.file import File
from tflite_light.tflite.runtimes import newest_of, oldest


@dataclass(frozen=True)
class Inspected:
    """A network and where it is from: either a file, or an architecture at a size."""

    target: str
    network: Network
    guidelines: list[Guideline]
    file: File | None = None
    model: Architecture | None = None
    size: int | None = None  # side of its pictures

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        if self.model:
            fields = self.model.model_dump()
            return " ".join([self.model.key, *(f"{key} {fields[key]}" for key in fields)])
        return ".tflite file"

    @property
    def published(self) -> Published | None:
        """What the literature says of this very variant at this size."""
        if not self.model:
            return None
        model = self.model
        found = [row for row in model.published() if row.size == self.size]
        return next((row for row in found if type(model)(**row.fields) == model), None)

    @property
    def runtimes(self) -> dict[str, str | None]:
        """Each operator of a file, with version -> the oldest runtime that knows it, if known."""
        codes = set(self.file.codes()) if self.file else set()
        return {f"{op} {version}": oldest(op, version) for op, version in sorted(codes)}

    @property
    def min_runtime(self) -> str | None:
        """The oldest TFLite runtime that knows every operator that is known here."""
        known = [runtime for runtime in self.runtimes.values() if runtime]
        return newest_of(known) if known else None

    @property
    def unknown_operators(self) -> list[str]:
        """Operators of a file, with version, that no runtime is known for."""
        return [operator for operator, runtime in self.runtimes.items() if not runtime]

    @property
    def uncounted_operators(self) -> list[str]:
        """Operators of a file that multiply and are not among the multiply-adds."""
        others = [row for row in self.network.operators if row.kind == "other"]
        found = {(row.stored.op, row.weights) for row in others if row.stored}
        return sorted({op for op, weights in found if weights or "MATMUL" in op})

    def totals(self) -> dict[str, Any]:
        """One figure a key, units in the names; None where a target of this kind has none."""
        network, published = self.network, self.published
        return {
            "input_shape": list(network.input_shape),
            "operators": len(network.operators),
            "parameters": network.parameters,
            "multiply_adds": network.multiply_adds,
            "memory_access_float32_bytes": network.float32_bytes,
            "memory_access_int8_bytes": network.int8_bytes,
            "peak_activation_float32_bytes": 4 * network.peak,
            "peak_activation_int8_bytes": network.peak,
            **{guideline.name: round(guideline.figure, 4) for guideline in self.guidelines},
            "size_bytes": len(self.file.content) if self.file else None,
            "weight_zeros": self.weight_zeros,
            "min_runtime": self.min_runtime,
            "published_imagenet_top1": published.top1 if published else None,
        }

    @property
    def weight_zeros(self) -> float | None:
        """Share of a file's weights that are zero, biases aside."""
        rows = [row for row in self.network.operators if row.stored and row.weights]
        known = [(row.stored.zero_weights, row.weights) for row in rows if row.stored]
        counted = [(zeros, weights) for zeros, weights in known if zeros is not None]
        if not counted:
            return None
        return sum(zeros for zeros, _ in counted) / sum(weights for _, weights in counted)

    def to_json(self) -> dict[str, Any]:
        live = self.network.live
        return {
            "target": self.target,
            "title": self.title,
            **self.totals(),
            "peak_activation_layer": self.network.peak_operator.name,
            "unknown_operators": self.unknown_operators,
            "uncounted_operators": self.uncounted_operators,
            "published_source": self.published.source if self.published else None,
            "guidelines": [asdict(guideline) for guideline in self.guidelines],
            "layers": [
                _row_to_json(row, elements)
                for row, elements in zip(self.network.operators, live, strict=True)
            ],
        }


def _row_to_json(row: Operator, live: int) -> dict[str, Any]:
    stored = asdict(row.stored) if row.stored else {}
    return {
        "name": row.name,
        "kind": row.kind,
        "input_shapes": [list(tensor.shape) for tensor in row.inputs],
        "output_shape": list(row.output.shape),
        "parameters": row.parameters,
        "kernel": row.kernel,
        "groups": row.groups,
        "multiply_adds": row.multiply_adds,
        "memory_access_float32_bytes": row.float32_bytes,
        "memory_access_int8_bytes": row.int8_bytes,
        "live_activation_int8_bytes": live,
        **stored,
    }


def network_of(model: Architecture, size: int, classes: int) -> Network:
    """An architecture's network for `size` x `size` pictures, built but not trained."""
    from tflite_light.cost import of_model
    from tflite_light.stack import keras

    gc.disable()  # collecting costs a tenth of the seconds that TensorFlow takes to load and build
    try:
        undrawn = {"glorot_uniform": keras.initializers.Zeros}  # 23 million numbers in Xception
        with keras.utils.custom_object_scope(undrawn):
            return of_model.network(model.build((size, size, 3), classes))
    finally:
        gc.enable()
