"""Pieces that several networks share: tensor -> tensor, layers named `<block>_<role>_<kind>`."""

from typing import Any

from tflite_light.stack import keras


def make_divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least one and never 10 % below `value` (slim)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def normalise(x: Any, name: str, epsilon: float = 1e-3) -> Any:
    return keras.layers.BatchNormalization(epsilon=epsilon, name=f"{name}_norm")(x)


def relu6(x: Any, name: str) -> Any:
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


def conv_norm(x: Any, filters: int, name: str, kernel: int = 1, strides: int = 1) -> Any:
    """Convolution without bias and batch norm, no activation."""
    conv = keras.layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )
    return normalise(conv(x), name)


def depthwise_norm(x: Any, name: str, kernel: int = 3, strides: int = 1) -> Any:
    """Depthwise convolution without bias and batch norm, no activation."""
    conv = keras.layers.DepthwiseConv2D(
        kernel, strides, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    return normalise(conv(x), name)
