"""Integers throughout, from the pixels to the logits."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.graph.convert import convert, converter_for
from tflite_light.stack import tf

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples
    from tflite_light.tflite.file import File


class Int8(Mode):
    """Weights int8 by output channel, activations int8 by tensor, biases int32; no float op inside.

    After `qat` the ranges are those the model was trained with; without it they are calibrated on
    training pictures, which come through the same pipeline as in training.
    """

    accepts_qat_model: ClassVar[bool] = True
    needs_pictures: ClassVar[bool] = True
    logit_error: ClassVar[float] = 0.25
    agreement: ClassVar[float] = 0.95
    size_ratio: ClassVar[float] = 0.4

    io: Literal["uint8", "int8"] = Field("uint8", description="type of the file's input and output")
    calibration_images: int = Field(
        200, ge=1, description="training pictures that set the ranges, without qat"
    )

    def convert(self, model: Any, examples: "Examples") -> bytes:
        from tflite_light.tflite.ties import without_ties

        converter = converter_for(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(
            self.io
        )
        if not is_quantised(model):
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: self._calibration(examples)
        return without_ties(convert(converter))

    def calibration_pictures(self, model: Any, examples: "Examples") -> int | None:
        return 0 if is_quantised(model) else len(examples.sample(self.calibration_images))

    def check(self, file: "File") -> None:
        strays = file.float_operators()
        if strays:
            kinds = ", ".join(sorted(set(strays)))
            raise UserError(
                f"the int8 file would compute {len(strays)} operators in float ({kinds}).",
                "Use layers that TFLite has in int8, or export float32.",
            )

    def _calibration(self, examples: "Examples") -> Iterator[list[Any]]:
        """Training pictures; the first gets a black and a white pixel.

        So the input's range is that of the 256 pixel values, whatever these pictures hold, and no
        later picture is clipped.
        """
        import numpy as np

        from tflite_light.pipeline.preprocess import normalise

        extremes = np.array([[0], [255]], np.float32)
        for number, batch in enumerate(
            examples.inputs(examples.sample(self.calibration_images), batch_size=1)
        ):
            if number == 0:
                batch[0, 0, :2] = normalise(np.repeat(extremes, 3, axis=1), examples.image)
            yield [batch]


def is_quantised(model: Any) -> bool:
    """Whether the model carries the ranges of quantisation-aware training."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)
