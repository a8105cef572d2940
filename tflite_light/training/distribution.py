"""Where a model's variables live and its steps run: the scope in which every model is built.

It is TensorFlow's current strategy: one device, unless the caller has entered another's scope.
"""

from typing import Any

from tflite_light.stack import tf


def scope() -> Any:
    """A context in which to build and compile models."""
    return tf.distribute.get_strategy().scope()
