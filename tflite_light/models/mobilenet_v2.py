"""MobileNet v2: inverted residuals and linear bottlenecks."""

from typing import Any

from pydantic import Field

from tflite_light.models import Architecture
from tflite_light.models._blocks import conv_norm, depthwise_norm, make_divisible, relu6
from tflite_light.stack import keras

STAGES = (  # expansion, output channels, blocks, strides of the first: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(Architecture):
    """Sandler et al. 2018, arXiv 1801.04381, table 2; widths rounded to multiples of 8 as in slim.

    The last convolution keeps 1280 channels below alpha 1, as the paper says. Equal to
    `tf_keras.applications.MobileNetV2` layer by layer: SAME padding at stride 2 is what its
    explicit padding does. No dropout.
    """

    alpha: float = Field(
        1.0, ge=0.1, le=4, description="width multiplier; 0.35 0.5 0.75 1.0 1.3 1.4 are published"
    )

    def logits(self, image: Any, classes: int) -> Any:
        x = relu6(conv_norm(image, self._width(32), "stem", kernel=3, strides=2), "stem")
        number = 0
        for expansion, channels, blocks, strides in STAGES:
            for index in range(blocks):
                x = _block(
                    x,
                    f"block{number}",
                    expansion,
                    self._width(channels),
                    strides if index == 0 else 1,
                )
                number += 1
        x = relu6(conv_norm(x, max(1280, self._width(1280)), "top"), "top")
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.layers.Dense(classes, name="logits")(x)

    def _width(self, channels: int) -> int:
        return make_divisible(int(channels * self.alpha))


def _block(x: Any, name: str, expansion: int, channels: int, strides: int) -> Any:
    shortcut, inputs = x, x.shape[-1]
    if expansion > 1:
        x = relu6(conv_norm(x, inputs * expansion, f"{name}_expand"), f"{name}_expand")
    x = relu6(depthwise_norm(x, f"{name}_spatial", strides=strides), f"{name}_spatial")
    x = conv_norm(x, channels, f"{name}_project")
    if strides == 1 and inputs == channels:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x
