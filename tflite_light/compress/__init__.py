"""Compression: stages that a trained model goes through, one after another.

A new stage is one file here with one public class derived from `Stage`, and its word in `ORDER`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tflite_light.sockets import Part

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples

ORDER = ("prune", "qat")  # weights are removed before what is left is quantised


class Stage(Part):
    """Wraps a model, has it trained on for `epochs`, and takes the wrapping off again.

    A model is rebuilt by wrapping and stripping afresh and loading weights, so `wrap` and `strip`
    may depend on nothing but the recipe and the weights of the model they are given.
    """

    epochs: int = Field(3, ge=1, description="epochs of training inside the stage")
    learning_rate: float = Field(
        5e-4, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def check(self, model: Any) -> None:
        """Raises UserError where the stage cannot keep its promise on a model as it was built."""

    @abstractmethod
    def wrap(self, model: Any, steps: int, before: Sequence["Stage"]) -> Any:
        """The model to train for `steps` steps, after the stages `before`."""

    def prepare(self, wrapped: Any, examples: "Examples") -> None:
        """Set what training starts from, by training pictures; not called on a resumed model."""

    def callbacks(self) -> list[Any]:
        """Keras callbacks the stage needs while it is trained."""
        return []

    def strip(self, wrapped: Any) -> Any:
        """The trained model without what only training needs."""
        return wrapped

    def promised_zeros(self) -> float:
        """The share of a file's kernel weights that must be zero because of this stage."""
        return 0.0
