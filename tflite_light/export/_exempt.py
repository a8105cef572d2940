"""Operators of an int8 file that stay in float: by their layers' names, or those harmed most."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import log10
from typing import Any

import numpy as np

from tflite_light.errors import Unmade
from tflite_light.graph.convert import quantised, rounding_noise
from tflite_light.progress import say
from tflite_light.tflite.editing import Editor
from tflite_light.tflite.file import File
from tflite_light.tflite.layers import CASTS, Operator, operators
from tflite_light.tflite.moving import SAME_SCALE, freed
from tflite_light.tflite.patches import WEIGHTED
from tflite_light.wording import some

# Without weights of their own: their noise is that of scales, which they share with others.
_PASSING = {*SAME_SCALE, "RELU", "RELU6", "AVERAGE_POOL_2D"}
_COARSE = 0.01  # of the square of what is rounded: 20 dB
_FLOAT16 = 3  # the version of DEQUANTIZE that knows it


def named(content: bytes, patterns: Sequence[str], place: str, layers: Sequence[str]) -> set[str]:
    """The tensors that operators of layers write whose names fit.

    `place` is where the recipe has the patterns, `layers` are those of the network. Raises Unmade
    where a pattern fits none.
    """
    if not patterns:
        return set()
    every = list(operators(File(content), layers))
    for pattern in patterns:
        if not any(one.fits([pattern]) for one in every):
            raise Unmade(
                f"{place}: {pattern!r} names no operator of the file.",
                "Its layers are part of others there, such as a batch norm of its convolution: "
                "name those.",
            )
    kept = {output for one in every if one.fits(patterns) for output in one.outputs}
    ignored = _rounded(content, kept)
    rounded = [one for one in every if not {*one.outputs}.isdisjoint(ignored)]
    for pattern in patterns:
        fitting = [one for one in every if one.fits([pattern])]
        if all(one in rounded for one in fitting):
            raise Unmade(
                f"{place}: the converter rounds {some([str(one) for one in fitting])} all the "
                "same.",
                "Name the layers before and behind, or export float32.",
            )
    if rounded:
        say(f"{some([str(one) for one in rounded])} stay in integers: the converter rounds them")
    return kept


def _rounded(content: bytes, kept: Collection[str]) -> list[str]:
    """Those that are written in integers though they are to stay in float: the converter pays no
    heed for some kinds of operators, such as transposed convolutions."""
    made = operators(File(quantised(content, "int8", kept)))
    real = {name for one in made if one.is_float and one.kind not in CASTS for name in one.outputs}
    editor = Editor(content)
    ends = {editor.name(int(index)) for index in editor.graph.outputs}  # which get other names
    return sorted({*kept} - real - ends)


def harmed(
    content: bytes,
    most: int,
    place: str,
    layers: Sequence[str],
    batches: Callable[[], Iterable[list[Any]]],
) -> set[str]:
    """The tensors of at most `most` operators of a calibrated file: those that TFLite has no
    integers for, then those that rounding changes most. Where that is because of the steps of what
    one writes, those that read it are kept, too, and if they are too many, it is left.

    `layers` are those of the network. Raises Unmade where the file has no more operators, or more
    without integers.
    """
    editor, every = Editor(content), list(operators(File(content), layers))
    if most >= len(every):
        raise Unmade(
            f"{place}: {most} are all of the file's {len(every)} operators.",
            "Write fewer, or export float32.",
        )
    first = {output: one.outputs[0] for one in every for output in one.outputs}
    known = {one.outputs[0]: one for one in every}
    kept = _without_integers(content, first)
    if len(kept) > most:
        raise Unmade(
            f"{place}: TFLite has no integers for {some([known[one] for one in sorted(kept)])}.",
            f"Write {len(kept)} at least, or export float32.",
        )
    noises = sorted(rounding_noise(content, batches), key=lambda one: -one[1])
    groups = [*_together(editor, noises, first)]
    ignored = set[str]()
    while True:
        taken = _taken(groups, kept, ignored, most)
        chosen = kept.union(*(names for names, _ in taken))
        rounded = {first[name] for name in _rounded(content, chosen)}
        if rounded <= ignored:
            break
        ignored |= rounded
    for names, noise in taken:
        harmed_most, *readers = [(known[one].layers or (one,))[0] for one in names]
        rest = f", and so do {', '.join(readers)}, which read it" if readers else ""
        decibels = -10 * log10(max(noise, 1e-12))
        say(f"{harmed_most} stays in float: as int8 it has {decibels:.0f} dB{rest}")
    return chosen


def _together(
    editor: Editor, noises: Iterable[tuple[str, float, float]], first: Mapping[str, str]
) -> Iterator[tuple[list[str], float]]:
    """For each operator, the first tensors of those that stay in float with it, and its noise."""
    writers = {editor.name(int(one.outputs[0])): one for one in editor.operators}
    for name, noise, steps in noises:
        output = _writer(name, first)
        if output is None:
            continue
        found = [writers[output]]
        if _is_by_steps(editor.kind(found[0]), noise, steps):
            found = freed(editor, found[0])
        yield [editor.name(int(one.outputs[0])) for one in found], noise


def _taken(
    groups: Iterable[tuple[list[str], float]], kept: set[str], ignored: set[str], most: int
) -> list[tuple[list[str], float]]:
    """Of the groups, the first ones that leave at most `most` operators in float."""
    chosen, taken = set(kept), list[tuple[list[str], float]]()
    for names, noise in groups:
        fits = ignored.isdisjoint(names) and len(chosen.union(names)) <= most
        if names[0] not in chosen and fits:
            chosen.update(names)
            taken.append((names, noise))
    return taken


def _without_integers(content: bytes, first: Mapping[str, str]) -> set[str]:
    """The first tensors of operators that the converter leaves in float by itself."""
    made = [one for one in operators(File(quantised(content, "int8"))) if one.is_float]
    names = {output for one in made if one.kind not in CASTS for output in one.outputs}
    joined = {part for name in names for part in name.split(";")}  # of an operator's two outputs
    return {first[name] for name in names | joined if name in first}


def _is_by_steps(kind: str, noise: float, steps: float) -> bool:
    """Whether an operator's noise is that of the steps which it writes, coarse ones, or another's:
    a cast behind it, if it stays in float alone, rounds to the same."""
    return kind in _PASSING or _COARSE < noise < 2 * steps


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


def strays(
    file: File, patterns: Sequence[str], layers: Sequence[str], casts: bool
) -> list[Operator]:
    """Operators in float but for those of layers that fit, and for casts, where those may be."""
    found = [one for one in operators(file, layers) if one.is_float and not one.fits(patterns)]
    return [one for one in found if one.kind not in CASTS] or ([] if casts else found)


def _writer(name: str, first: Mapping[str, str]) -> str | None:
    """The first tensor of what a verifying operator was named after: the converter adds digits."""
    fitting = [one for one in first if re.fullmatch(re.escape(one) + r"\d*", name)]
    return first[max(fitting, key=len)] if fitting else None
