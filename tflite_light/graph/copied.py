"""A network again, to be changed while the given one stays as it is."""

from collections.abc import Callable
from typing import Any

from tflite_light.stack import keras


def copied(model: Any, twin: Callable[[Any], Any] | None = None) -> Any:
    """The same network with weights of its own; `twin` makes another layer of each, if given."""
    copy = keras.models.clone_model(model, clone_function=twin)
    copy.set_weights(model.get_weights())
    return copy


def in_precision(model: Any, policy: str) -> Callable[[Any], Any]:
    """A twin of each layer that computes by a Keras policy, such as `mixed_bfloat16`; the last one,
    whose logits the loss takes, in float32."""
    last = model.layers[-1].name

    def twin(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name != last and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = policy
        return type(layer).from_config(config)

    return twin
