"""A network again, to be changed while the given one stays as it is."""

from collections.abc import Callable
from typing import Any

from tflite_light.stack import keras


def copied(model: Any, twin: Callable[[Any], Any] | None = None) -> Any:
    """The same network with weights of its own; `twin` makes another layer of each, if given."""
    copy = keras.models.clone_model(model, clone_function=twin)
    copy.set_weights(model.get_weights())
    return copy
