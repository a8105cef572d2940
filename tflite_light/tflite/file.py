"""What is inside a `.tflite` file, read from its flatbuffer: nothing here runs it."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tflite_light.errors import UserError
from tflite_light.tflite import layout
from tflite_light.tflite.flatbuffer import Damage
from tflite_light.tflite.graph import Graph, Weight


@dataclass(frozen=True)
class File:
    """A parsed file."""

    content: bytes

    @cached_property
    def _model(self) -> Any:
        return layout.read(self.content)

    @cached_property
    def graphs(self) -> list[Graph]:
        """One for each signature, and one for each body of a loop or a branch."""
        return [Graph(self.content, self._model, at) for at in range(len(self._model.subgraphs))]

    @property
    def operators(self) -> list[tuple[str, Any]]:
        """Name and record of each operator of every graph, in order."""
        return [operator for graph in self.graphs for operator in graph.operators]

    def codes(self) -> list[tuple[str, int]]:
        """Name and version of each operator of every graph."""
        return [code for graph in self.graphs for code in graph.codes]

    def float_operators(self) -> list[str]:
        """Names of the operators that read or write a floating-point tensor."""
        return [name for graph in self.graphs for name in graph.float_operators()]

    def weights(self, *, each_use: bool = False) -> Iterator[Weight]:
        """Each constant that an operator multiplies its input by, whatever its storage.

        Those that several operators share come once, or once for `each_use`; variables, and values
        in other files, not.
        """
        seen: set[object] = set()
        for graph in self.graphs:
            for index, weight in graph.weights():
                place = graph.place_of(index)
                if each_use or place not in seen:
                    yield weight
                seen.add(place)

    def zeros(self) -> float:
        """Share of all weights that are exactly zero."""
        return share_of_zeros(self.weights())

    def with_shapes(self, shapes: Mapping[int, tuple[int, ...]]) -> "File":
        """The same with other shapes of its first graph's activations, none of them open."""
        file = File(self.content)
        graph = file.graphs[0]
        for index, tensor in enumerate(graph.tensors):
            if index in shapes and not graph.is_constant(index):
                tensor.shape, tensor.shapeSignature, tensor.hasRank = shapes[index], None, True
        return file

    def check(self) -> None:
        """Raises Damage where parts do not fit."""
        if not self.graphs:
            raise Damage("no graph")
        for graph in self.graphs:
            graph.check()

    def deflated_bytes(self) -> int:
        """Size after deflate, as an app bundle or a download compresses it."""
        return len(zlib.compress(self.content, 9))


def share_of_zeros(weights: Iterable[Weight]) -> float:
    counts = [(weight.zeros, weight.values.size) for weight in weights]
    return sum(zeros for zeros, _ in counts) / (sum(size for _, size in counts) or 1)


def read(path: Path) -> File:
    """Raises UserError when `path` is not a TFLite file, or a damaged one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}.", "Give the path of a .tflite file."
        ) from error
    if content[4:8] != b"TFL3":
        raise UserError(
            f"{path} is not a TFLite file.",
            "Give a .tflite file, such as one that `tflite-light export` writes.",
        )
    file = File(content)
    try:
        file.check()
    except Damage as error:
        raise UserError(
            f"{path} is damaged or was cut off: {error}.", "Copy it again, or export it again."
        ) from error
    return file
