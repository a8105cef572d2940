"""What a network costs, all figures of it, of a recipe's architecture or of a file."""

import gc
import re
from dataclasses import asdict, dataclass
from typing import Any

from tflite_light.cost import of_file
from tflite_light.cost.guidelines import GUIDELINES, Guideline
from tflite_light.cost.network import CALL, Network, Operator
from tflite_light.models import Architecture, Published
from tflite_light.tflite import metadata
from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Damage
from tflite_light.tflite.graph import Graph, is_known
from tflite_light.tflite.runtimes import newest_of, oldest

SIZED = (  # the totals that depend on the size of the pictures
    "multiply_adds",
    "memory_access_float32_bytes",
    "memory_access_int8_bytes",
    "peak_activation_float32_bytes",
    "peak_activation_int8_bytes",
    *GUIDELINES,
)
_PRODUCTS = re.compile("MATMUL|CONV(_|OLUTION|$)|DOT_GENERAL|LSTM|RNN|SVDF")  # also of variables


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
        """Operators of a file that multiply, or may, and are not among the multiply-adds.

        Custom ones, and those that run other graphs nobody knows how often.
        """
        stored = [(row, row.stored.op) for row in self.network.operators if row.stored]
        return sorted({op for row, op in stored if _may_multiply(row, op)})

    @property
    def repeating_operators(self) -> list[str]:
        """Operators of a file that run its other graphs, each of which is counted once."""
        return sorted({r.stored.op for r in self.network.operators if r.stored and r.kind == CALL})

    def totals(self) -> dict[str, Any]:
        """One figure a key, units in the names.

        None where a target of this kind has none, or where it depends on an open size.
        """
        network, published = self.network, self.published
        figures = {one.name: round(one.figure, 4) for one in self.guidelines}
        return {
            "input_shape": _sides(network.input_shape),
            "operators": len(network.operators),
            "parameters": network.parameters,
            **_figures(network),
            "peak_activation_float32_bytes": None if network.is_open else 4 * network.peak,
            "peak_activation_int8_bytes": None if network.is_open else network.peak,
            **{name: figures.get(name) for name in GUIDELINES},
            "size_bytes": len(self.file.content) if self.file else None,
            "weight_zeros": self.weight_zeros,
            "min_runtime": self.min_runtime,
            "published_imagenet_top1": published.top1 if published else None,
        }

    @property
    def weight_zeros(self) -> float | None:
        """Share of a file's weights that are zero, biases aside."""
        return self.file.zeros() if self.file and any(True for _ in self.file.weights()) else None

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What a file's standard metadata say of its pixels and labels, or why nobody can read
        them; None without any.
        """
        try:
            found = metadata.read(self.file.content) if self.file else None
        except Damage as error:
            return {"damage": str(error)}
        return asdict(found) if found else None

    @property
    def graphs(self) -> list[dict[str, Any]]:
        """What goes into each graph of a file and out of it, and its figures."""
        file, found = self.file, self.network.graphs
        if not file:
            return []
        return [
            {
                "name": name,
                "inputs": [_end(graph, index) for index in graph.inputs],
                "outputs": [_end(graph, index) for index in graph.outputs],
                "operators": len(found[name].operators) if name in found else 0,
                "parameters": found[name].parameters if name in found else 0,
                **_figures(found.get(name, Network(()))),
            }
            for graph, name in zip(file.graphs, of_file.graph_names(file), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        live, peak = self.network.live, self.network.peak_operator
        return {
            "target": self.target,
            "title": self.title,
            **self.totals(),
            "open_sizes": self.network.is_open,
            "peak_activation_layer": None if self.network.is_open or not peak else peak.name,
            "graphs": self.graphs,
            "metadata": self.metadata,
            "unknown_operators": self.unknown_operators,
            "uncounted_operators": self.uncounted_operators,
            "published_source": self.published.source if self.published else None,
            "guidelines": [asdict(guideline) for guideline in self.guidelines],
            "layers": [
                _row_to_json(row, None if self.network.is_open else elements)
                for row, elements in zip(self.network.operators, live, strict=True)
            ],
        }


def _row_to_json(row: Operator, live: int | None) -> dict[str, Any]:
    stored = asdict(row.stored) if row.stored else {}
    return {
        "name": row.name,
        "kind": row.kind,
        "graph": row.graph,
        "input_shapes": [_sides(tensor.shape) for tensor in row.inputs],
        "output_shape": _sides(row.output.shape) if row.outputs else None,
        "parameters": row.parameters,
        "kernel": row.kernel,
        "groups": row.groups,
        **_figures(row),
        "live_activation_int8_bytes": live,
        **stored,
    }


def _figures(counted: Network | Operator) -> dict[str, int | None]:
    """What depends on the size of the pictures."""
    figures = {
        "multiply_adds": counted.multiply_adds,
        "memory_access_float32_bytes": counted.float32_bytes,
        "memory_access_int8_bytes": counted.int8_bytes,
    }
    return {name: None if counted.is_open else figure for name, figure in figures.items()}


def _sides(shape: tuple[int, ...]) -> list[int | None]:
    return [None if side < 0 else side for side in shape]


def _end(graph: Graph, index: int) -> dict[str, Any]:
    """An input or output of a graph."""
    name, sides = graph.name_of(index), _sides(graph.sides_of(index))
    return {"name": name, "shape": sides, "type": graph.type_of(index)}


def _may_multiply(row: Operator, op: str) -> bool:
    multiplies = row.weights > 0 or _PRODUCTS.search(op) or not is_known(op)
    return row.kind == CALL or (row.kind == "other" and bool(multiplies))


def network_of(model: Architecture, size: int, classes: int) -> Network:
    """An architecture's network for `size` x `size` pictures, built but not trained."""
    from tflite_light.cost import of_model
    from tflite_light.graph.flattening import flattened
    from tflite_light.stack import keras

    gc.disable()  # collecting costs a tenth of the seconds that TensorFlow takes to load and build
    try:
        undrawn = {"glorot_uniform": keras.initializers.Zeros}  # 23 million numbers in Xception
        with keras.utils.custom_object_scope(undrawn):
            return of_model.network(flattened(model.build((size, size, 3), classes)))
    finally:
        gc.enable()
