"""What a file's standard metadata say of its labels and its normalisation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tflite_light import contract
from tflite_light.contract import Contract, Tensor
from tflite_light.errors import UserError
from tflite_light.tflite import metadata
from tflite_light.tflite.flatbuffer import Damage
from tflite_light.tflite.metadata import Found

_PIXELS = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)


def read(path: Path, content: bytes) -> Found | None:
    """None where a file has no metadata. Raises UserError where they are damaged."""
    try:
        return metadata.read(content)
    except Damage as error:
        raise UserError(
            f"the metadata of {path} cannot be read: {error}.", "Copy the file again."
        ) from error


def labels(path: Path, found: Found, content: bytes) -> list[str] | None:
    """A label a line; None where the metadata name no file of them, or one that is not there."""
    if not found.labels:
        return None
    members = contract.members_of(content, str(path), (found.labels,))
    if found.labels not in members:
        return None
    text = members[found.labels].decode("utf-8-sig", errors="replace")
    lines = text.rstrip("\r\n").split("\n")
    return [line.removesuffix("\r") for line in lines]


def require_agreement(path: Path, content: bytes, agreed: Contract) -> None:
    """Raises UserError where metadata, which another tool may have changed, contradict a contract.

    MediaPipe would otherwise show other labels than the kit, or see other pixels.
    """
    found = read(path, content)
    if found is None:  # a file of minor 1
        return
    stated = {
        "labels": (labels(path, found, content), agreed.labels),
        "mean": (_by_channel(found.mean), _by_channel(agreed.image.mean)),
        "std": (_by_channel(found.std), _by_channel(agreed.image.std)),
    }
    for name, (theirs, ours) in stated.items():
        if theirs is not None and theirs != ours:
            raise UserError(
                f"the metadata of {path} and its contract have different {name}"
                f"{'' if name == 'labels' else ': the input differs'}.",
                "Write the metadata again as in the contract, or export the model again.",
            )


def is_pixel(mean: Sequence[float], std: Sequence[float], input_: Tensor) -> bool:
    """Whether a uint8 input is, within a step, the very pixel.

    MediaPipe gives it nothing else, whatever normalisation the metadata have.
    """
    with np.errstate(all="ignore"):
        real = (_PIXELS - np.array(mean, np.float32)) / np.array(std, np.float32)
        steps = np.nan_to_num(real / np.float32(input_.scale) + input_.zero_point, nan=1e9)
    return bool(np.abs(steps.clip(0, 255) - _PIXELS).max() <= 1)


def _by_channel(values: Sequence[float] | None) -> list[float] | None:
    """As float32, in which metadata have them."""
    spread = None if values is None else [*values] * (3 if len(values) == 1 else 1)
    return spread and [float(np.float32(value)) for value in spread]
