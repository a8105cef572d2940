"""Weights to start from.

A new kind is one file here with one public class derived from `Weights`. It only says what it holds
and by whose names; `load` fits it to a network, the same way for every kind. `example` gives the
tests a small one, which fits `example_architecture`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from tflite_light.contract import Image
from tflite_light.models import Architecture, Names
from tflite_light.parts import Part
from tflite_light.sockets import load as load_part
from tflite_light.weights._kinds import SUFFIXES as SUFFIXES

Arrays = dict[str, Any]  # name -> NumPy array
ALIKE = 0.05  # of a normalised pixel


class Weights(Part):
    """Named arrays, and the reference implementations whose names they may have."""

    variant: ClassVar[str | None] = None  # of a network that has it, where the recipe names none

    @abstractmethod
    def arrays(self, architecture: Architecture) -> Arrays:
        """What is stored, the same each time: a run that goes on is held to it.

        Raises UserError when it is missing, damaged or not to be trusted.
        """

    @abstractmethod
    def references(self, architecture: Architecture) -> dict[str, Names]:
        """The reference implementations whose names the arrays may have; `own` are this project's,
        with no mapping.
        """

    def classes(self) -> list[str] | None:
        """What the logits stand for, in their order; None where it is not known."""
        return None

    def image(self, architecture: Architecture) -> Image | None:
        """What their pictures went through; None where it is not known."""
        return None

    def remarks(self) -> list[str]:
        """What a person who names them should know of what is stored."""
        return []

    @classmethod
    def at_hand(cls, architecture: Architecture) -> Self | None:
        """Published weights of the network that lie on this machine already."""
        return None

    def fills(self, architecture: Architecture) -> dict[str, Any]:
        """What `image:` is where a recipe does not write it: of weights that are known by table."""
        return {}

    def digest(self, architecture: Architecture) -> str:
        """SHA-256, in hex, of what is stored, and of the order of its classes."""
        from tflite_light.weights._match import digest

        return digest(self, architecture)

    def misfit(self, image: Image, architecture: Architecture) -> str:
        """What is wrong with a recipe's pixels for these weights; nothing where all is well.

        Differences of less than ALIKE are: 128 is as good as 127.5.
        """
        known = self.image(architecture)
        if not known or (known.channels == image.channels and known.distance(image) < ALIKE):
            return ""
        there, here = (
            f"channels: {one.channels}, mean: {list(one.mean)}, std: {list(one.std)}"
            for one in (known, image)
        )
        return f"weights {self.source} know pixels with {there}, not with {here}"

    def misfit_hint(self) -> str:
        """What to do where the arrays are not those of the recipe's network."""
        return (
            "Compare the model and its fields (alpha, variant, version ...) with what the file was "
            "made for."
        )

    @classmethod
    def example_architecture(cls) -> Architecture:
        """What `example` fits, built for 32-pixel pictures of ten classes."""
        return load_part("models", "tiny")(width=4)  # type: ignore[no-any-return]

    @property
    def source(self) -> str:
        """What to call them to a person."""
        return str(getattr(self, "path", self.key))

    def load(
        self,
        model: Any,
        architecture: Architecture,
        classes: Sequence[str] | None = None,
        *,
        whole: bool = False,
    ) -> list[str]:
        """Put the weights into a model that `architecture` built; remarks for a person.

        A file may hold more than the network, below any prefix, as training checkpoints do; what is
        taken and what is left out is remarked. Of several networks that fit, the averaged one (a
        part of whose prefix is or ends in `ema`) is taken; otherwise UserError asks which.

        The classifier: where both sides name their classes (`classes` are the model's), it is taken
        over if they are the same, its rows put into the model's order; if any differs, or their
        number, it keeps what the model had, to be trained anew, and a remark says so. With `whole`,
        for models that are not trained afterwards, that is a UserError. Unnamed classes are taken
        to be in the same order.

        Raises UserError that lists what is missing, unexpected or of another shape; the model is
        then as it was.
        """
        from tflite_light.weights._match import assign_weights

        return assign_weights(self, model, architecture, classes, whole)
