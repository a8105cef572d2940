"""The converter, as every mode needs it: static shapes, quick and quiet."""

import contextlib
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any
from unittest.mock import patch

from tflite_light.errors import Unmade
from tflite_light.graph.quantised import roomy
from tflite_light.stack import keras, quiet, tf
from tflite_light.wording import first_line


def converter_for(model: Any) -> Any:
    """A converter at batch 1: a free batch makes tensors dynamic, which delegates refuse.

    Weights are frozen into the graph first. The converter would otherwise save and load the model
    with its Keras layers: 45 s instead of 1.5 s for a MobileNetV2 after QAT, with equal answers.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    with quiet(), _grouped_in_line():
        function = tf.function(lambda image: model(image, training=False))
        frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec))
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())


def _grouped_in_line() -> Any:
    """Keras has a function of its own around a grouped convolution, to run it on CPUs; inside, the
    converter does not see the layer's name.
    """
    around = "_jit_compiled_convolution_op"
    kind = next(one for one in keras.layers.Conv2D.__mro__ if around in vars(one))
    return patch.object(kind, around, kind.convolution_op)


def convert(converter: Any) -> bytes:
    """Raises Unmade where the converter does not know an operator, or not in this type."""
    with _refusals_explained(), quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses input statistics, which TF 1 graphs had
        content: bytes = converter.convert()
    return content


@contextlib.contextmanager
def _refusals_explained() -> Iterator[None]:
    """Outside of `quiet`, which shows what native code said where an error leaves it."""
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        yield
    except (RuntimeError, ConverterError) as error:
        told = re.search(r"error: (.*)", str(error))
        known = told or isinstance(error, ConverterError) or "quantiz" in str(error).lower()
        if not known or isinstance(error, RecursionError | NotImplementedError):
            raise
        reason = told[1].strip().rstrip(".") if told else first_line(error)
        raise Unmade(
            f"TensorFlow's converter refuses the network: {reason}.",
            "Leave out this mode, or build the network without such layers.",
        ) from error


def trained(model: Any, ends: str) -> bytes:
    """The int8 file of a network that quantisation-aware training gave its ranges, with tensors of
    type `ends` at both ends."""
    with roomy(model):
        converter = converter_for(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    kind = tf.dtypes.as_dtype(ends)
    converter.inference_input_type = converter.inference_output_type = kind
    return convert(converter)


def calibrated(converter: Any, batches: Callable[[], Iterable[list[Any]]]) -> bytes:
    """A float file whose tensors have the smallest and largest value that they took."""
    from tensorflow.lite.python.optimize import calibrator

    from tflite_light.graph.calibrating import Calibrator

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = batches
    converter._experimental_calibrate_only = True
    with patch.object(calibrator, "Calibrator", Calibrator):
        return convert(converter)


def recalibrated(content: bytes, batches: Callable[[], Iterable[list[Any]]]) -> bytes:
    """A float file whose weights were changed, with the ranges that its tensors now have."""
    from tflite_light.graph.calibrating import Calibrator

    with quiet():
        return Calibrator(content).calibrate(batches)


def quantised(
    content: bytes, ends: str, in_float: Collection[str] = (), by_channel: bool = True
) -> bytes:
    """The int8 file of a calibrated one, with tensors of type `ends` at both ends.

    `in_float` names tensors: the operators that write them stay in float32. Kernels have a scale an
    output channel, or one alone. This is the second half of what the converter does in one call,
    which knows no exemptions.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    kind = tf.dtypes.as_dtype(ends)
    with _refusals_explained(), quiet():
        made: bytes = mlir_quantize(
            content,
            disable_per_channel=not by_channel,
            disable_per_channel_for_dense_layers=not by_channel,
            input_data_type=kind,
            output_data_type=kind,
            denylisted_nodes=set(in_float) or None,
        )
    return made


def rounding_noise(
    content: bytes, batches: Callable[[], Iterable[list[Any]]]
) -> list[tuple[str, float, float]]:
    """Of each operator of a calibrated file that int8 rounds, in order, the tensor it writes, how
    far that is off on pictures, squared error over squared value, and how far it would be if only
    what it writes were rounded.

    Each is given what the rounded operators before it wrote.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that TensorFlow's interpreter will go
        debugger = tf.lite.experimental.QuantizationDebugger(
            quant_debug_model_content=mlir_quantize(content, enable_numeric_verify=True),
            debug_dataset=batches,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                layer_direct_compare_metrics={"noise": _noise, "steps": _steps}
            ),
        )
        debugger.run()
    return [
        (re.sub(r"^NumericVerify/|:\d+$", "", name), found["noise"], found["steps"])
        for name, found in debugger.layer_statistics.items()
    ]


def _noise(right: Any, rounded: Any, scale: float, zero_point: int) -> float:
    import numpy as np

    off = (rounded.astype(np.float32) - zero_point) * scale - right
    return float(np.square(off).sum() / max(np.square(right).sum(), 1e-30))


def _steps(right: Any, rounded: Any, scale: float, zero_point: int) -> float:
    import numpy as np

    kind = np.iinfo(rounded.dtype)
    held = np.clip(np.round(right / scale) + zero_point, kind.min, kind.max)
    return _noise(right, held, scale, zero_point)
