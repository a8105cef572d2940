"""A network again, to be changed while the given one stays as it is."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from tflite_light.stack import keras


def config_of(layer: Any) -> dict[str, Any]:
    """What makes the layer again, with its functions themselves, such as an activation of the
    user's own: Keras writes their names, by which it does not find them."""
    config: dict[str, Any] = layer.get_config()
    if isinstance(layer, keras.layers.Lambda):
        config |= {"function": layer.function, "function_type": "raw"}
        return config | {"output_shape": layer._output_shape, "output_shape_type": "raw"}
    own = {key: getattr(layer, key, None) for key in config if key != "function"}
    config.update((key, one) for key, one in own.items() if _is_function(one))
    return config


def _is_function(one: Any) -> bool:
    """Also an object of the user's own that is called, such as a regularizer; Keras' are found."""
    keras_own = type(one).__module__.startswith("tf_keras.")
    return callable(one) and not (keras_own or isinstance(one, keras.layers.Layer | type))


def again(layer: Any, change: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A new layer like another but for what is changed, without its weights."""
    return type(layer).from_config({**config_of(layer), **change})


def network_config(model: Any) -> dict[str, Any]:
    """What makes a functional model again, for `of_config`, perhaps with other layers."""
    config: dict[str, Any] = model.get_config()
    for entry in config["layers"]:
        entry.pop("build_config", None)  # shapes; and it would leave names out of weights'
        entry["config"] = config_of(model.get_layer(entry["name"]))
    return config


def of_config(model: Any, config: Mapping[str, Any]) -> Any:
    """A model by a config like that of another, without its weights."""
    kinds = {type(layer).__name__: type(layer) for layer in model.layers}
    return keras.Model.from_config(config, custom_objects=kinds)


def copied(model: Any, twin: Callable[[Any], Any] = again) -> Any:
    """The same network with weights of its own; `twin` makes another layer of each."""
    copy = keras.models.clone_model(model, clone_function=twin)
    copy.set_weights(model.get_weights())
    return copy


def in_precision(model: Any, policy: str) -> Callable[[Any], Any]:
    """A twin of each layer that computes by a Keras policy, such as `mixed_bfloat16`; the last one,
    whose logits the loss takes, in float32."""
    last = model.layers[-1].name

    def twin(layer: Any) -> Any:
        inner = layer.name != last and not isinstance(layer, keras.layers.InputLayer)
        return again(layer, {"dtype": policy} if inner else {})

    return twin
