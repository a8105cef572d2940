"""A network that TF-MOT has wrapped for quantisation-aware training, and the one inside."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tflite_light.graph.copied import cloned, config_of, settle
from tflite_light.graph.uses import is_norm
from tflite_light.stack import keras, tf

_FLAT = 1e-4  # a narrower range is of activations that no picture, or none for long, gave a value
_ROOM = 1.0  # of which any range is right, if its steps are not finer than kernels can round to
# A shift beside a scale of 0 has so many steps of 32 bits where the layer's inputs have this step;
# with a thousandth of it they hold the shift, too, and with thirty times as much it has 2^15.
_SHIFT, _STEP = 1 << 20, 0.03


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
    """A channel that is multiplied by 0 has a kernel of zeros instead, and a scale by which its
    shift has steps."""
    for wrapper in model.layers:
        norm: Any = getattr(wrapper, "layer", None)
        if not is_norm(norm) or not norm.scale or not tf.reduce_any(norm.gamma == 0):
            continue
        idle, before = norm.gamma == 0, wrapper.input.node.layer
        ((kernel, _, _),) = before._weight_vars
        shape = _beside(kernel, before.layer)
        over = [axis for axis, size in enumerate(shape) if size == 1 < kernel.shape[axis]]
        largest = tf.reshape(tf.reduce_max(tf.abs(kernel), over), [-1])
        shift = tf.abs(norm.beta) if norm.center else tf.zeros_like(norm.gamma)
        step = _STEP * tf.maximum(largest, _FLAT) / 127
        scale = (
            tf.maximum(shift, _FLAT) / _SHIFT * tf.sqrt(norm.moving_variance + norm.epsilon) / step
        )
        yield kernel, tf.where(tf.reshape(idle, shape), 0.0, kernel)
        yield norm.moving_mean, tf.where(idle, 0.0, norm.moving_mean)
        yield norm.gamma, tf.where(idle, scale, norm.gamma)


def _beside(kernel: Any, layer: Any) -> list[int]:
    """The shape that numbers by output channel have beside a layer's kernel."""
    sides = list(kernel.shape)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [1, 1, *sides[2:]]
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return [1, 1, sides[2], 1]
    return [*[1] * (len(sides) - 1), sides[-1]]


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
