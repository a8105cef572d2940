"""What each layer of an integer file loses, beside the float file of the same network."""

import itertools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tflite_light.measure.matching import kind_of, matched, output_of
from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.layers import called
from tflite_light.tflite.moving import freed
from tflite_light.tflite.patches import WEIGHTED
from tflite_light.tflite.watching import Watched

_COARSE = 0.01  # more of a signal is lost to steps that are too large for it
_FARTHER = 4  # times another's values: two of eight bits
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
    before, after, pairs = matched(float_, content)
    written = [(output_of(before, old), output_of(after, new)) for old, new in pairs]
    sums = _summed(before, after, written, pictures)
    sources = _sources(after, sums)
    found: dict[int, Loss] = {}
    coarse: set[int] = set()
    for (old, new), (_, to) in zip(pairs, written, strict=True):
        one, read = sums[to], sources(new)
        added = max(0.0, one.lost - max((sums[source].lost for source in read), default=0.0))
        coarse |= {to} if one.stored > max(_COARSE, added / 2) else set()
        kept = freed(before, old) if to in coarse else [old]
        tied = [found[other].float_layers for other in coarse & _tied(after, to, read)]
        names = [*itertools.chain(*tied), *(_layer(before, other, layers) for other in kept)]
        found[to] = Loss(
            _layer(before, old, layers),
            kind_of(after, new),
            added,
            one.lost,
            one.snr_db,
            one.cosine,
            one.saturated,
            tuple(name for name in dict.fromkeys(names) if name in layers),
        )
    for one in after.operators:
        if after.kind(one) == "CONCATENATION":
            _blame(after, sources(one), found, sums)
    return list(found.values())


def _tied(editor: Editor, made: int, read: Iterable[int]) -> set[int]:
    """Of what an operator reads, that which has the steps of what it writes, as poolings and
    concatenations want it."""
    scales = editor.scales(made)
    return {
        to for to in {*read} - {made} if len(scales) and np.array_equal(editor.scales(to), scales)
    }


def _blame(
    editor: Editor, joined: list[int], found: dict[int, Loss], sums: "dict[int, _Sums]"
) -> None:
    """What a concatenation's other inputs lose to the steps of the one that reaches farthest is
    added by that one; `found` is by the tensors that operators write."""
    far = max(joined, key=lambda to: sums[to].reach, default=-1)
    small = [to for to in joined if sums[to].reach * _FARTHER < sums[far].reach]
    small = [to for to in small if len(editor.scales(to)) and found[to].added > _COARSE]
    if small:
        worst = max((found[to] for to in small), key=lambda loss: loss.added)
        kept = dict.fromkeys([found[far].layer, *worst.float_layers])
        added = max(found[far].added, worst.added)
        found[far] = replace(found[far], added=added, float_layers=tuple(kept))
        found |= {to: replace(found[to], added=0.0) for to in small}


def _layer(editor: Editor, operator: Any, layers: list[str]) -> str:
    """The Keras layer, by the name of the kernel or of the output."""
    made = int(operator.outputs[0])
    kernel = [int(operator.inputs[1])] if kind_of(editor, operator) in WEIGHTED else []
    names = [editor.name(index) for index in (*kernel, made)]
    found = called(names, layers, made in editor.graph.outputs)
    return found[0] if found else names[-1].split("/")[-1]


def _sources(editor: Editor, known: Collection[int]) -> Callable[[Any], list[int]]:
    """Of an operator, the tensors among `known` that it reads, also through others that are not."""
    producers = editor.producers()

    def behind(operator: Any) -> list[int]:
        inputs = [] if operator is None else map(int, operator.inputs)
        return [
            to
            for index in inputs
            for to in ([index] if index in known else behind(producers.get(index)))
        ]

    return behind


def _summed(
    before: Editor, after: Editor, written: list[tuple[int, int]], pictures: Iterable[Array]
) -> "dict[int, _Sums]":
    """By the integer file's tensor of each pair."""
    sums = {new: _Sums() for _, new in written}
    real, integer = Watched(before.packed()), Watched(after.packed())
    for picture in pictures:
        real.run(picture)
        integer.run(picture)
        for old, new in written:
            values = real.value(old)
            held = integer.held(new, values)
            sums[new].add(values, integer.value(new), held, span=integer.range(new))
    return sums


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
