"""Pieces that several networks share: tensor -> tensor, layers named `<block>_<role>_<kind>`.

`padding` says where a strided convolution puts its odd pixel. TensorFlow's SAME pads as little as
it can, more at the end; PyTorch's networks pad both sides alike (symmetric), Keras' MobileNet v1
the end alone. Trained weights know the difference.
"""

from typing import Any, Literal

from tflite_light.stack import keras

Padding = Literal["same", "symmetric", "end"]
KERAS: dict[str, Any] = {
    "padding": "same",
    "epsilon": 1e-3,
}  # what an implementation does to every block
TORCH: dict[str, Any] = {"padding": "symmetric", "epsilon": 1e-5}


def make_divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least one and never 10 % below `value` (slim)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def normalise(x: Any, name: str, epsilon: float = 1e-3) -> Any:
    return keras.layers.BatchNormalization(epsilon=epsilon, name=f"{name}_norm")(x)


def relu(x: Any, name: str) -> Any:
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def relu6(x: Any, name: str) -> Any:
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


def conv_norm(
    x: Any,
    filters: int,
    name: str,
    kernel: int = 1,
    strides: int = 1,
    groups: int = 1,
    padding: Padding = "same",
    epsilon: float = 1e-3,
) -> Any:
    """Convolution without bias and batch norm, no activation."""
    x, rule = padded(x, name, kernel, strides, padding)
    conv = keras.layers.Conv2D(
        filters, kernel, strides, rule, groups=groups, use_bias=False, name=f"{name}_conv"
    )
    return normalise(conv(x), name, epsilon)


def depthwise_norm(
    x: Any,
    name: str,
    kernel: int = 3,
    strides: int = 1,
    multiplier: int = 1,
    padding: Padding = "same",
    epsilon: float = 1e-3,
) -> Any:
    """Depthwise convolution without bias and batch norm, no activation."""
    x, rule = padded(x, name, kernel, strides, padding)
    conv = keras.layers.DepthwiseConv2D(
        kernel,
        strides,
        rule,
        depth_multiplier=multiplier,
        use_bias=False,
        name=f"{name}_depthwise",
    )
    return normalise(conv(x), name, epsilon)


def padded(x: Any, name: str, kernel: int, strides: int, padding: Padding) -> tuple[Any, str]:
    """The tensor and Keras' rule for it; SAME is symmetric at odd sides and the end's at even."""
    is_same = (padding == "end") == (x.shape[1] % 2 == 0)
    if kernel == 1 or strides == 1 or padding == "same" or is_same:
        return x, "same"
    amount: Any = ((0, 1), (0, 1)) if padding == "end" else kernel // 2
    return keras.layers.ZeroPadding2D(amount, name=f"{name}_pad")(x), "valid"


def shuffle(x: Any, groups: int, name: str) -> Any:
    """Channel c of group g -> place c * groups + g (ShuffleNet, fig. 1), at rank 4."""
    height, width, channels = x.shape[1:]
    x = keras.layers.Reshape((height * width, groups, channels // groups), name=f"{name}_split")(x)
    x = keras.layers.Permute((1, 3, 2), name=f"{name}_swap")(x)
    return keras.layers.Reshape((height, width, channels), name=f"{name}_shuffle")(x)


def channels(x: Any, begin: int, end: int, name: str) -> Any:
    """Channels begin to end, by layers that TF-MOT knows; the reshapes cost nothing in a file."""
    height, width, count = x.shape[1:]
    x = keras.layers.Reshape((height * width, count, 1), name=f"{name}_row")(x)
    x = keras.layers.Cropping2D(((0, 0), (begin, count - end)), name=f"{name}_crop")(x)
    return keras.layers.Reshape((height, width, end - begin), name=f"{name}_channels")(x)


def torch_average_pool(x: Any, name: str) -> Any:
    """3x3 at stride 2 of what is never negative; PyTorch's padding, zeros that count in the mean.

    The ReLU changes nothing. It keeps the padding and the pooling apart: TFLite's GPU delegate
    merges the two, and then leaves the padding out of the mean (by up to 14 % of the logits).
    """
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_pool_pad")(x)
    x = relu(x, f"{name}_pool")
    return keras.layers.AveragePooling2D(3, 2, name=f"{name}_pool")(x)


def torch_max_pool(x: Any, name: str) -> Any:
    """3x3 at stride 2, padded by 1, which is PyTorch's -inf as long as x is never negative."""
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_pool_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name=f"{name}_pool")(x)


def classify(x: Any, classes: int, use_bias: bool = True) -> Any:
    """Global average pooling and a dense layer to logits."""
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.layers.Dense(classes, use_bias=use_bias, name="logits")(x)


def norm_pair(own: str, conv: str, norm: str, kind: str = "conv") -> dict[str, str]:
    """A reference's names of the two layers of a `conv_norm` or `depthwise_norm` block."""
    return {f"{own}_{kind}": conv, f"{own}_norm": norm}
