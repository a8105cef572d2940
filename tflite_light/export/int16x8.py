"""Weights as int8, activations as int16: nearly float's answers, in integers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tflite_light.errors import UserError
from tflite_light.export import Mode, _calibration
from tflite_light.graph.convert import convert, converter_for
from tflite_light.stack import tf
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples
    from tflite_light.tflite.file import File


class Int16x8(Mode):
    """Ranges are calibrated on training pictures; the ends of the file are float32. With `qat`, the
    network as it was before it.

    For processors made for it: XNNPACK has no such kernels, so that a CPU takes several times
    int8's time. An untrained network is refused by the runtime.
    """

    needs_pictures: ClassVar[bool] = True
    on_gpu: ClassVar[bool] = False
    logit_error: ClassVar[float] = 0.05
    agreement: ClassVar[float] = 0.98
    size_ratio: ClassVar[float] = 0.45  # biases take 8 bytes

    calibration_images: int = _calibration.Images
    calibration_seed: int = _calibration.Seed

    def require_known(self, model: Any) -> None:
        _calibration.require_possible(model, self.key)

    def convert(self, model: Any, examples: "Examples") -> bytes:
        from tflite_light.export._biases import apart
        from tflite_light.graph.swaps import gathered

        chosen = self.calibrated_on(model, examples)
        converter = converter_for(gathered(model))
        _calibration.require_no_loop(converter, self.key)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        converter.representative_dataset = lambda: _calibration.inputs(
            examples, chosen, self.calibration_images
        )
        return apart(convert(converter))

    def rounded_from(self, model: Any, examples: "Examples") -> bytes:
        from tflite_light.graph.quantised import unquantised
        from tflite_light.graph.swaps import gathered

        return convert(converter_for(gathered(unquantised(model))))

    def check(self, file: "File", layers: Sequence[str] = ()) -> None:
        from tflite_light.tflite.layers import blank, clipped_sums, rangeless

        super().check(file, layers)
        if dead := rangeless(file):
            raise UserError(
                f"the {self.stem} file has no range for {some(dead)}: nothing changes there on the "
                "calibration pictures, and TFLite 2.16 ends the app on Arm when it runs that.",
                "Look whether the training has failed: these layers tell nothing.",
            )

        if sums := clipped_sums(file):
            raise UserError(
                f"the {self.stem} file would cut off {some(sums)}: the converter gives sums the "
                "range of what is added.",
                "Write a mean times the count instead (tf.reduce_mean), or export another kind.",
            )
        if zeros := blank(file):
            raise UserError(
                f"the {self.stem} file would compute with {some(zeros)}, whose values are all "
                "zero: TFLite ends the process that runs that.",
                "Export another kind, or train the layer: LayerNormalization begins so.",
            )

    def calibrated_on(self, model: Any, examples: "Examples") -> list[int]:
        return examples.balanced(self.calibration_images, self.calibration_seed)
