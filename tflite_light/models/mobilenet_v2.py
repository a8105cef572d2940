"""MobileNet v2: inverted residuals and linear bottlenecks."""

from typing import Any, Literal

from pydantic import Field

from tflite_light.models import Architecture, Names, Published, by_width_and_size
from tflite_light.models._blocks import (
    KERAS,
    TORCH,
    classify,
    conv_norm,
    depthwise_norm,
    make_divisible,
    norm_pair,
    relu6,
)
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

SIZES = (224, 192, 160, 128, 96)
TOP1: dict[float, tuple[float, ...]] = {  # alpha: by size; slim/nets/mobilenet/README.md
    1.4: (0.750,),
    1.3: (0.744,),
    1.0: (0.718, 0.707, 0.688, 0.653, 0.603),
    0.75: (0.698, 0.687, 0.664, 0.632, 0.588),
    0.5: (0.654, 0.639, 0.610, 0.577, 0.512),
    0.35: (0.603, 0.582, 0.557, 0.508, 0.455),
}
PARAMETERS = {  # of tf_keras 2.21; torchvision and timm agree
    1.4: 6_108_776,
    1.3: 5_386_792,
    1.0: 3_504_872,
    0.75: 2_636_424,
    0.5: 1_968_680,
    0.35: 1_677_128,
}
MULTIPLY_ADDS: dict[float, tuple[int, ...]] = {  # by size; likewise
    1.4: (582_195_824,),
    1.3: (509_374_560,),
    1.0: (300_774_272, 221_316_608, 154_083_200, 99_074_048, 56_289_152),
    0.75: (209_069_792, 153_941_888, 107_295_200, 69_129_728, 39_445_472),
    0.5: (97_131_840, 71_701_760, 50_184_000, 32_578_560, 18_885_440),
    0.35: (59_285_808, 43_896_512, 30_874_800, 20_220_672, 11_934_128),
}


class MobileNetV2(Architecture):
    """Sandler et al. 2018, arXiv 1801.04381, table 2; widths rounded to multiples of 8 as in slim.

    The last convolution keeps 1280 channels below alpha 1, as the paper says. `keras` equals
    `tf_keras.applications.MobileNetV2` layer by layer: SAME padding at stride 2 is what its
    explicit padding does. `torch` pads both sides alike and has PyTorch's batch-norm epsilon, for
    weights of torchvision and timm. No dropout.
    """

    alpha: float = Field(
        1.0, ge=0.1, le=4, description="width multiplier; 0.35 0.5 0.75 1.0 1.3 1.4 are published"
    )
    variant: Literal["keras", "torch"] = Field(
        "keras", description="whose padding and epsilon; with weights of torch: torch"
    )

    def logits(self, image: Any, classes: int) -> Any:
        common = KERAS if self.variant == "keras" else TORCH
        x = relu6(conv_norm(image, self._width(32), "stem", 3, 2, **common), "stem")
        for number, (expansion, channels, strides) in enumerate(_blocks()):
            x = _block(x, f"block{number}", expansion, self._width(channels), strides, common)
        x = relu6(conv_norm(x, max(1280, self._width(1280)), "top", **common), "top")
        return classify(x, classes)

    def _width(self, channels: int) -> int:
        return make_divisible(int(channels * self.alpha))

    @classmethod
    def published(cls) -> list[Published]:
        return by_width_and_size(
            TOP1, SIZES, "slim, mobilenet/README.md", PARAMETERS, MULTIPLY_ADDS
        )

    def references(self) -> dict[str, Names]:
        if self.variant == "keras":
            return {"keras": _applications()}
        return {"torchvision": _torchvision(), "timm": _timm()}


def _blocks() -> list[tuple[int, int, int]]:
    """Expansion, output channels and strides of each block."""
    return [
        (expansion, channels, strides if index == 0 else 1)
        for expansion, channels, blocks, strides in STAGES
        for index in range(blocks)
    ]


def _block(
    x: Any, name: str, expansion: int, channels: int, strides: int, common: dict[str, Any]
) -> Any:
    shortcut, inputs = x, x.shape[-1]
    if expansion > 1:
        x = conv_norm(x, inputs * expansion, f"{name}_expand", **common)
        x = relu6(x, f"{name}_expand")
    x = relu6(depthwise_norm(x, f"{name}_spatial", strides=strides, **common), f"{name}_spatial")
    x = conv_norm(x, channels, f"{name}_project", **common)
    if strides == 1 and inputs == channels:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _applications() -> Names:
    names = norm_pair("stem", "Conv1", "bn_Conv1") | norm_pair("top", "Conv_1", "Conv_1_bn")
    for number in range(len(_blocks())):
        own, theirs = f"block{number}", f"block_{number}" if number else "expanded_conv"
        for role, name, kind in (
            ("expand", "expand", "conv"),
            ("spatial", "depthwise", "depthwise"),
            ("project", "project", "conv"),
        ):
            names |= norm_pair(f"{own}_{role}", f"{theirs}_{name}", f"{theirs}_{name}_BN", kind)
    return names | {"logits": "predictions"}


def _torchvision() -> Names:
    names = norm_pair("stem", "features.0.0", "features.0.1")
    names |= norm_pair("top", "features.18.0", "features.18.1")
    for number in range(len(_blocks())):
        own, theirs = f"block{number}", f"features.{number + 1}.conv"
        at = 1 if number else 0  # the first block has no expansion
        names |= norm_pair(f"{own}_expand", f"{theirs}.0.0", f"{theirs}.0.1")
        names |= norm_pair(f"{own}_spatial", f"{theirs}.{at}.0", f"{theirs}.{at}.1", "depthwise")
        names |= norm_pair(f"{own}_project", f"{theirs}.{at + 1}", f"{theirs}.{at + 2}")
    return names | {"logits": "classifier.1"}


def _timm() -> Names:
    names = norm_pair("stem", "conv_stem", "bn1") | norm_pair("top", "conv_head", "bn2")
    places = [(stage, n) for stage, (_, _, blocks, _) in enumerate(STAGES) for n in range(blocks)]
    for number, (stage, place) in enumerate(places):
        own, theirs = f"block{number}", f"blocks.{stage}.{place}"
        at, project = (2, "conv_pwl") if number else (1, "conv_pw")
        names |= norm_pair(f"{own}_expand", f"{theirs}.conv_pw", f"{theirs}.bn1")
        names |= norm_pair(f"{own}_spatial", f"{theirs}.conv_dw", f"{theirs}.bn{at}", "depthwise")
        names |= norm_pair(f"{own}_project", f"{theirs}.{project}", f"{theirs}.bn{at + 1}")
    return names | {"logits": "classifier"}
