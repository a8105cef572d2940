"""A network that TF-MOT has wrapped for quantisation-aware training, and the one inside."""

from typing import Any

from tflite_light.stack import keras


def is_quantised(model: Any) -> bool:
    """Whether the model carries the ranges of quantisation-aware training."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)


def unquantised(model: Any) -> Any:
    """The float network with the weights that a quantised one was trained to, and no ranges; a
    float one as it is.
    """
    if not is_quantised(model):
        return model
    bare = keras.models.clone_model(model, clone_function=_bare)
    trained = {variable.name: variable for variable in model.weights}
    for variable in bare.weights:
        variable.assign(trained[variable.name])
    return bare


def _bare(layer: Any) -> Any:
    """A layer as it was before it was wrapped."""
    if type(layer).__name__ == "QuantizeLayer":
        return keras.layers.Activation("linear", name=layer.name)
    inner: Any = getattr(layer, "layer", layer)
    config = inner.get_config()
    activation: Any = getattr(inner, "activation", None)
    if hasattr(activation, "activation"):  # TF-MOT's, around the layer's own or none
        config["activation"] = getattr(activation.activation, "__name__", "linear")
    return type(inner).from_config(config)
