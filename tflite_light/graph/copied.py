"""A network again, to be changed while the given one stays as it is."""

from typing import Any

from tflite_light.stack import keras


def copied(model: Any) -> Any:
    """The same network with weights of its own."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
