"""Which layers a stage works on."""

import math
from collections.abc import Sequence
from typing import Any

from tflite_light.graph.lint import KERNELS
from tflite_light.graph.naming import fitting
from tflite_light.stack import keras


def weighty(model: Any, exclude: Sequence[str] = (), place: str = "") -> list[Any]:
    """Convolutions and dense layers, without depthwise ones, but for those of excluded names."""
    kinds = (keras.layers.Conv2D, keras.layers.Dense)  # DepthwiseConv2D is not a Conv2D
    return without([one for one in model.layers if isinstance(one, kinds)], exclude, place)


def without(layers: Sequence[Any], exclude: Sequence[str], place: str) -> list[Any]:
    """The layers but for those of excluded names.

    `exclude` holds names, or patterns such as `block1_*`; `place` is where the recipe has them.
    Raises UserError where one fits no layer.
    """
    names = [layer.name for layer in layers]
    excluded = fitting(names, exclude, place, "that the stage works on")
    return [layer for layer in layers if layer.name not in excluded]


def kernels(layer: Any) -> list[Any]:
    """The weights that multiply: kernels of convolutions and dense layers, no biases or norms."""
    return [getattr(layer, name) for name in KERNELS if getattr(layer, name, None) is not None]


def is_normalised(layer: Any) -> bool:
    """Whether a batch norm follows, by which the converter multiplies each output channel."""
    return any(
        isinstance(node.outbound_layer, keras.layers.BatchNormalization)
        for node in layer.outbound_nodes
    )


def is_pointwise(layer: Any) -> bool:
    """Whether it is a 1x1 convolution without stride or groups, which XNNPACK can run sparse."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and layer.kernel_size == layer.strides == (1, 1)
        and layer.groups == 1
    )


def multiply_adds(layer: Any) -> int:
    """Of one picture; 0 for layers that multiply by no kernel."""
    kernel = getattr(layer, "depthwise_kernel", getattr(layer, "kernel", None))
    if kernel is None:
        return 0
    positions = layer.output.shape[1:3] if kernel.shape.rank == 4 else ()
    return int(math.prod(kernel.shape) * math.prod(positions))
