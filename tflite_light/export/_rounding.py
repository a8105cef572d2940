"""Kernels of an int8 file rounded anew, and their biases, by what pictures do in its layers.

Rounding each weight to the nearest step is best for the weight, not for the layer. Here a layer's
answers count: weights get their steps one after another, and those still to come make up for the
error so far (GPTQ, Frantar et al. 2023, arXiv 2210.17323, in place of AdaRound's gradients, Nagel
et al. 2020, arXiv 2004.10568). A bias takes over what is left in the mean (Nagel et al. 2019,
arXiv 1906.04721).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tflite_light.errors import Unmade
from tflite_light.graph.in_turn import in_turn
from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.patches import WEIGHTED, patches
from tflite_light.tflite.watching import Watched

MOST = 127  # steps of an int8 weight
_TELLING = 1.0  # places of a picture that count as independent, for kernels of many inputs
_DAMPING = 0.01  # of the mean variance, added to each input's, as GPTQ has it
_SPARSE = 0.05  # share of zeros from which on they are meant, and stay
_SHARES = np.linspace(0.4, 1, 25)  # of the largest weight, where a coarse grid may end


def corrected(content: bytes, float_: bytes, pictures: Iterable[Array]) -> bytes:
    """The int8 file `content`, converted from `float_`, with biases that take over what rounding
    its kernels changes in the mean. One run of each picture, 50 ms for MobileNet v2 1.0.
    """
    before, after = Editor(float_), Editor(content)
    pairs = _pairs(before, after)
    seen = [_Seen() for _ in pairs]
    watched = Watched(float_)
    for picture in pictures:
        watched.run(picture)
        for (old, _), one in zip(pairs, seen, strict=True):
            rows = patches(before, old, watched.value(int(old.inputs[0])))
            one.add(rows.sum(1, keepdims=True), count=rows.shape[1])
    for (old, new), one in zip(pairs, seen, strict=True):
        mean, _ = one.means
        rows, made = (
            _rows(editor.weight(layer, 1), after.kind(new), len(mean))
            for editor, layer in ((before, old), (after, new))
        )
        left = _mean(rows - made * _scales(after, new, rows)[..., None], mean)
        _set_bias(after, new, before.weight(old, 2), left)
    return after.write()


def rounded(
    content: bytes, float_: bytes, pictures: Sequence[Array], bits: int = 8, adaptive: bool = True
) -> bytes:
    """The int8 file with kernels rounded as pictures need it, layer by layer, and their biases.

    A layer's targets are what the float layer answers to what it reads; it is rounded for what it
    reads in the int8 file, and so mends the errors of those before it. `bits` are of the grid of
    weights: 8, or fewer for all layers but the first, dense ones and transposed convolutions.
    Weights go to the nearest step where it is not `adaptive`. Two runs of each picture a layer:
    minutes.
    """
    before, after = Editor(float_), Editor(content)
    first = next((one for one in before.operators if before.kind(one) in WEIGHTED), None)
    pairs = _pairs(before, after)
    if not pairs:
        raise Unmade(
            "no layer's weights can be rounded anew: the int8 file has others than the float one.",
            "Leave out `rounding` and `weight_bits`.",
        )
    for old, new in pairs:
        coarse = bits < 8 and old is not first and after.kind(new) != "FULLY_CONNECTED"
        seen = _read(before, old, after, new, pictures)
        _round(after, new, before, old, seen, 2 ** (bits - 1) - 1 if coarse else MOST, adaptive)
    return after.write()


def _read(before: Editor, old: Any, after: Editor, new: Any, pictures: Sequence[Array]) -> "_Seen":
    """What a layer reads in both files, which are run no further."""
    sides = []
    for editor, layer in ((before, old), (after, new)):
        content, place = editor.up_to(int(layer.inputs[0]))
        sides.append((editor, layer, Watched(content, ends=True), place))
    seen = _Seen()
    for picture in pictures:
        rows = []
        for editor, layer, watched, place in sides:
            watched.run(picture)
            rows.append(patches(editor, layer, watched.value(place)))
        seen.add(rows[0], rows[1], count=rows[0].shape[1])
    return seen


def _pairs(before: Editor, after: Editor) -> list[tuple[Any, Any]]:
    """The layers with int8 kernels, in both files; none where the files are not alike."""
    olds, news = (
        [one for one in editor.operators if editor.kind(one) in WEIGHTED]
        for editor in (before, after)
    )
    shapes = [
        [(editor.kind(one), editor.shape(int(one.inputs[1]))) for one in found]
        for editor, found in ((before, olds), (after, news))
    ]
    if shapes[0] != shapes[1]:
        return []
    return [
        (old, new)
        for old, new in zip(olds, news, strict=True)
        if after.values(int(new.inputs[1])) is not None and before.weight(old, 1) is not None
        if after.dtype(int(new.inputs[1])) == np.int8
    ]


class _Seen:
    """What a layer reads, by groups of channels: in the float file, and in the int8 file."""

    def __init__(self) -> None:
        self._count = self._pictures = 0
        self._sums: list[Any] = [0.0, 0.0]  # [groups, inputs]
        self._own: Any = 0.0  # products of what the int8 layer reads, [groups, inputs, inputs]
        self._cross: Any = 0.0  # of what the float layer reads with those

    def add(self, real: Array, rounded: Array | None = None, count: int = 0) -> None:
        """Patches, [groups, places, inputs], or their sums, of `count` places."""
        self._count += count
        self._pictures += 1
        for side, rows in enumerate((real, rounded)):
            if rows is not None:
                self._sums[side] = self._sums[side] + rows.sum(1, dtype=np.float64)
        if rounded is not None:
            self._own = self._own + rounded.swapaxes(1, 2) @ rounded
            self._cross = self._cross + real.swapaxes(1, 2) @ rounded

    @property
    def means(self) -> tuple[Array, Array]:
        real, rounded = (np.asarray(one / self._count) for one in self._sums)
        return real, rounded

    @property
    def moments(self) -> tuple[Array, Array]:
        """Of what the int8 layer reads, and of what the float layer reads with it; with a ridge, by
        which weights stay near where inputs tell nothing.
        """
        own, cross = (np.asarray(one / self._count) for one in (self._own, self._cross))
        size = own.shape[-1]
        alone = size / (size + _TELLING * self._pictures)  # as in graph/reconstruction.py
        mean = np.maximum(np.trace(own, axis1=1, axis2=2) / size, 1e-12)[:, None, None]
        ridge = np.eye(size) * (alone * own + _DAMPING * mean)
        return (1 - alone) * own + ridge, (1 - alone) * cross + ridge


def _round(
    after: Editor, new: Any, before: Editor, old: Any, seen: _Seen, most: int, adaptive: bool
) -> None:
    """Writes a layer's kernel and bias; `most` is the largest step."""
    kernel, kind = before.weight(old, 1), after.kind(new)
    assert kernel is not None
    own, cross = seen.moments
    rows = _rows(kernel, kind, len(own))
    scales = _scales(after, new, rows)
    if most < MOST:
        scales = _coarse(rows, own, most, one=bool(np.ptp(scales) == 0))
    steps = np.clip(np.rint(rows / scales[..., None]), -most, most)
    if adaptive:
        groups = zip(rows, own, cross, scales, strict=True)
        steps = np.stack([_in_turn(*group, most) for group in groups])
    after.set_weight(new, 1, _kernel(steps, kernel.shape, kind).astype(np.int8))
    if most < MOST:
        stored = after.scales(int(new.inputs[1])).size
        after.set_scales(int(new.inputs[1]), scales.ravel()[:stored])
    real, rounded = seen.means
    left = _mean(rows, real) - _mean(steps * scales[..., None], rounded)
    _set_bias(after, new, before.weight(old, 2), left)


