"""A file's ends, and real values as their steps: the arithmetic of the contract, in one place."""

from typing import Any

import numpy as np

from tflite_light.contract import Tensor

Floats = np.ndarray[Any, np.dtype[np.float32]]


def end(details: dict[str, Any]) -> Tensor:
    """What LiteRT tells of one, as the contract has it.

    Raises ValueError where it is not of a type that pictures or answers have.
    """
    (scale, zero_point), kind = details["quantization"], np.dtype(details["dtype"]).name
    if kind not in ("float32", "int8", "uint8"):
        raise ValueError(f"{details['name']} is {kind}, where float32, int8 and uint8 are known")
    if kind == "float32":  # which stands for itself, whatever scale a file gives it
        scale = zero_point = 0
    elif not scale:  # and so do integers without one
        scale = 1
    if not 0 <= scale < np.inf:
        raise ValueError(f"{details['name']} has the scale {scale}")
    return Tensor(
        shape=[int(side) for side in details["shape"]],
        dtype=kind,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def quantise(real: Floats, tensor: Tensor) -> np.ndarray[Any, Any]:
    """Real values -> the file's: floor(real / scale + zero_point + 0.5), held within the type."""
    if not tensor.scale:
        return real
    steps = np.floor(real / np.float32(tensor.scale) + np.float32(tensor.zero_point + 0.5))
    return within(steps, tensor)


def within(steps: Floats, tensor: Tensor) -> np.ndarray[Any, Any]:
    """Whole steps, as far as the type has them, in it."""
    kind = np.iinfo(tensor.dtype)
    values: np.ndarray[Any, Any] = steps.clip(kind.min, kind.max).astype(kind.dtype)
    return values


def dequantise(values: np.ndarray[Any, Any], tensor: Tensor) -> Floats:
    """The file's own values -> real ones."""
    if not tensor.scale:
        return values
    return (values.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
