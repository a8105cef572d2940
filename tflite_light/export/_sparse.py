"""Kernels stored without their zeros."""

from typing import Any

from pydantic import Field

from tflite_light.stack import tf

Sparse = Field(
    False,
    description="leave zeros out of kernels that are mostly zero: a smaller file, no faster",
)


def optimizations(sparse: bool) -> list[Any]:
    return [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
