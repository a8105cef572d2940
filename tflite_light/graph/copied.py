"""A network again, to be changed while the given one stays as it is."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tflite_light.errors import UserError
from tflite_light.stack import keras, tf
from tflite_light.wording import first_line


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
    with _said():
        keras.backend.reset_uids()  # as in `cloned`
        return keras.Model.from_config(config, custom_objects=kinds)


def copied(model: Any, twin: Callable[[Any], Any] = again) -> Any:
    """The same network with weights of its own; `twin` makes another layer of each."""
    with _said():
        copy = cloned(model, twin)
    copy.set_weights(model.get_weights())
    return copy


def settle(model: Any) -> None:
    """To be called where variables were assigned one by one: Keras' Normalization computes by
    tensors that it makes of its mean and variance, when all weights are set at once."""
    for layer in model.submodules:
        if isinstance(layer, keras.layers.Layer):
            layer.finalize_state()


def cloned(model: Any, twin: Callable[[Any], Any]) -> Any:
    """The same network of the layers that `twin` makes, without its weights.

    Keras numbers what layers hold, and TF-MOT its own layers, by process: checkpoints name them, so
    that they must not depend on the networks that were made before.
    """
    keras.backend.reset_uids()
    return keras.models.clone_model(model, clone_function=twin)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UserError(
            f"Keras cannot make this network again: {first_line(error)}.",
            "Put that step into a layer of your own, a class that is a keras.layers.Layer.",
        ) from error


def in_precision(model: Any, policy: str) -> Any:
    """A copy that computes by a Keras policy, such as `mixed_bfloat16`; its last layer, whose
    logits the loss takes, in float32. Raises UserError where a layer cannot."""
    last = model.layers[-1].name

    def twin(layer: Any) -> Any:
        if layer.name == last or isinstance(layer, keras.layers.InputLayer):
            with _policy("float32"):
                return again(layer)
        return again(layer, {"dtype": policy})

    try:
        with _policy(policy):
            copy = cloned(model, twin)
    except (AttributeError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise UserError(
            f"train.precision: the network cannot compute in {policy}: {first_line(error)}.",
            "Leave it out; or let layers of your own cast their variables to `self.compute_dtype`.",
        ) from error
    copy.set_weights(model.get_weights())
    return copy


@contextlib.contextmanager
def _policy(policy: str) -> Iterator[None]:
    """What layers that are made without a policy compute by: those that others hold, too."""
    was = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(was)
