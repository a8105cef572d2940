"""Which of a network's weights are kernels."""

from collections.abc import Iterable
from typing import Any

from tflite_light.stack import keras


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
