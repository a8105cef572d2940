"""Weights to start from.

A new kind is one file here with one public class derived from `Weights`. It only says what it holds
and by whose names; `load` fits it to a network, the same way for every kind.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from tflite_light.models import Architecture, Names
from tflite_light.sockets import Part

Arrays = dict[str, Any]  # name -> NumPy array


class Weights(Part):
    """Named arrays, and the codes whose names they may have."""

    variant: ClassVar[str | None] = None  # of a network that has it, where the recipe names none

    @abstractmethod
    def arrays(self, architecture: Architecture) -> Arrays:
        """What is stored. Raises UserError when it is missing, damaged or not to be trusted."""

    @abstractmethod
    def codes(self, architecture: Architecture) -> dict[str, Names]:
        """The codes whose names the arrays may have; `own` are this project's, with no mapping."""

    @property
    def source(self) -> str:
        """What to call them to a person."""
        return str(getattr(self, "path", self.key))

    def load(self, model: Any, architecture: Architecture) -> list[str]:
        """Put the weights into a model that `architecture` built; remarks for a person.

        Raises UserError that lists what is missing, unexpected or of another shape.
        """
        from tflite_light.weights._match import assign_weights

        arrays = self.arrays(architecture)
        return assign_weights(model, architecture, arrays, self.codes(architecture), self.source)
