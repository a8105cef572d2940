"""What the converter multiplies kernels by: batch norms and constants around them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.copied import copied
from tflite_light.tflite.file import File
from tflite_light.tflite.graph import Weight

Scaled = Literal["whole", "outputs", "otherwise"]
_ONES = 0.75  # of a probe's weights


def scaled(model: Any, names: Sequence[str]) -> dict[str, Scaled]:
    """How the kernels of the named layers are multiplied: as a `whole`, by one number or none; by
    numbers of their `outputs`; or `otherwise`, so that equal weights become unequal, or the file
    has them not at all.

    The converter's rules are many, so it is asked: a copy is converted in which these kernels are
    zeros and ones at random places, by which they are known in the file, and all other weights
    random numbers, as a batch norm that begins with ones would multiply nothing.
    """
    probe, draw = copied(model), np.random.default_rng(0)
    for variable in probe.weights:
        if variable.dtype.is_floating:
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
    for name in names:
        kernel = probe.get_layer(name).kernel
        kernel.assign(draw.random(kernel.shape) < _ONES)
    found = defaultdict(list)
    for weight in File(convert(converter_for(probe))).weights():
        found[_places(weight.values)].append(weight)
    ours = {name: np.moveaxis(probe.get_layer(name).kernel.numpy(), -1, 0) for name in names}
    return {name: _scaled(found[_places(kernel)]) for name, kernel in ours.items()}


def _places(kernel: Any) -> tuple[int, bytes]:
    """Where a kernel whose output channels come first is not zero."""
    return len(kernel), (kernel != 0).tobytes()


def _scaled(weights: Sequence[Weight]) -> Scaled:
    """Of a kernel that the file has once, or for each use of its layer; 0 is one of two values."""
    if not weights or any(one.distinct_by_channel > 2 for one in weights):
        return "otherwise"
    return "outputs" if any(one.distinct > 2 for one in weights) else "whole"
