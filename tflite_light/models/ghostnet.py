"""GhostNet: half of each feature map is convolved, the other half made from it cheaply."""

import math
from typing import Any

from pydantic import Field

from tflite_light.models import Architecture, Names, Published
from tflite_light.models._blocks import (
    TORCH,
    channels,
    conv_norm,
    depthwise_norm,
    make_divisible,
    norm_pair,
    relu,
    relu6,
)
from tflite_light.stack import keras

BLOCKS = (  # stage and unit in the reference, kernel, expansion, output, SE, strides: table 1
    (0, 0, 3, 16, 16, False, 1),
    (1, 0, 3, 48, 24, False, 2),
    (2, 0, 3, 72, 24, False, 1),
    (3, 0, 5, 72, 40, True, 2),
    (4, 0, 5, 120, 40, True, 1),
    (5, 0, 3, 240, 80, False, 2),
    (6, 0, 3, 200, 80, False, 1),
    (6, 1, 3, 184, 80, False, 1),
    (6, 2, 3, 184, 80, False, 1),
    (6, 3, 3, 480, 112, True, 1),
    (6, 4, 3, 672, 112, True, 1),
    (7, 0, 5, 672, 160, True, 2),
    (8, 0, 5, 960, 160, False, 1),
    (8, 1, 5, 960, 160, True, 1),
    (8, 2, 5, 960, 160, False, 1),
    (8, 3, 5, 960, 160, True, 1),
)
LAYERS = (  # of a block; the reference's names of each and of its batch norm
    ("expand_primary", "ghost1.primary_conv.0", "ghost1.primary_conv.1", "conv"),
    ("expand_cheap", "ghost1.cheap_operation.0", "ghost1.cheap_operation.1", "depthwise"),
    ("spatial", "conv_dw", "bn_dw", "depthwise"),
    ("project_primary", "ghost2.primary_conv.0", "ghost2.primary_conv.1", "conv"),
    ("project_cheap", "ghost2.cheap_operation.0", "ghost2.cheap_operation.1", "depthwise"),
    ("shortcut_spatial", "shortcut.0", "shortcut.1", "depthwise"),
    ("shortcut", "shortcut.2", "shortcut.3", "conv"),
)

TOP1 = {0.5: 0.662, 1.0: 0.739, 1.3: 0.757}  # by alpha; the paper's comparison on ImageNet
COUNTS = {  # alpha: trained parameters and multiply-adds at 224 of Huawei's implementation
    0.5: (2_587_292, 42_328_152),
    1.0: (5_182_508, 141_150_512),
    1.3: (7_358_820, 227_003_256),
}


