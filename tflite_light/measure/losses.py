"""What each layer of an integer file loses, beside the float file of the same network."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.lowering import Like, Target, lowered
from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.moving import MOVED
from tflite_light.tflite.patches import WEIGHTED
from tflite_light.tflite.watching import Watched

_COMPARED = (*WEIGHTED, "ADD", "MUL", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D")
_MOVING = MOVED.keys() - {"RESHAPE"}
_ALIKE = 0.9  # least share of equal signs in weights of one network; of two it is about 0.5
_STILL = 1e-12  # of the largest variance: a channel with less says nothing


@dataclass(frozen=True)
class Loss:
    """Of an operator that `layer` became, over all pictures.

    `lost` is the share of the signal that is noise, in the mean of its channels or in all, 0..1;
    `added` how much more than in what it reads. `snr_db` is signal to noise of all values,
    `saturated` the share of values beyond what the file's tensor can hold.
    """

    layer: str
    operator: str
    added: float
    lost: float
    snr_db: float
    cosine: float
    saturated: float


def losses(
    content: bytes, float_: bytes, pictures: Iterable[Array], layers: list[str]
) -> list[Loss]:
    """Of each operator that is in both files, in order.

    `float_` is as it was converted; an operator is called after the first of `layers` in it.

    Raises UserError where the two are not of the same network.
    """
    before, after = _alike(float_, content)
    pairs = _pairs(before, after)
    _require_same_weights(before, after, pairs)
    sums = [_Sums() for _ in pairs]
    real, integer = Watched(before.packed()), Watched(after.packed())
    for picture in pictures:
        real.run(picture)
        integer.run(picture)
        for (old, new), one in zip(pairs, sums, strict=True):
            index = int(new.outputs[0])
            one.add(real.value(int(old.outputs[0])), integer.value(index), integer.range(index))
    lost = {int(new.outputs[0]): one.lost for (_, new), one in zip(pairs, sums, strict=True)}
    return [
        Loss(
            _layer(before, old, layers),
            _kind(after, new),
            max(0.0, one.lost - _before(after, new, lost)),
            one.lost,
            one.snr_db,
            one.cosine,
            one.saturated,
        )
        for (old, new), one in zip(pairs, sums, strict=True)
    ]


def _alike(float_: bytes, content: bytes) -> tuple[Editor, Editor]:
    """Both for reading, the float file rewritten as the other was."""
    after = Editor(content)
    kernels = [one.inputs[1] for one in after.operators if _kind(after, one) in WEIGHTED]
    if not any(after.dtype(int(index)) == np.int8 for index in kernels):
        raise UserError(
            "the file has no int8 weights: nothing in it is rounded that could be explained.",
            "Give an int8, int16x8 or dynamic_range file.",
        )
    targets: tuple[Target, ...] = ("any", "cpu")  # those of others are like `any`'s, here
    likes: tuple[Like | None, ...] = ("int8", "dynamic_range", None)  # the last is int16x8's, too
    pairs = itertools.product(likes, targets)
    forms = (lowered(float_, target, lambda _: True, like) for like, target in pairs)
    tried = []
    for before in map(Editor, itertools.chain(forms, [float_])):
        tried.append(before)
        if _forms(before) == _forms(after) and _moved(before) == _moved(after):
            return before, after
    known = len(_compared(Editor(float_)))
    alike = max(_common(_forms(before), _forms(after)) for before in tried)
    raise UserError(
        f"the file is not of this network: of its {len(_forms(after))} operators that compute, "
        f"{alike} are like the network's {known}, in order.",
        "Give the run, or the recipe, that the file was exported from.",
    )


def _forms(editor: Editor) -> list[tuple[str, tuple[int, ...]]]:
    """Kinds and shapes, dense layers as the 1x1 convolutions that a rewrite makes of them."""
    found = []
    for one in _compared(editor):
        kind, shape = _kind(editor, one), editor.shape(int(one.outputs[0]))
        flat = (shape[0], shape[-1]) if shape[1:-1] == (1, 1) else shape
        found.append(("CONV_2D" if kind == "FULLY_CONNECTED" else kind, flat))
    return found


def _compared(editor: Editor) -> list[Any]:
    return [one for one in editor.operators if _kind(editor, one) in _COMPARED]


def _kind(editor: Editor, operator: Any) -> str:
    """As it was before a rewrite that int8 files alone have: see `lowering/pools.py`, `relu.py`."""
    kind = editor.kind(operator)
    if kind == "ADD" and any(editor.name(int(one)).endswith("/zero") for one in operator.inputs):
        return "RELU"
    if kind == "DEPTHWISE_CONV_2D" and editor.name(int(operator.inputs[1])).endswith("/ones"):
        return "AVERAGE_POOL_2D"
    return kind


def _moved(editor: Editor) -> list[str]:
    """What moves channels: where that is alike, so is their order."""
    kinds = [editor.kind(one) for one in editor.operators]
    return [kind for kind in kinds if kind in _MOVING]


def _common(one: list[Any], other: list[Any]) -> int:
    found = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        found += 1
    return found


def _pairs(before: Editor, after: Editor) -> list[tuple[Any, Any]]:
    return list(zip(_compared(before), _compared(after), strict=True))


def _require_same_weights(before: Editor, after: Editor, pairs: list[tuple[Any, Any]]) -> None:
    """By signs: neither rounding nor scaling channels changes those of what does not become 0."""
    shares = []
    for old, new in pairs:
        if _kind(before, old) in WEIGHTED:
            real, made = before.weight(old, 1), after.weight(new, 1)
            if real is not None and made is not None and real.size == made.size:
                signs = np.sign(real).ravel() * np.sign(made).ravel()
                shares.append(float((signs[signs != 0] > 0).mean()) if signs.any() else 1.0)
    share = float(np.median(shares)) if shares else 1.0
    if share < _ALIKE:
        raise UserError(
            f"the file has other weights than this network: {share:.2f} of them have its signs.",
            "Give the run, or the recipe, that the file was exported from.",
        )


def _layer(editor: Editor, operator: Any, layers: list[str]) -> str:
    """The Keras layer, by the name of the kernel or of the output."""
    kernel = [int(operator.inputs[1])] if _kind(editor, operator) in WEIGHTED else []
    names = ";".join(editor.name(index) for index in (*kernel, int(operator.outputs[0])))
    parts = names.replace(";", "/").split("/")
    return next((layer for layer in layers if layer in parts), parts[-1])


def _before(editor: Editor, operator: Any, lost: dict[int, float]) -> float:
    """The largest loss in what an operator reads, also through those that only move values."""
    producers = editor.producers()
    found, open_ = 0.0, [int(index) for index in operator.inputs]
    while open_:
        index = open_.pop()
        if index in lost:
            found = max(found, lost[index])
        elif index in producers:
            open_ += [int(one) for one in producers[index].inputs]
    return found


class _Sums:
    """By channels, over all pictures."""

    def __init__(self) -> None:
        self._values: Any = 0.0
        self._squares: Any = 0.0
        self._noise: Any = 0.0
        self._products = self._made = 0.0
        self._count = self._beyond = 0

    def add(self, real: Array, made: Array, span: tuple[float, float]) -> None:
        real, made = (one.reshape(-1, one.shape[-1]).astype(np.float64) for one in (real, made))
        self._count += len(real)
        self._values = self._values + real.sum(0)
        self._squares = self._squares + np.square(real).sum(0)
        self._noise = self._noise + np.square(real - made).sum(0)
        self._products += float((real * made).sum())
        self._made += float(np.square(made).sum())
        self._beyond += int(((real < span[0]) | (real > span[1])).sum())

    @property
    def lost(self) -> float:
        variances = np.maximum(
            self._squares / self._count - np.square(self._values / self._count), 0
        )
        alive = variances > _STILL * max(float(variances.max()), 1e-30)
        shares = np.minimum(self._noise[alive] / self._count / variances[alive], 1)
        whole = self._noise.sum() / max(float(self._squares.sum()), 1e-30)
        return float(max(shares.mean() if alive.any() else 0.0, min(whole, 1.0)))

    @property
    def snr_db(self) -> float:
        noise = max(float(self._noise.sum()), 1e-30)
        return float(10 * np.log10(max(float(self._squares.sum()), 1e-30) / noise))

    @property
    def cosine(self) -> float:
        return float(self._products / np.sqrt(max(self._made * float(self._squares.sum()), 1e-30)))

    @property
    def saturated(self) -> float:
        return float(self._beyond / (self._count * len(self._noise)))
