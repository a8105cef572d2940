"""MobileNet v1: depthwise and pointwise convolutions in turn."""

from typing import Any, Literal

from pydantic import Field

from tflite_light.models import Architecture, Names, Published, by_width_and_size
from tflite_light.models._blocks import (
    KERAS,
    TORCH,
    conv_norm,
    depthwise_norm,
    norm_pair,
    relu6,
)
from tflite_light.stack import keras

BLOCKS = (  # output channels, strides: table 1 of the paper
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)

SIZES = (224, 192, 160, 128)
TOP1 = {  # alpha: by size; tensorflow/models, slim/nets/mobilenet_v1.md
    1.0: (0.709, 0.700, 0.680, 0.652),
    0.75: (0.684, 0.672, 0.653, 0.621),
    0.5: (0.633, 0.617, 0.591, 0.563),
    0.25: (0.498, 0.477, 0.455, 0.415),
}
PARAMETERS = {1.0: 4_231_976, 0.75: 2_585_560, 0.5: 1_331_592, 0.25: 470_072}  # of tf_keras 2.21
MULTIPLY_ADDS = {  # by size; likewise
    1.0: (568_740_352, 418_121_728, 290_675_200, 186_400_768),
    0.75: (325_400_448, 239_273_472, 166_396_800, 106_770_432),
    0.5: (149_497_088, 109_970_432, 76_524_800, 49_160_192),
    0.25: (41_030_272, 30_212_608, 21_059_200, 13_570_048),
}


class MobileNetV1(Architecture):
    """Howard et al. 2017, arXiv 1704.04861, table 1; the width multiplier scales every layer.

    `keras` equals `tf_keras.applications.MobileNet` layer by layer; `torch` pads both sides alike
    and has PyTorch's batch-norm epsilon, for weights of timm. The last convolution is the
    classifier, at one pixel. No dropout.
    """

    alpha: float = Field(
        1.0, ge=0.1, le=4, description="width multiplier; 0.25 0.5 0.75 1.0 are published"
    )
    variant: Literal["keras", "torch"] = Field(
        "keras", description="whose padding and epsilon; with weights of torch: torch"
    )

    def logits(self, image: Any, classes: int) -> Any:
        stem = KERAS if self.variant == "keras" else TORCH
        common = stem | ({"padding": "end"} if self.variant == "keras" else {})
        x = conv_norm(image, self._width(32), "stem", 3, 2, **stem)
        x = relu6(x, "stem")
        for number, (channels, strides) in enumerate(BLOCKS, start=1):
            name = f"block{number}"
            x = depthwise_norm(x, f"{name}_spatial", strides=strides, **common)
            x = relu6(x, f"{name}_spatial")
            x = conv_norm(x, self._width(channels), f"{name}_expand", **common)
            x = relu6(x, f"{name}_expand")
        x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
        x = keras.layers.Conv2D(classes, 1, name="logits_conv")(x)
        return keras.layers.Reshape((classes,), name="logits")(x)

    def _width(self, channels: int) -> int:
        return max(1, int(channels * self.alpha))

    @classmethod
    def published(cls) -> list[Published]:
        return by_width_and_size(TOP1, SIZES, "slim, mobilenet_v1.md", PARAMETERS, MULTIPLY_ADDS)

    def references(self) -> dict[str, Names]:
        applications = norm_pair("stem", "conv1", "conv1_bn") | {"logits_conv": "conv_preds"}
        timm = norm_pair("stem", "conv_stem", "bn1") | {"logits_conv": "classifier"}
        stage, place = 0, 0
        for number, (_, strides) in enumerate(BLOCKS, start=1):
            own = f"block{number}"
            stage, place = (stage + 1, 0) if strides == 2 else (stage, place + (number > 1))
            block = f"blocks.{stage}.{place}"
            for role, kind, theirs, conv, norm in (
                ("spatial", "depthwise", "dw", "conv_dw", "bn1"),
                ("expand", "conv", "pw", "conv_pw", "bn2"),
            ):
                keras_name = f"conv_{theirs}_{number}"
                applications |= norm_pair(f"{own}_{role}", keras_name, f"{keras_name}_bn", kind)
                timm |= norm_pair(f"{own}_{role}", f"{block}.{conv}", f"{block}.{norm}", kind)
        return {"keras": applications} if self.variant == "keras" else {"timm": timm}
