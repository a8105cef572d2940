"""What each layer of an integer file loses, beside the float file of the same network."""

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.lowering import Like, Target, lowered
from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.layers import called
from tflite_light.tflite.moving import MOVED, freed
from tflite_light.tflite.patches import WEIGHTED
from tflite_light.tflite.watching import Watched

_COMPARED = {*WEIGHTED, "ADD", "MUL", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
# These, too, where the converter did not make others of them in one of the files.
_ALSO = {
    *("BATCH_MATMUL", "CONCATENATION", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM"),
    *("MINIMUM", "PRELU", "RELU", "RELU6", "SOFTMAX", "SUB", "TANH"),
}
_KINDS = (_COMPARED | _ALSO, _COMPARED)
_MOVING = MOVED.keys() - {"RESHAPE"}
_COARSE = 0.01  # more of a signal is lost to steps that are too large for it
_FARTHER = 4  # times another's values: two of eight bits
_ALIKE = 0.9  # least share of equal signs in weights of one network; of two it is about 0.5
_STILL = 1e-12  # of the largest variance: a channel with less says nothing


@dataclass(frozen=True)
class Loss:
    """Of an operator that `layer` became, over all pictures.

    `lost` is the share of the signal that is noise, in the mean of its channels or in all, 0..1;
    `added` how much more than in what it reads. Where a concatenation gives a layer the steps of
    another, whose values are far larger, the other has added it. `snr_db` is signal to noise of all
    values, `saturated` the share of values beyond what the file's tensor can hold. `float_layers`
    are the layers to keep in float so that it is not lost.
    """

    layer: str
    operator: str
    added: float
    lost: float
    snr_db: float
    cosine: float
    saturated: float
    float_layers: tuple[str, ...]


def losses(
    content: bytes, float_: bytes, pictures: Iterable[Array], layers: list[str]
) -> list[Loss]:
    """Of each operator that is in both files, in order.

    `float_` is as it was converted; an operator is called after the first of `layers` in it.

    Raises UserError where the two are not of the same network.
    """
    before, after, pairs = _alike(float_, content)
    _require_same_weights(before, after, pairs)
    sums = [_Sums() for _ in pairs]
    written = [(_written(before, old), _written(after, new)) for old, new in pairs]
    real, integer = Watched(before.packed()), Watched(after.packed())
    for picture in pictures:
        real.run(picture)
        integer.run(picture)
        for (old, new), one in zip(written, sums, strict=True):
            values = real.value(old)
            one.add(values, integer.value(new), integer.held(new, values), span=integer.range(new))
    lost = {new: one.lost for (_, new), one in zip(written, sums, strict=True)}
    found: dict[int, Loss] = {}
    coarse: set[int] = set()
    for (old, new), (_, to), one in zip(pairs, written, sums, strict=True):
        added = max(0.0, one.lost - _before(after, new, lost))
        coarse |= {to} if one.stored > max(_COARSE, added / 2) else set()
        kept = freed(before, old) if to in coarse else [old]
        tied = [found[other].float_layers for other in coarse & _tied(after, new, to, lost)]
        names = dict.fromkeys([*itertools.chain(*tied), *_names(before, kept, layers)])
        found[to] = Loss(
            _layer(before, old, layers),
            _kind(after, new),
            added,
            one.lost,
            one.snr_db,
            one.cosine,
            one.saturated,
            tuple(name for name in names if name in layers),
        )
    reach = {new: one.reach for (_, new), one in zip(written, sums, strict=True)}
    return list(_blamed(after, found, reach).values())


def _tied(editor: Editor, operator: Any, made: int, known: Collection[int]) -> set[int]:
    """What an operator reads that has the steps of what it writes, as poolings and concatenations
    want it."""
    sources = {to for index in operator.inputs for to in _sources(editor, int(index), known)}
    scales = editor.scales(made)
    return {
        to for to in sources - {made} if len(scales) and np.array_equal(editor.scales(to), scales)
    }


def _blamed(editor: Editor, found: dict[int, Loss], reach: dict[int, float]) -> dict[int, Loss]:
    """By the tensors that operators write. What a concatenation's other inputs lose to the steps of
    the one that reaches farthest is added by that one."""
    for one in editor.operators:
        sources = [to for index in one.inputs for to in _sources(editor, int(index), found)]
        if editor.kind(one) != "CONCATENATION" or not sources:
            continue
        far = max(sources, key=lambda to: reach[to])
        small = [to for to in sources if reach[to] * _FARTHER < reach[far]]
        small = [to for to in small if len(editor.scales(to)) and found[to].added > _COARSE]
        if small:
            worst = max((found[to] for to in small), key=lambda loss: loss.added)
            kept = dict.fromkeys([found[far].layer, *worst.float_layers])
            added = max(found[far].added, worst.added)
            found[far] = replace(found[far], added=added, float_layers=tuple(kept))
            found |= {to: replace(found[to], added=0.0) for to in small}
    return found


def has_integers(editor: Editor) -> bool:
    """Whether any kernel is of int8."""
    kernels = [one.inputs[1] for one in editor.operators if _kind(editor, one) in WEIGHTED]
    return any(editor.dtype(int(index)) == np.int8 for index in kernels)


def _alike(float_: bytes, content: bytes) -> tuple[Editor, Editor, list[tuple[Any, Any]]]:
    """Both for reading, the float file rewritten as the other was, and what is compared in them."""
    after = Editor(content)
    if not has_integers(after):
        raise UserError(
            "the file has no int8 weights: nothing in it is rounded that could be explained.",
            "Give an int8, int16x8 or dynamic_range file.",
        )
    targets: tuple[Target, ...] = ("any", "cpu")  # those of others are like `any`'s, here
    likes: tuple[Like | None, ...] = ("int8", "dynamic_range", None)  # the last is int16x8's, too
    pairs = itertools.product(likes, targets)
    forms = (lowered(float_, target, lambda _: True, like) for like, target in pairs)
    *tries, tried = itertools.tee(map(Editor, itertools.chain(forms, [float_])), 3)
    for kinds, befores in zip(_KINDS, tries, strict=True):
        for before in befores:
            same = _forms(before, kinds) == _forms(after, kinds)
            if same and _moved(before) == _moved(after):
                return before, after, _pairs(before, after, kinds)
    known = len(_compared(Editor(float_), _COMPARED))
    mine = _forms(after, _COMPARED)
    alike = max(_common(_forms(before, _COMPARED), mine) for before in tried)
    raise UserError(
        f"the file is not of this network: of its {len(mine)} operators that compute, "
        f"{alike} are like the network's {known}, in order.",
        "Give the run, or the recipe, that the file was exported from.",
    )


def _forms(editor: Editor, kinds: set[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Kinds and shapes, dense layers as the 1x1 convolutions that a rewrite makes of them."""
    found = []
    for one in _compared(editor, kinds):
        kind, shape = _kind(editor, one), editor.shape(_written(editor, one))
        flat = (shape[0], shape[-1]) if shape[1:-1] == (1, 1) else shape
        found.append(("CONV_2D" if kind == "FULLY_CONNECTED" else kind, flat))
    return found


def _compared(editor: Editor, kinds: set[str]) -> list[Any]:
    return [one for one in editor.operators if _kind(editor, one) in kinds]


def _written(editor: Editor, operator: Any) -> int:
    """What is compared of it: of a ReLU before a padding what is padded, since `lowering/pools.py`
    has a ReLU before a padding that was behind it."""
    made = int(operator.outputs[0])
    readers = editor.readers()[made] if _kind(editor, operator) == "RELU" else []
    pads = [one for one in readers if one is not None and editor.kind(one) == "PAD"]
    return int(pads[0].outputs[0]) if len(pads) == len(readers) == 1 else made


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


def _pairs(before: Editor, after: Editor, kinds: set[str]) -> list[tuple[Any, Any]]:
    return list(zip(_compared(before, kinds), _compared(after, kinds), strict=True))


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
    made = int(operator.outputs[0])
    kernel = [int(operator.inputs[1])] if _kind(editor, operator) in WEIGHTED else []
    names = ";".join(editor.name(index) for index in (*kernel, made))
    parts = names.replace(";", "/").split("/")
    return called(parts, layers, made in editor.graph.outputs) or parts[-1]


def _names(editor: Editor, operators: Iterable[Any], layers: list[str]) -> Iterable[str]:
    return dict.fromkeys(_layer(editor, one, layers) for one in operators)


def _before(editor: Editor, operator: Any, lost: dict[int, float]) -> float:
    """The largest loss in what an operator reads, also through those that only move values."""
    read = (to for index in operator.inputs for to in _sources(editor, int(index), lost))
    return max((lost[to] for to in read), default=0.0)


def _sources(editor: Editor, index: int, known: Collection[int]) -> list[int]:
    """The tensors among `known` that one is, or is made of by operators that write others."""
    if index in known:
        return [index]
    producer = editor.producers().get(index)
    inputs = [] if producer is None else producer.inputs
    return [to for one in inputs for to in _sources(editor, int(one), known)]


class _Sums:
    """By channels, over all pictures."""

    def __init__(self) -> None:
        self._values: Any = 0.0
        self._squares: Any = 0.0
        self._noise: Any = 0.0
        self._unheld: Any = 0.0
        self.reach = 0.0  # of the largest value, of either sign
        self._products = self._made = 0.0
        self._count = self._beyond = 0

    def add(self, *arrays: Array, span: tuple[float, float]) -> None:
        """What the float file wrote, what the other did, and what its tensor could have held."""
        flat = (one.reshape(-1, one.shape[-1]).astype(np.float64) for one in arrays)
        real, made, held = flat
        self._count += len(real)
        self._values = self._values + real.sum(0)
        self._squares = self._squares + np.square(real).sum(0)
        self._noise = self._noise + np.square(real - made).sum(0)
        self._unheld = self._unheld + np.square(real - held).sum(0)
        self._products += float((real * made).sum())
        self._made += float(np.square(made).sum())
        self._beyond += int(((real < span[0]) | (real > span[1])).sum())
        self.reach = max(self.reach, float(np.abs(real).max()))

    @property
    def lost(self) -> float:
        return self._share(self._noise)

    @property
    def stored(self) -> float:
        """What would be lost if only the operator's output were rounded."""
        return self._share(self._unheld)

    def _share(self, noise: Any) -> float:
        variances = np.maximum(
            self._squares / self._count - np.square(self._values / self._count), 0
        )
        alive = variances > _STILL * max(float(variances.max()), 1e-30)
        shares = np.minimum(noise[alive] / self._count / variances[alive], 1)
        whole = noise.sum() / max(float(self._squares.sum()), 1e-30)
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
