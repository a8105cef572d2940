"""Which of a network's weights are kernels."""

from typing import Any


def is_kernel(variable: Any) -> bool:
    """Whether it multiplies what comes in: such weights alone have two axes or more, but for the
    slopes of a PReLU. Those of layers in wrappers, too."""
    slopes = variable.name.removesuffix(":0").rpartition("/")[2] == "alpha"
    return bool(variable.shape.rank > 1) and not slopes
