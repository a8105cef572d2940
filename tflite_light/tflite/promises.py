"""What a file must hold, as values: a stage promises, and delivery looks into the file.

A promise is a frozen value with a `name`, a `figure` and `shortfall(file)`. Another kind is another
class here; it inherits nothing, it only has these three.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tflite_light.tflite.file import File


class Promise(Protocol):
    """A figure that a file must reach."""

    @property
    def name(self) -> str:
        """What is promised, in a word, such as `zeros`."""

    @property
    def figure(self) -> float:
        """How much of it."""

    def shortfall(self, file: "File") -> "Shortfall | None":
        """What the file lacks; None where the promise is kept."""


@dataclass(frozen=True)
class Shortfall:
    """A broken promise: what is wrong with the file, and what to do about it."""

    problem: str  # to be read after the file's name: `has ...`
    hint: str


@dataclass(frozen=True)
class Zeros:
    """At least this share of all weights that multiply, biases aside, is exactly zero.

    `place` is where the recipe says so, in the form that `--set` takes.
    """

    share: float
    place: str  # such as compress.0.prune.sparsity

    @property
    def name(self) -> str:
        return "zeros"

    @property
    def figure(self) -> float:
        return self.share

    def shortfall(self, file: "File") -> Shortfall | None:
        found = file.zeros()
        if found >= self.share:
            return None
        reached = int(100 * found) / 100
        lower = f"Lower `{self.place}` to {reached} (`--set {self.place}={reached}`), or give"
        return Shortfall(
            f"has {found:.4f} zeros among its weights, fewer than the promised {self.share:g}.",
            f"{lower if reached else 'Give'} the stage more epochs.",
        )
