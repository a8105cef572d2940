"""Which of a network's weights are kernels, and how much they multiply."""

from collections import Counter
from collections.abc import Iterable
from math import prod
from typing import Any

from tflite_light.graph.uses import uses
from tflite_light.stack import keras

_NAMES = ("kernel", "depthwise_kernel", "pointwise_kernel")


def kernels_among(variables: Iterable[Any], model: Any) -> list[Any]:
    """Those that multiply what comes in: such weights alone have two axes or more, but for biases
    by heads and the slopes of PReLUs. Those of layers in wrappers, too."""
    layers = [model, *model.submodules]
    activations = [one for one in layers if isinstance(one, keras.layers.PReLU)]
    slopes = {id(variable) for one in activations for variable in one.weights}
    return [
        one
        for one in variables
        if one.shape.rank > 1 and id(one) not in slopes and not one.name.endswith("/bias:0")
    ]


def kernels(layer: Any) -> list[Any]:
    """The weights that multiply: kernels of convolutions and dense layers, no biases or norms.
    Layers of users' own may call a size or a constant `kernel`."""
    weights = {id(weight) for weight in layer.weights}
    found = [getattr(layer, name, None) for name in _NAMES]
    return [one for one in found if id(one) in weights]


def multiply_adds(model: Any) -> Counter[str]:
    """Of one picture, by layer; all its uses together where there are several."""
    found: Counter[str] = Counter()
    for use in uses(model):
        found[use.layer.name] += _products(use)
    return found


def _products(use: Any) -> int:
    """Each weight multiplies at each place of the output, or of a transposed one's input."""
    if not kernels(use.layer):
        return 0
    transposed = isinstance(use.layer, keras.layers.Conv2DTranspose)
    computed = use.keras_inputs[0] if transposed else use.outputs
    weights = sum(prod(kernel.shape) for kernel in kernels(use.layer))
    return int(weights * prod(computed.shape[1:-1]))
