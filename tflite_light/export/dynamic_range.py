"""Weights as integers, without any pictures."""

from typing import TYPE_CHECKING, Any, ClassVar

from tflite_light.export import Mode
from tflite_light.graph.convert import convert, converter_for
from tflite_light.stack import tf
from tflite_light.tflite.runtimes import is_older

CHANNELS_SINCE = "2.17"  # the first runtime with a scale for each channel of such a dense layer

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples


class DynamicRange(Mode):
    """Kernels of 1,024 values or more as int8, others and activations float32, which is rounded to
    int8 for each picture by its own range; with `qat`, as before it.

    Dense layers have one scale a layer for runtimes before 2.17: with one a channel the converter
    writes FULLY_CONNECTED 12, which they refuse.
    """

    logit_error: ClassVar[float] = 0.1
    agreement: ClassVar[float] = 0.98
    size_ratio: ClassVar[float] = 0.4

    def convert(self, model: Any, examples: "Examples") -> bytes:
        converter = converter_for(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        old = is_older(self.runtime, CHANNELS_SINCE)
        converter._experimental_disable_per_channel_quantization_for_dense_layers = old
        return convert(converter)
