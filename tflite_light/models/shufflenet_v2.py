"""ShuffleNet v2: half of the channels pass by, half are convolved, and all are shuffled."""

from typing import Any, Literal

from pydantic import Field, field_validator

from tflite_light.models import Architecture, Names, Published
from tflite_light.models._blocks import (
    TORCH,
    channels,
    classify,
    conv_norm,
    depthwise_norm,
    norm_pair,
    relu,
    shuffle,
    torch_max_pool,
)
from tflite_light.stack import keras

STEM = 24
WIDTHS = {  # channels of stages 2 to 4 and of the last convolution: table 5
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
REPEATS = (4, 8, 4)
LAYERS = (  # of a unit: side, role, kind, place in the reference's branch
    ("left", "spatial", "depthwise", 0),  # the left ones in a stage's first unit alone
    ("left", "expand", "conv", 2),
    ("right", "reduce", "conv", 0),
    ("right", "spatial", "depthwise", 3),
    ("right", "expand", "conv", 5),
)

SOURCES = {"paper": "Ma 2018, table 8", "torchvision": "torchvision 0.28"}
TOP1 = {  # alpha: by source
    0.5: (0.603, 0.60552),
    1.0: (0.694, 0.69362),
    1.5: (0.726, 0.72996),
    2.0: (0.749, 0.76230),
}

# Alpha, variant: trained parameters and multiply-adds at 224 of Megvii's and torchvision's networks
COUNTS = {
    (0.5, "paper"): (1_365_792, 40_476_448),
    (1.0, "paper"): (2_278_760, 145_814_296),
    (1.5, "paper"): (3_506_720, 298_970_656),
    (2.0, "paper"): (7_402_600, 590_783_000),
    (0.5, "torchvision"): (1_366_792, 40_476_448),
    (1.0, "torchvision"): (2_278_604, 144_907_992),
    (1.5, "torchvision"): (3_503_624, 295_759_392),
    (2.0, "torchvision"): (7_393_996, 583_253_464),
}


class ShuffleNetV2(Architecture):
    """Ma et al. 2018, arXiv 1807.11164, table 5.

    `paper` is Megvii's network: a stage's first unit keeps its input's channels on the left and
    makes up the rest on the right, even channels go left and odd ones right, and the classifier has
    no bias. `torchvision` makes both sides of the first unit alike, shuffles after each unit, and
    has a bias. At 0.5 they are equally large. Without the dropout that Megvii has at 2.0.
    """

    alpha: float = Field(1.0, description="width: 0.5 1.0 1.5 2.0")
    variant: Literal["paper", "torchvision"] = Field("paper", description="whose units")

    @field_validator("alpha")
    @classmethod
    def _published(cls, alpha: float) -> float:
        if alpha not in WIDTHS:
            nearest = min(WIDTHS, key=lambda width: abs(width - alpha))
            raise ValueError(f"no published width; the nearest is {nearest}")
        return alpha

    def logits(self, image: Any, classes: int) -> Any:
        *stages, last = WIDTHS[self.alpha]
        x = conv_norm(image, STEM, "stem", 3, 2, **TORCH)
        x = torch_max_pool(relu(x, "stem"), "stem")
        for stage, (output, repeats) in enumerate(zip(stages, REPEATS, strict=True), start=2):
            x = self._reduce(x, f"stage{stage}_unit0", output)
            for unit in range(1, repeats):
                x = self._unit(x, f"stage{stage}_unit{unit}")
        x = relu(conv_norm(x, last, "top", **TORCH), "top")
        return classify(x, classes, use_bias=self.variant == "torchvision")

    def _reduce(self, x: Any, name: str, output: int) -> Any:
        left = output // 2 if self.variant == "torchvision" else x.shape[-1]
        side = depthwise_norm(x, f"{name}_left_spatial", strides=2, **TORCH)
        side = conv_norm(side, left, f"{name}_left_expand", **TORCH)
        side = relu(side, f"{name}_left_expand")
        return self._joined(side, _right(x, name, output // 2, output - left, strides=2), name)

    def _unit(self, x: Any, name: str) -> Any:
        half = x.shape[-1] // 2
        if self.variant == "paper":
            x = shuffle(x, half, name)  # even channels, then odd ones
        left = channels(x, 0, half, f"{name}_left")
        right = _right(channels(x, half, 2 * half, f"{name}_right"), name, half, half)
        return self._joined(left, right, name)

    def _joined(self, left: Any, right: Any, name: str) -> Any:
        x = keras.layers.Concatenate(name=f"{name}_concat")([left, right])
        return shuffle(x, 2, name) if self.variant == "torchvision" else x

    @classmethod
    def published(cls) -> list[Published]:
        return [
            Published(
                {"alpha": alpha, "variant": variant},
                224,
                top1,
                source,
                parameters,
                {224: multiply_adds},
            )
            for alpha, row in TOP1.items()
            for (variant, source), top1 in zip(SOURCES.items(), row, strict=True)
            for parameters, multiply_adds in [COUNTS[alpha, variant]]
        ]

    def references(self) -> dict[str, Names]:
        if self.variant == "paper":
            names = self._names("first_conv", "features.{place}", "branch_proj", "branch_main")
            top = norm_pair("top", "conv_last.0", "conv_last.1")
            return {"megvii": names | top | {"logits": "classifier.0"}}
        names = self._names("conv1", "stage{stage}.{unit}", "branch1", "branch2")
        return {"torchvision": names | norm_pair("top", "conv5.0", "conv5.1") | {"logits": "fc"}}

    def _names(self, stem: str, unit_name: str, left: str, right: str) -> Names:
        names = norm_pair("stem", f"{stem}.0", f"{stem}.1")
        branches = {"left": left, "right": right}
        units = [(stage, unit) for stage, n in enumerate(REPEATS, start=2) for unit in range(n)]
        for place, (stage, unit) in enumerate(units):
            theirs = unit_name.format(place=place, stage=stage, unit=unit)
            for side, role, kind, at in LAYERS:
                own, branch = f"stage{stage}_unit{unit}_{side}_{role}", f"{theirs}.{branches[side]}"
                names |= norm_pair(own, f"{branch}.{at}", f"{branch}.{at + 1}", kind)
        return names


def _right(x: Any, name: str, middle: int, output: int, strides: int = 1) -> Any:
    name = f"{name}_right"
    x = conv_norm(x, middle, f"{name}_reduce", **TORCH)
    x = relu(x, f"{name}_reduce")
    x = depthwise_norm(x, f"{name}_spatial", strides=strides, **TORCH)
    return relu(conv_norm(x, output, f"{name}_expand", **TORCH), f"{name}_expand")
