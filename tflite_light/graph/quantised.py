"""A network that TF-MOT has wrapped for quantisation-aware training, and the one inside."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tflite_light.graph.copied import cloned, config_of, settle
from tflite_light.graph.uses import is_norm
from tflite_light.stack import keras

_FLAT = 1e-4  # a narrower range is of activations that no picture, or none for long, gave a value
_ROOM = 1.0  # of which any range is right, if its steps are not finer than kernels can round to
# Instead of a scale of 0, by the shift beside it: finer than a step of what the norm writes, while
# 32 bits hold the shift in steps of what the channel then adds up.
_OF_SHIFT, _LEAST = 1e-4, 1e-6


def is_quantised(model: Any) -> bool:
    """Whether the model carries the ranges of quantisation-aware training."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)


@contextlib.contextmanager
def roomy(model: Any) -> Iterator[None]:
    """Meanwhile all has a step that kernels take. The converter would give too small a one to
    activations that are zero on all pictures, as behind a dead ReLU; and none to a channel that a
    batch norm multiplies by 0, as many residuals begin, so that it computes the layer in float.

    Training goes on with what it had: a moving average, which a unit that lives again widens. A
    float model stays.
    """
    changes = [*_flat_ranges(model), *_idle_scales(model)] if is_quantised(model) else []
    before = [variable.numpy() for variable, _ in changes]
    for variable, value in changes:
        variable.assign(value)
    try:
        yield
    finally:
        for (variable, _), value in zip(changes, before, strict=True):
            variable.assign(value)


def _flat_ranges(model: Any) -> Iterator[tuple[Any, Any]]:
    named = {variable.name: variable for variable in model.variables}
    for name in [name for name in named if name.endswith("_max:0") and "kernel" not in name]:
        low, high = named[name.replace("_max:", "_min:")], named[name]
        if float(high) - float(low) < _FLAT:
            yield high, _ROOM


def _idle_scales(model: Any) -> Iterator[tuple[Any, Any]]:
    import numpy as np

    for layer in model.submodules:
        if is_norm(layer) and layer.scale:
            scale = layer.gamma.numpy()
            shift = layer.beta.numpy() if layer.center else np.zeros_like(scale)
            least = np.maximum(_OF_SHIFT * np.abs(shift), _LEAST)
            if not scale.all():
                yield layer.gamma, np.where(scale == 0, least, scale)


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
    settle(bare)
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
