"""Which layers a stage works on."""

from collections.abc import Sequence
from typing import Any

from tflite_light.graph.naming import fitting
from tflite_light.graph.uses import IDLE, is_norm_of_channels
from tflite_light.stack import keras


def weighty(
    model: Any, exclude: Sequence[str] = (), place: str = "", *, transposed: bool = False
) -> list[Any]:
    """Convolutions and dense layers, without depthwise ones, but for those of excluded names.

    A Conv2DTranspose, a Conv2D to Python, has the axes of its kernel swapped: it is among them only
    where it makes no difference. Other derived kinds may do anything with theirs.
    """
    kinds = [keras.layers.Conv2D, keras.layers.Dense]
    kinds += [keras.layers.Conv2DTranspose] * transposed
    return without([one for one in model.layers if type(one) in kinds], exclude, place)


def without(layers: Sequence[Any], exclude: Sequence[str], place: str) -> list[Any]:
    """The layers but for those of excluded names.

    `exclude` holds names, or patterns such as `block1_*`; `place` is where the recipe has them.
    Raises UserError where one fits no layer.
    """
    names = [layer.name for layer in layers]
    excluded = fitting(names, exclude, place, "that the stage works on")
    return [layer for layer in layers if layer.name not in excluded]


def is_normalised(layer: Any) -> bool:
    """Whether a batch norm follows, by which the converter multiplies each output channel; layers
    that do nothing in a file may come before it."""
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    return any(
        is_norm_of_channels(one) or (_does_nothing(one) and is_normalised(one)) for one in readers
    )


def _does_nothing(layer: Any) -> bool:
    """In a file: values stay as they are, perhaps in another shape."""
    if type(layer) is keras.layers.Activation:
        return bool(layer.activation is keras.activations.linear)
    return type(layer).__name__ in (*IDLE, "Reshape", "Flatten")


def is_pointwise(layer: Any) -> bool:
    """Whether it is a 1x1 convolution without stride or groups, which XNNPACK can run sparse."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == layer.strides == (1, 1)
        and layer.groups == 1
    )
