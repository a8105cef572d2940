"""What a Keras model's kernels hold, counted as those of a file are."""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tflite_light.graph.kernels import kernels_among
from tflite_light.tflite.graph import Weight

DEPTHWISE = "DEPTHWISE_CONV_2D"
LEVEL = 1  # 0.1 s a million weights; at 9 clustered ones take 7 s, and two thirds of the bytes


def kernels(model: Any) -> list[Weight]:
    """As `kernels_among` tells them.

    Output channels come first, as in a file.
    """
    return [
        Weight(
            variable.name,
            DEPTHWISE if "depthwise" in variable.name.rpartition("/")[2] else "",
            np.moveaxis(variable.numpy(), -1, 0),
            "float32",
        )
        for variable in kernels_among(model.weights, model)
    ]


def most_values(weights: Sequence[Weight]) -> int | None:
    """The most different values in an output channel; None where all kernels are depthwise."""
    mixing = [one for one in weights if one.operator != DEPTHWISE]
    return max((one.distinct_by_channel for one in mixing), default=None)


def deflated_bytes(weights: Sequence[Weight]) -> int:
    """Each kernel's own bytes by zlib, which leaves other threads their processors."""
    with ThreadPoolExecutor() as pool:
        return sum(pool.map(_deflated, weights))


def _deflated(weight: Weight) -> int:
    return len(zlib.compress(weight.values.tobytes(), LEVEL))
