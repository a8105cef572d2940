"""The converter, as every mode needs it: static shapes, quick and quiet."""

import warnings
from typing import Any

from tflite_light.stack import quiet, tf


def converter_for(model: Any) -> Any:
    """A converter at batch 1: a free batch makes tensors dynamic, which delegates refuse.

    Weights are frozen into the graph first. The converter would otherwise save and load the model
    with its Keras layers: 45 s instead of 1.5 s for a MobileNetV2 after QAT, with equal answers.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    with quiet():
        function = tf.function(lambda image: model(image, training=False))
        frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec))
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())


def convert(converter: Any) -> bytes:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses input statistics, which TF 1 graphs had
        content: bytes = converter.convert()
    return content
