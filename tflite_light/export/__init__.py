"""Kinds of `.tflite` file.

A new mode is one file here with one public class derived from `Mode`.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tflite_light.sockets import Part

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples
    from tflite_light.tflite.file import File


class Mode(Part):
    """Turns a Keras model into the bytes of a file with batch 1, logits out."""

    accepts_qat_model: ClassVar[bool] = (
        False  # whether it converts the model after `qat`, or the one before
    )

    needs_pictures: ClassVar[bool] = False  # whether it cannot be made without examples

    @abstractmethod
    def convert(self, model: Any, examples: "Examples") -> bytes:
        """`examples` are training pictures, for calibration."""

    def check(self, file: "File") -> None:
        """Raises UserError when the file is not what the mode promises."""
