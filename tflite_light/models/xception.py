"""Xception: Inception taken to its end, depthwise separable convolutions with residuals."""

from typing import Any

from pydantic import Field

from tflite_light.models import Architecture, Names, Published
from tflite_light.models._blocks import (
    classify,
    conv_norm,
    make_divisible,
    norm_pair,
    normalise,
    relu,
)
from tflite_light.stack import keras

ENTRY = (128, 256, 728)  # channels of blocks 2 to 4, each halving the side


class Xception(Architecture):
    """Chollet 2017, arXiv 1610.02357, figure 5.

    Equal to `tf_keras.applications.Xception` layer by layer, with each separable convolution
    written as a depthwise and a pointwise one, nothing between them. Widths other than alpha 1 are
    rounded to multiples of 8. No dropout.
    """

    alpha: float = Field(1.0, ge=0.1, le=2, description="width multiplier; the paper has 1.0 alone")
    middle_blocks: int = Field(8, ge=0, le=32, description="blocks of the middle flow; paper: 8")

    def logits(self, image: Any, classes: int) -> Any:
        x = image
        for number, (filters, strides) in enumerate(((32, 2), (64, 1)), start=1):
            name = f"block1_conv{number}"
            x = keras.layers.Conv2D(
                self._width(filters), 3, strides, use_bias=False, name=f"{name}_conv"
            )(x)
            x = relu(normalise(x, name), name)
        for number, channels in enumerate(ENTRY, start=2):
            x = self._reduce(x, f"block{number}", channels, channels, leading=number > 2)
        for number in range(5, 5 + self.middle_blocks):
            name, shortcut = f"block{number}", x
            for place in (1, 2, 3):
                x = relu(x, f"{name}_before{place}")
                x = _separable(x, f"{name}_sepconv{place}", self._width(728))
            x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
        last = 5 + self.middle_blocks
        x = self._reduce(x, f"block{last}", 728, 1024, leading=True)
        for place, channels in enumerate((1536, 2048), start=1):
            name = f"block{last + 1}_sepconv{place}"
            x = relu(_separable(x, name, self._width(channels)), name)
        return classify(x, classes)

    def _reduce(self, x: Any, name: str, inner: int, outer: int, leading: bool) -> Any:
        shortcut = conv_norm(x, self._width(outer), f"{name}_shortcut", strides=2)
        x = relu(x, f"{name}_before1") if leading else x
        x = relu(_separable(x, f"{name}_sepconv1", self._width(inner)), f"{name}_before2")
        x = _separable(x, f"{name}_sepconv2", self._width(outer))
        x = keras.layers.MaxPooling2D(3, 2, "same", name=f"{name}_pool")(x)
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])

    def _width(self, channels: int) -> int:
        return make_divisible(channels * self.alpha)

    @classmethod
    def published(cls) -> list[Published]:
        return [Published({}, 299, 0.790, "tf_keras.applications")]

    def references(self) -> dict[str, Names]:
        names: Names = {}
        for place in (1, 2):
            names |= norm_pair(
                f"block1_conv{place}", f"block1_conv{place}", f"block1_conv{place}_bn"
            )
        last = 5 + self.middle_blocks
        for number in range(2, last + 2):
            for place in (1, 2, 3) if 5 <= number < last else (1, 2):
                name = f"block{number}_sepconv{place}"
                names |= {f"{name}_depthwise": name} | norm_pair(name, name, f"{name}_bn")
        for count, number in enumerate((2, 3, 4, last)):
            suffix = f"_{count}" if count else ""  # Keras left these without a name of their own
            own = f"block{number}_shortcut"
            names |= norm_pair(own, f"conv2d{suffix}", f"batch_normalization{suffix}")
        return {"keras": names | {"logits": "predictions"}}


def _separable(x: Any, name: str, filters: int) -> Any:
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    return conv_norm(x, filters, name)
