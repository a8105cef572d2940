"""A network that anyone can rebuild, so that times on different computers can be compared."""

from tflite_light.graph.convert import convert, converter_for
from tflite_light.stack import keras

NAME = "MobileNetV2 1.0 of tf_keras.applications, 224 px, float32, by TensorFlow's converter"


def content() -> bytes:
    """Its file, with untrained weights, which take as long. Six seconds."""
    return convert(converter_for(keras.applications.MobileNetV2(weights=None)))
