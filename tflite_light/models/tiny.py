"""A network that trains in seconds, for tests and for trying a recipe out."""

from typing import Any

from pydantic import Field

from tflite_light.models import Architecture
from tflite_light.models._blocks import conv_norm, depthwise_norm, relu6
from tflite_light.stack import keras


class Tiny(Architecture):
    """Four stages of a depthwise and a pointwise convolution, with one residual; no paper."""

    width: int = Field(8, ge=1, le=256, description="channels of the first convolution")

    def logits(self, image: Any, classes: int) -> Any:
        x = relu6(conv_norm(image, self.width, "stem", kernel=3, strides=2), "stem")
        for stage in (1, 2, 3):
            name = f"block{stage}"
            x = relu6(depthwise_norm(x, f"{name}_spatial", strides=2), f"{name}_spatial")
            x = relu6(conv_norm(x, self.width * 2**stage, f"{name}_expand"), f"{name}_expand")
        shortcut = x
        x = conv_norm(x, self.width * 8, "last_project")
        x = keras.layers.Add(name="last_add")([shortcut, x])
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.layers.Dense(classes, name="logits")(x)
