"""Xception: Inception taken to its end, depthwise separable convolutions with residuals."""

from typing import Any, Literal

from pydantic import Field

from tflite_light.models import Architecture, Names, Published
from tflite_light.models._blocks import (
    KERAS,
    TORCH,
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

    `keras` equals `tf_keras.applications.Xception` layer by layer, with each separable convolution
    written as a depthwise and a pointwise one, nothing between them; `torch` pads its pools on both
    sides alike and has PyTorch's batch-norm epsilon, for weights of timm. Widths other than alpha 1
    are rounded to multiples of 8. No dropout.
    """

    alpha: float = Field(1.0, ge=0.1, le=2, description="width multiplier; the paper has 1.0 alone")
    middle_blocks: int = Field(8, ge=0, le=32, description="blocks of the middle flow; paper: 8")
    variant: Literal["keras", "torch"] = Field(
        "keras", description="whose padding and epsilon; with weights of torch: torch"
    )

    def logits(self, image: Any, classes: int) -> Any:
        x = image
        for number, (filters, strides) in enumerate(((32, 2), (64, 1)), start=1):
            name = f"block1_conv{number}"
            x = keras.layers.Conv2D(
                self._width(filters), 3, strides, use_bias=False, name=f"{name}_conv"
            )(x)
            x = relu(normalise(x, name, self._common()["epsilon"]), name)
        for number, channels in enumerate(ENTRY, start=2):
            x = self._reduce(x, f"block{number}", channels, channels, leading=number > 2)
        for number in range(5, 5 + self.middle_blocks):
            name, shortcut = f"block{number}", x
            for place in (1, 2, 3):
                x = relu(x, f"{name}_before{place}")
                x = self._separable(x, f"{name}_sepconv{place}", 728)
            x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
        last = 5 + self.middle_blocks
        x = self._reduce(x, f"block{last}", 728, 1024, leading=True)
        for place, channels in enumerate((1536, 2048), start=1):
            name = f"block{last + 1}_sepconv{place}"
            x = relu(self._separable(x, name, channels), name)
        return classify(x, classes)

    def _reduce(self, x: Any, name: str, inner: int, outer: int, leading: bool) -> Any:
        width, common = self._width(outer), self._common()
        shortcut = conv_norm(x, width, f"{name}_shortcut", strides=2, **common)
        x = relu(x, f"{name}_before1") if leading else x
        x = relu(self._separable(x, f"{name}_sepconv1", inner), f"{name}_before2")
        x = self._pool(self._separable(x, f"{name}_sepconv2", outer), name)
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])

    def _separable(self, x: Any, name: str, filters: int) -> Any:
        x = keras.layers.DepthwiseConv2D(
            3, padding="same", use_bias=False, name=f"{name}_depthwise"
        )(x)
        return conv_norm(x, self._width(filters), name, **self._common())

    def _pool(self, x: Any, name: str) -> Any:
        """3x3 at stride 2. Symmetric at even sides: at stride 1, then every second pixel."""
        if self.variant == "keras" or x.shape[1] % 2:
            return keras.layers.MaxPooling2D(3, 2, "same", name=f"{name}_pool")(x)
        x = keras.layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x)
        return keras.layers.MaxPooling2D(1, 2, name=f"{name}_pool_every_second")(x)

    def _width(self, channels: int) -> int:
        return make_divisible(channels * self.alpha)

    def _common(self) -> dict[str, Any]:
        return KERAS if self.variant == "keras" else TORCH

    @classmethod
    def published(cls) -> list[Published]:
        counts = 22_855_952, {299: 8_357_403_496}  # of tf_keras 2.21
        return [Published({}, 299, 0.790, "tf_keras.applications", *counts)]

    def references(self) -> dict[str, Names]:
        last = 5 + self.middle_blocks
        return {"keras": _applications(last)} if self.variant == "keras" else {"timm": _timm(last)}


def _separables(last: int) -> list[tuple[int, int]]:
    """Block and place of each separable convolution; `last` is the last block that halves."""
    return [
        (number, place)
        for number in range(2, last + 2)
        for place in ((1, 2, 3) if 5 <= number < last else (1, 2))
    ]


def _applications(last: int) -> Names:
    names: Names = {"logits": "predictions"}
    for place in (1, 2):
        own = f"block1_conv{place}"
        names |= norm_pair(own, own, f"{own}_bn")
    for number, place in _separables(last):
        own = f"block{number}_sepconv{place}"
        names |= {f"{own}_depthwise": own} | norm_pair(own, own, f"{own}_bn")
    for count, number in enumerate((2, 3, 4, last)):
        suffix = f"_{count}" if count else ""  # Keras left these without a name of their own
        own = f"block{number}_shortcut"
        names |= norm_pair(own, f"conv2d{suffix}", f"batch_normalization{suffix}")
    return names


def _timm(last: int) -> Names:
    names: Names = {"logits": "fc"}
    for place in (1, 2):
        names |= norm_pair(f"block1_conv{place}", f"conv{place}", f"bn{place}")
    for number, place in _separables(last):
        own = f"block{number}_sepconv{place}"
        at = 3 * place - (3 if number == 2 else 2)  # each has a ReLU before it but the first of all
        conv, norm = f"block{number - 1}.rep.{at}", f"block{number - 1}.rep.{at + 1}"
        if number > last:
            conv, norm = f"conv{place + 2}", f"bn{place + 2}"
        names |= {f"{own}_depthwise": f"{conv}.conv1"} | norm_pair(own, f"{conv}.pointwise", norm)
    for number in (2, 3, 4, last):
        block = f"block{number - 1}"
        names |= norm_pair(f"block{number}_shortcut", f"{block}.skip", f"{block}.skipbn")
    return names