class GhostNet(Architecture):
    """Han et al. 2020, arXiv 1911.11907, table 1, as in Huawei's implementation and timm.

    The gate of squeeze-and-excitation is relu6(x + 3) / 6 there; here the 3 is in its dense layer's
    bias and the 1/6 in the convolution behind the gate: the same function of as many weights, in
    layers that int8 has. Without the dropout before the classifier.
    """

    alpha: float = Field(1.0, ge=0.1, le=4, description="width; 0.5 1.0 1.3 are published")
    ratio: int = Field(2, ge=2, le=8, description="channels for each one that is convolved")
    squeeze_excite: bool = Field(True, description="gates on the blocks the paper gives one")

    def logits(self, image: Any, classes: int) -> Any:
        x = relu(conv_norm(image, self._width(16), "stem", 3, 2, **TORCH), "stem")
        for stage, unit, kernel, expansion, output, gated, strides in BLOCKS:
            name = f"block{stage}_{unit}"
            x = self._block(x, name, kernel, expansion, output, gated, strides)
        x = relu(conv_norm(x, self._width(960), "top", **TORCH), "top")
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        x = keras.layers.Dense(1280, activation="relu", name="head_dense")(x)
        return keras.layers.Dense(classes, name="logits")(x)

    def _block(
        self,
        x: Any,
        name: str,
        kernel: int,
        expansion: int,
        output: int,
        gated: bool,
        strides: int,
    ) -> Any:
        output, shortcut = self._width(output), x
        x = self._ghost(x, f"{name}_expand", self._width(expansion), active=True)
        if strides == 2:
            x = depthwise_norm(x, f"{name}_spatial", kernel, 2, **TORCH)
        if gated and self.squeeze_excite:
            x = _gate(x, name)
        x = self._ghost(x, f"{name}_project", output, active=False)
        if strides == 2 or shortcut.shape[-1] != output:
            shortcut = depthwise_norm(
                shortcut, f"{name}_shortcut_spatial", kernel, strides, **TORCH
            )
            shortcut = conv_norm(shortcut, output, f"{name}_shortcut", **TORCH)
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])

    def _ghost(self, x: Any, name: str, output: int, active: bool) -> Any:
        """The paper's figure 1b: a primary 1x1 convolution, and a depthwise one on its result."""
        primary = conv_norm(x, math.ceil(output / self.ratio), f"{name}_primary", **TORCH)
        primary = relu(primary, f"{name}_primary") if active else primary
        cheap = depthwise_norm(primary, f"{name}_cheap", multiplier=self.ratio - 1, **TORCH)
        cheap = relu(cheap, f"{name}_cheap") if active else cheap
        x = keras.layers.Concatenate(name=f"{name}_concat")([primary, cheap])
        return x if x.shape[-1] == output else channels(x, 0, output, name)

    def _width(self, channels: int) -> int:
        return make_divisible(channels * self.alpha, 4)

    @classmethod
    def published(cls) -> list[Published]:
        return [
            Published({"alpha": alpha}, 224, top1, "Han 2020", parameters, {224: multiply_adds})
            for alpha, top1 in TOP1.items()
            for parameters, multiply_adds in [COUNTS[alpha]]
        ]

    def references(self) -> dict[str, Names]:
        names = norm_pair("stem", "conv_stem", "bn1") | {"logits": "classifier"}
        names |= norm_pair("top", "blocks.9.0.conv", "blocks.9.0.bn1") | {"head_dense": "conv_head"}
        for stage, unit, *_ in BLOCKS:
            own, theirs = f"block{stage}_{unit}", f"blocks.{stage}.{unit}"
            names[f"{own}_squeeze_dense"] = f"{theirs}.se.conv_reduce"
            names[f"{own}_gate_dense"] = f"{theirs}.se.conv_expand"
            for role, conv, norm, kind in LAYERS:
                names |= norm_pair(f"{own}_{role}", f"{theirs}.{conv}", f"{theirs}.{norm}", kind)
        return {"huawei": names}

    def translate(self, layer: str, weights: dict[str, Any]) -> dict[str, Any]:
        if layer.endswith("_gate_dense"):
            return weights | {"bias": weights["bias"] + 3}
        for stage, unit, *_, gated, _ in BLOCKS:
            behind = layer == f"block{stage}_{unit}_project_primary_conv"
            if self.squeeze_excite and gated and behind:
                return weights | {"kernel": weights["kernel"] / 6}
        return weights


def _gate(x: Any, name: str) -> Any:
    """Squeeze-and-excitation (Hu 2018), a quarter of the channels within; gates from 0 to 6."""
    count = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(name=f"{name}_squeeze_pool")(x)
    gate = keras.layers.Dense(
        make_divisible(count * 0.25, 4), activation="relu", name=f"{name}_squeeze_dense"
    )(gate)
    half_open = keras.initializers.Constant(3.0)
    gate = keras.layers.Dense(count, bias_initializer=half_open, name=f"{name}_gate_dense")(gate)
    gate = relu6(
        keras.layers.Reshape((1, 1, count), name=f"{name}_gate_reshape")(gate), f"{name}_gate"
    )
    return keras.layers.Multiply(name=f"{name}_multiply")([x, gate])
