"""Kinds of `.tflite` file.

A new mode is one file here with one public class derived from `Mode`.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from tflite_light.parts import Part

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples
    from tflite_light.tflite.file import File


class Mode(Part):
    """Turns a Keras model into the bytes of a file with batch 1, logits out."""

    accepts_qat_model: ClassVar[bool] = False  # or it converts the model before `qat`
    needs_pictures: ClassVar[bool] = False  # whether it cannot be made without examples

    # What its tests hold a file to, against the Keras model and against float32.
    logit_error: ClassVar[float]  # largest difference of a logit, over the largest logit
    agreement: ClassVar[float]  # share of test pictures with the same first class
    size_ratio: ClassVar[float]  # bytes over those of float32

    packed: bool = Field(
        False,
        description="also write NAME.tflite.packed for a download; `unpack` restores the file",
    )

    @abstractmethod
    def convert(self, model: Any, examples: "Examples") -> bytes:
        """`examples` are training pictures, for calibration."""

    def calibration_pictures(self, model: Any, examples: "Examples") -> int | None:
        """Examples that set the ranges; 0 where they were trained, None where there are none."""
        return None

    def check(self, file: "File") -> None:
        """Raises UserError when the file is not what the mode promises."""
