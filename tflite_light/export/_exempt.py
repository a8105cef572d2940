"""Operators of an int8 file that stay in float: by their layers' names, or those harmed most."""

import re
from collections.abc import Callable, Iterable, Sequence
from math import log10
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph.convert import rounding_noise
from tflite_light.progress import say
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.layers import CASTS, operators
from tflite_light.tflite.patches import WEIGHTED

_FLOAT16 = 3  # the version of DEQUANTIZE that knows it


def named(content: bytes, patterns: Sequence[str], place: str) -> set[str]:
    """The tensors that operators of layers write whose names fit.

    `place` is where the recipe has the patterns. Raises UserError where one fits none.
    """
    every = list(operators(File(content)))
    for pattern in patterns:
        if not any(one.fits([pattern]) for one in every):
            raise UserError(
                f"{place}: {pattern!r} names no operator of the file.",
                "Its layers are part of others there, such as a batch norm of its convolution: "
                "name those.",
            )
    return {one.output for one in every if one.fits(patterns)}


def harmed(
    content: bytes, most: int, place: str, batches: Callable[[], Iterable[list[Any]]]
) -> set[str]:
    """The tensors of `most` operators of a calibrated file, those that rounding changes most.

    Raises UserError where it has no more.
    """
    outputs = [one.output for one in operators(File(content))]
    if most >= len(outputs):
        raise UserError(
            f"{place}: {most} are all of the file's {len(outputs)} operators.",
            "Write fewer, or export float32.",
        )
    worst = sorted(rounding_noise(content, batches), key=lambda found: -found[1])[:most]
    kept = {_tensor(name, outputs): noise for name, noise in worst}
    for name, noise in kept.items():
        say(
            f"{_layer(name)} stays in float: as int8 it has {-10 * log10(max(noise, 1e-12)):.0f} dB"
        )
    return set(kept)


def _layer(tensor: str) -> str:
    """Of `net/stem_relu/Relu6;net/stem_conv/Conv2D` the layer that the rest became part of."""
    *_, last = tensor.split(";")
    *before, _ = last.split("/")
    return before[-1] if before else tensor


def halved(content: bytes) -> bytes:
    """The file with float16 kernels in its float layers, unpacked as those of the float16 mode."""
    editor = Editor(content)
    for one in [one for one in editor.operators if editor.kind(one) in WEIGHTED]:
        index = int(one.inputs[1])
        values = editor.values(index)
        if values is not None and values.dtype == np.float32:
            half = editor.constant(values.astype(np.float16), editor.name(index))
            real = editor.real(values.shape, f"{editor.name(index)}/real")
            editor.insert(one, editor.operator("DEQUANTIZE", [half], [real], None, _FLOAT16))
            one.inputs = [one.inputs[0], real, *one.inputs[2:]]
    return editor.write() if editor.changed else content


def strays(file: File, patterns: Sequence[str], casts: bool) -> list[str]:
    """Operators in float, by their kinds, but for those of layers that fit, and for casts."""
    return [
        one.kind
        for one in operators(file)
        if one.is_float and not (casts and one.kind in CASTS) and not one.fits(patterns)
    ]


def _tensor(name: str, outputs: Sequence[str]) -> str:
    """The one that a verifying operator was named after: the converter adds digits."""
    return max((one for one in outputs if re.fullmatch(re.escape(one) + r"\d*", name)), key=len)
