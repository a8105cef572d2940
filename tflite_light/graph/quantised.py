"""A network that TF-MOT has wrapped for quantisation-aware training, and the one inside."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tflite_light.graph.copied import cloned, config_of
from tflite_light.stack import keras

_FLAT = 1e-4  # a narrower range is of activations that no picture, or none for long, gave a value
_ROOM = 1.0  # of which any range is right, if its steps are not finer than kernels can round to


def is_quantised(model: Any) -> bool:
    """Whether the model carries the ranges of quantisation-aware training."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)


@contextlib.contextmanager
def roomy(model: Any) -> Iterator[None]:
    """Meanwhile the activations that are zero on all pictures, as behind a dead ReLU, have a range.

    The converter would give them a step so small that no kernel takes it. Training goes on with
    what it had: a moving average, which a unit that lives again widens. A float model stays.
    """
    named = {variable.name: variable for variable in model.variables}
    highs = [name for name in named if name.endswith("_max:0") and "kernel" not in name]
    pairs = [(named[name.replace("_max:", "_min:")], named[name]) for name in highs]
    flat = [high for low, high in pairs if float(high) - float(low) < _FLAT]
    before = [float(high) for high in flat]
    for high in flat:
        high.assign(_ROOM)
    try:
        yield
    finally:
        for high, value in zip(flat, before, strict=True):
            high.assign(value)


def unquantised(model: Any) -> Any:
    """The float network with the weights that a quantised one was trained to, and no ranges; a
    float one as it is.
    """
    if not is_quantised(model):
        return model
    bare = cloned(model, _bare)
    trained = {variable.name: variable for variable in model.weights}
    for variable in bare.weights:
        variable.assign(trained[variable.name])
    return bare


def _bare(layer: Any) -> Any:
    """A layer as it was before it was wrapped."""
    if type(layer).__name__ == "QuantizeLayer":
        return keras.layers.Activation("linear", name=layer.name)
    inner: Any = getattr(layer, "layer", layer)
    config = config_of(inner)
    activation: Any = getattr(inner, "activation", None)
    if hasattr(activation, "activation"):  # TF-MOT's, around the layer's own or none
        config["activation"] = getattr(activation.activation, "__name__", "linear")
    return type(inner).from_config(config)
