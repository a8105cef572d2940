"""Operators of an int8 file that stay in float: by their layers' names, or those harmed most."""

import re
from collections.abc import Callable, Iterable, Sequence
from math import log10
from typing import Any

import numpy as np

from tflite_light.errors import Unmade
from tflite_light.graph.convert import rounding_noise
from tflite_light.progress import say
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.layers import CASTS, Operator, called, operators
from tflite_light.tflite.moving import SAME_SCALE, freed
from tflite_light.tflite.patches import WEIGHTED

# Without weights of their own: their noise is that of scales, which they share with others.
_PASSING = {*SAME_SCALE, "RELU", "RELU6", "AVERAGE_POOL_2D"}
_COARSE = 0.01  # of the square of what is rounded: 20 dB
_FLOAT16 = 3  # the version of DEQUANTIZE that knows it


def named(content: bytes, patterns: Sequence[str], place: str) -> set[str]:
    """The tensors that operators of layers write whose names fit.

    `place` is where the recipe has the patterns. Raises Unmade where one fits none.
    """
    every = list(operators(File(content)))
    for pattern in patterns:
        if not any(one.fits([pattern]) for one in every):
            raise Unmade(
                f"{place}: {pattern!r} names no operator of the file.",
                "Its layers are part of others there, such as a batch norm of its convolution: "
                "name those.",
            )
    return {one.output for one in every if one.fits(patterns)}


def harmed(
    content: bytes,
    most: int,
    place: str,
    layers: Sequence[str],
    batches: Callable[[], Iterable[list[Any]]],
) -> set[str]:
    """The tensors of at most `most` operators of a calibrated file, those that rounding changes
    most. Where that is because of the steps of what one writes, those that read it are kept, too,
    and if they are too many, it is left.

    `layers` are those of the network. Raises Unmade where the file has no more operators.
    """
    editor, every = Editor(content), {one.output: one for one in operators(File(content))}
    if most >= len(every):
        raise Unmade(
            f"{place}: {most} are all of the file's {len(every)} operators.",
            "Write fewer, or export float32.",
        )
    writers = {editor.name(int(one.outputs[0])): one for one in editor.operators}
    kept: set[str] = set()
    for name, noise, steps in sorted(rounding_noise(content, batches), key=lambda one: -one[1]):
        output = _tensor(name, list(every))
        together = [output]
        if output in writers and _is_by_steps(editor.kind(writers[output]), noise, steps):
            found = freed(editor, writers[output])
            together = [editor.name(int(one.outputs[0])) for one in found]
        if output not in kept and len(kept.union(together)) <= most:
            names = [_layer(every[one], editor, layers) for one in together]
            rest = f", and so do {', '.join(names[1:])}, which read it" if names[1:] else ""
            decibels = -10 * log10(max(noise, 1e-12))
            say(f"{names[0]} stays in float: as int8 it has {decibels:.0f} dB{rest}")
            kept |= set(together)
    return kept


def _is_by_steps(kind: str, noise: float, steps: float) -> bool:
    """Whether an operator's noise is that of the steps which it writes, coarse ones, or another's:
    a cast behind it, if it stays in float alone, rounds to the same."""
    return kind in _PASSING or _COARSE < noise < 2 * steps


def _layer(operator: Operator, editor: Editor, layers: Sequence[str]) -> str:
    last = operator.output == editor.name(int(editor.graph.outputs[0]))
    return called(operator.layers, layers, last) or operator.output


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
