"""ShuffleNet v1: grouped pointwise convolutions, and a shuffle that lets the groups talk."""

import math
from typing import Any, Literal

from pydantic import Field

from tflite_light.models import Architecture, Names, Published
from tflite_light.models._blocks import (
    TORCH,
    classify,
    conv_norm,
    depthwise_norm,
    norm_pair,
    relu,
    shuffle,
    torch_average_pool,
    torch_max_pool,
)
from tflite_light.stack import keras

WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of stage 2 by groups: table 1
REPEATS = (4, 8, 4)

ERROR: dict[float, dict[int, float]] = {  # alpha: per cent by groups; tables 2 and 5 of the paper
    1.0: {1: 33.6, 2: 32.7, 3: 32.6, 4: 32.8, 8: 32.4},
    0.5: {1: 45.1, 2: 44.4, 3: 43.2, 4: 41.6, 8: 42.3},
    0.25: {1: 57.1, 2: 56.8, 3: 55.0, 4: 54.2, 8: 52.7},
    1.5: {3: 28.5},
    2.0: {3: 26.3},
}

# Alpha, groups: trained parameters and, where they are known to the last, multiply-adds at 224; of
# Megvii's implementation, and by the paper's table for the widths that it lacks
COUNTS: dict[tuple[float, int], tuple[int, dict[int, int]]] = {
    (0.25, 1): (208_908, {}),
    (0.25, 2): (266_224, {}),
    (0.25, 4): (338_420, {}),
    (0.25, 8): (453_888, {}),
    (0.5, 2): (642_932, {}),
    (0.5, 3): (717_324, {224: 37_589_856}),
    (0.5, 4): (777_040, {}),
    (0.5, 8): (1_010_448, {224: 40_469_760}),
    (1.0, 3): (1_864_728, {224: 137_460_672}),
    (1.0, 8): (2_433_768, {224: 138_365_952}),
    (1.5, 3): (3_441_168, {224: 292_443_552}),
    (2.0, 3): (5_449_776, {224: 524_045_184}),
}


class ShuffleNetV1(Architecture):
    """Zhang et al. 2017, arXiv 1707.01083, table 1, as in Megvii's implementation.

    It shuffles after the depthwise convolution, by the inverse of the paper's permutation, and its
    classifier has no bias.

    Where a width does not divide: the stem has 12, 24 or 48 channels (alpha below 1, below 2, from
    2), rounded up to a multiple of `groups`; outputs are rounded to the nearest such multiple, and
    bottlenecks, a quarter of the output, up. The groups convolve as one grouped operator.
    """

    groups: Literal[1, 2, 3, 4, 8] = Field(3, description="of the pointwise convolutions")
    alpha: float = Field(
        1.0, ge=0.1, le=4, description="width multiplier; 0.25 0.5 1.0 1.5 2.0 are published"
    )

    def logits(self, image: Any, classes: int) -> Any:
        x = conv_norm(image, self._stem(), "stem", 3, 2, **TORCH)
        x = torch_max_pool(relu(x, "stem"), "stem")
        for stage, repeats in enumerate(REPEATS, start=2):
            for unit in range(repeats):
                x = self._unit(x, stage, unit)
        return classify(x, classes, use_bias=False)

    def _unit(self, x: Any, stage: int, unit: int) -> Any:
        name, strides, shortcut = f"stage{stage}_unit{unit}", 1 if unit else 2, x
        output = self._output(stage)
        middle = self._up(output // 4)
        groups = 1 if (stage, unit) == (2, 0) else self.groups  # the stem is too narrow for groups
        x = conv_norm(x, middle, f"{name}_reduce", groups=groups, **TORCH)
        x = relu(x, f"{name}_reduce")
        x = depthwise_norm(x, f"{name}_spatial", strides=strides, **TORCH)
        if self.groups > 1:
            x = shuffle(x, middle // self.groups, name)
        filters = output if unit else output - shortcut.shape[-1]
        x = conv_norm(x, filters, f"{name}_expand", groups=self.groups, **TORCH)
        if unit:
            return relu(keras.layers.Add(name=f"{name}_add")([shortcut, x]), name)
        sides = [torch_average_pool(shortcut, f"{name}_shortcut"), relu(x, name)]
        return keras.layers.Concatenate(name=f"{name}_concat")(sides)

    def _stem(self) -> int:
        return self._up(12 if self.alpha < 1 else 24 if self.alpha < 2 else 48)

    def _output(self, stage: int) -> int:
        exact = WIDTHS[self.groups] * self.alpha * 2 ** (stage - 2)
        return int(self.groups * max(1, math.floor(exact / self.groups + 0.5)))

    def _up(self, channels: int) -> int:
        return self.groups * max(1, math.ceil(channels / self.groups))

    @classmethod
    def published(cls) -> list[Published]:
        return [
            Published(
                {"groups": groups, "alpha": alpha},
                224,
                round(1 - error / 100, 4),
                f"Zhang 2017, table {2 if alpha <= 1 else 5}",
                *COUNTS.get((alpha, groups), ()),
            )
            for alpha, row in ERROR.items()
            for groups, error in row.items()
        ]

    def references(self) -> dict[str, Names]:
        names = norm_pair("stem", "first_conv.0", "first_conv.1") | {"logits": "classifier.0"}
        units = [(stage, unit) for stage, n in enumerate(REPEATS, start=2) for unit in range(n)]
        for place, (stage, unit) in enumerate(units):
            own, theirs = f"stage{stage}_unit{unit}", f"features.{place}.branch_main"
            names |= norm_pair(f"{own}_reduce", f"{theirs}_1.0", f"{theirs}_1.1")
            names |= norm_pair(f"{own}_spatial", f"{theirs}_1.3", f"{theirs}_1.4", "depthwise")
            names |= norm_pair(f"{own}_expand", f"{theirs}_2.0", f"{theirs}_2.1")
        return {"megvii": names}