def _scales(after: Editor, new: Any, rows: Array) -> Array:
    """Of a kernel, [groups, outputs]: the file has one, or one an output channel."""
    found = after.scales(int(new.inputs[1]))
    return found.reshape(rows.shape[:2] if found.size > 1 else (1, 1)) * np.ones(rows.shape[:2])


def _mean(rows: Array, inputs: Array) -> Array:
    """Of a layer's answers, [outputs], by that of its inputs, [groups, inputs]."""
    return np.asarray(np.einsum("goi,gi->go", rows, inputs).ravel())


def _in_turn(rows: Array, own: Array, cross: Array, scales: Array, most: int) -> Array:
    """Steps of the output channels of a group."""
    filled = rows != 0
    if (~filled).mean() < _SPARSE:
        filled = np.ones_like(filled)
    values = scales[:, None] * np.arange(-most, most + 1)
    alike = np.ptp(scales) == 0
    found = in_turn(rows @ cross, own, filled, values[:1] if alike else values)
    return np.asarray(np.rint(found / scales[:, None]))


def _coarse(rows: Array, moments: Array, most: int, one: bool) -> Array:
    """Scales of few steps that leave least error, each input counted by its variance; the same for
    all channels, if `one`.
    """
    variances = np.diagonal(moments, axis1=1, axis2=2)[:, None]
    sizes = np.maximum(np.abs(rows).max(-1), 1e-12)
    options = (sizes.max() + 0 * sizes if one else sizes) / most * _SHARES[:, None, None]
    errors = []
    for scales in options[..., None]:
        off = np.clip(np.rint(rows / scales), -most, most) * scales - rows
        errors.append((variances * off**2).sum(-1))
    if one:
        errors = [error.sum() + 0 * error for error in errors]
    best = np.argmin(errors, axis=0)
    return np.asarray(np.take_along_axis(options, best[None], 0)[0])


def _set_bias(after: Editor, new: Any, bias: Array | None, left: Array) -> None:
    """The bias with what the kernel leaves out in the mean."""
    if len(new.inputs) < 3 or new.inputs[2] < 0:
        return
    source, kernel = (after.scales(int(index)) for index in new.inputs[:2])
    old = after.weight(new, 2)
    with np.errstate(all="ignore"):  # where nothing ever changes, scales are next to nothing
        steps = np.rint((left if bias is None else bias + left) / (source * kernel))
    fits = np.abs(steps) < np.iinfo(np.int32).max
    chosen: Array = np.where(fits, steps, old if old is not None else 0)
    after.set_weight(new, 2, chosen.astype(np.int32))
    after.set_scales(int(new.inputs[2]), source * kernel)


def _rows(kernel: Array | None, kind: str, groups: int) -> Array:
    """[groups, outputs of a group, inputs of a group]; a depthwise channel is a group."""
    assert kernel is not None
    kernel = kernel.astype(np.float64)
    if kind == "DEPTHWISE_CONV_2D":
        return kernel.reshape(kernel.shape[1] * kernel.shape[2], groups, -1).transpose(1, 2, 0)
    return kernel.reshape(groups, len(kernel) // groups, -1)


def _kernel(rows: Array, shape: tuple[int, ...], kind: str) -> Array:
    if kind == "DEPTHWISE_CONV_2D":
        return rows.transpose(2, 0, 1).reshape(shape)
    return rows.reshape(shape)
