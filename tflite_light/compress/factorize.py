"""Low rank: layers become two narrower ones, where that costs fewer multiply-adds."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tflite_light.compress import Plan, Stage
from tflite_light.compress._layers import copied, is_normalised, multiply_adds, weighty
from tflite_light.errors import UserError
from tflite_light.graph.low_rank import FIRST, Splittable, split
from tflite_light.graph.statistics import give_own_statistics, measure_statistics
from tflite_light.stack import keras, tf

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data, Examples

PICTURES = 256  # training pictures by which directions are chosen and batch norms measured
WIDTH = 8  # ranks are multiples of it: XNNPACK computes 8 channels at a time, or more
_ROWS = 4096  # of a batch's patches that are looked at
_JUDGED = 64  # pictures on which the harm of narrowing a layer is measured
_BATCH = 8  # the inputs of all layers are in memory at once: 0.3 GB for MobileNet v2 at 224 px


class Factorize(Stage):
    """SVD of dense and 1x1 kernels; n x n convolutions into n x 1 and 1 x n.

    As Jaderberg et al. 2014, arXiv 1405.3866, and Zhang et al. 2015, arXiv 1411.4229: a layer's
    directions are those in which its outputs vary most on training pictures, not those of its
    kernel alone. Depthwise and grouped convolutions stay.
    With `keep`, ranks are taken where they cost least: again and again the layer is narrowed that
    moves the logits least for the multiply-adds it saves. Batch norms are measured anew before
    training goes on.
    """

    epoch_cost: ClassVar[float] = 1.1  # MobileNet v2 0.35 at 96 px, 2 cores

    keep: float | None = Field(
        None, gt=0, lt=1, description="share of the network's multiply-adds; default: 0.7"
    )
    energy: float | None = Field(
        None, gt=0, lt=1, description="instead: share of each layer's output variance that stays"
    )
    ranks: dict[str, int] | None = Field(
        None, min_length=1, description="instead: ranks by layer, {name: rank}"
    )
    exclude: list[str] = Field(
        [], description="layers that stay as they are: names, or patterns such as block1_*"
    )
    epochs: int = Field(5, ge=1, description="epochs of training inside the stage")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    @classmethod
    def example(cls, folder: Path) -> "Factorize":
        return cls(keep=0.9)

    @model_validator(mode="after")
    def _one_rule(self) -> "Factorize":
        rules = [key for key in ("keep", "energy", "ranks") if getattr(self, key) is not None]
        if len(rules) > 1:
            raise ValueError(f"{' and '.join(rules)} both choose the ranks; write one of them")
        return self

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """Ranks by layer, and the network's multiply-adds before and after."""
        layers = _splittable(model, self.exclude)
        if self.ranks:
            ranks = _given(self.ranks, layers)
        elif self.energy and data is None:
            ranks = {}  # what untrained weights need says nothing
        else:
            seen = _seen(model, layers, data.train) if data else {}
            lost = {
                name: one.factors(seen[name].covariance if seen else None)[2]
                for name, one in layers.items()
            }
            if data and not self.energy:
                harm = _harm(model, layers, seen, data.train)
                lost = {name: shares * harm.get(name, 1.0) for name, shares in lost.items()}
            ranks = (
                _by_energy(layers, lost, self.energy)
                if self.energy
                else self._kept(model, layers, lost)
            )
        if not ranks and data:
            raise UserError(
                "compress.factorize would leave every layer as it is: none gets cheaper.",
                "Lower `energy` or `keep`, or leave the stage out.",
            )
        before = sum(map(multiply_adds, model.layers))
        return {"ranks": ranks, "multiply_adds": [before, before - _saved(layers, ranks)]}

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        return _factorized(model, plan["ranks"], {})

    def prepare(self, wrapped: Any, model: Any, examples: "Examples") -> None:
        """Directions by the pictures in place of those of the kernels; then the batch norms."""
        ranks = {
            layer.name.removesuffix(FIRST): layer.kernel.shape[-1]
            for layer in wrapped.layers
            if layer.name.endswith(FIRST)
        }
        pictures = examples.sample(PICTURES)
        model = copied(model)
        give_own_statistics(model, examples.inputs(pictures, batch_size=32))
        layers = {name: Splittable(model.get_layer(name)) for name in ranks}
        seen = _seen(model, layers, examples)
        wrapped.set_weights(_factorized(model, ranks, seen).get_weights())
        measure_statistics(wrapped, examples.inputs(pictures, batch_size=32))

    def _kept(self, model: Any, layers: Mapping[str, Splittable], lost: Mapping[str, Any]) -> Any:
        keep = 0.7 if self.keep is None else self.keep
        total = sum(map(multiply_adds, model.layers))
        ranks: dict[str, int] = {}
        choices = {name: _choices(one) for name, one in layers.items()}
        while total - _saved(layers, ranks) > keep * total:
            step = _cheapest(choices, lost, ranks)
            if not step:
                reached = 1 - _saved(layers, ranks) / total
                raise UserError(
                    f"compress.factorize.keep: {keep:g} of the multiply-adds cannot be reached; "
                    f"ranks of {WIDTH} throughout leave {reached:.3f}.",
                    f"Write `--set compress.factorize.keep={reached + 0.01:.2f}` or more.",
                )
            ranks |= [step]
        return dict(sorted(ranks.items(), key=lambda item: list(layers).index(item[0])))


def _splittable(model: Any, exclude: list[str]) -> dict[str, Splittable]:
    layers = weighty(model, exclude, "compress.factorize.exclude")
    ordinary = [one for one in layers if getattr(one, "groups", 1) == 1]
    return {
        layer.name: Splittable(layer)
        for layer in ordinary
        if set(getattr(layer, "dilation_rate", (1,))) == {1}
    }


def _harm(
    model: Any,
    layers: Mapping[str, Splittable],
    seen: Mapping[str, "_Inputs"],
    examples: "Examples",
) -> dict[str, float]:
    """How far the logits move, squared, for each share of a layer's output variance that is lost.

    Measured at one rank of each layer in turn: to first order, harm is in proportion to the loss,
    and that of several layers adds up.
    """
    probe = copied(model)
    batches = list(examples.inputs(examples.sample(_JUDGED), batch_size=32))
    answers = [probe.predict_on_batch(batch) for batch in batches]
    harm = {}
    for name, one in layers.items():
        ranks = list(_choices(one))
        if not ranks:
            continue
        first, second, lost = one.factors(seen[name].covariance)
        rank = ranks[len(ranks) // 2]
        layer = probe.get_layer(name)
        before = layer.get_weights()
        layer.kernel.assign(one.kernel(first[:, :rank] @ second[:rank]))
        moved = [probe.predict_on_batch(b) - a for b, a in zip(batches, answers, strict=True)]
        harm[name] = float(np.mean(np.square(np.concatenate(moved)))) / max(lost[rank], 1e-9)
        layer.set_weights(before)
    return harm


@dataclass(frozen=True)
class _Inputs:
    """What a layer multiplies, over training pictures."""

    mean: Any
    covariance: Any


def _factorized(model: Any, ranks: Mapping[str, int], inputs: Mapping[str, _Inputs]) -> Any:
    result = split(model, ranks)
    for name, rank in ranks.items():
        layer, seen = Splittable(model.get_layer(name)), inputs.get(name)
        first, second, _ = layer.factors(seen.covariance if seen else None)
        first, second = first[:, :rank], second[:rank]
        half = result.get_layer(name)
        result.get_layer(name + FIRST).kernel.assign(layer.kernels(first, second)[0])
        half.kernel.assign(layer.kernels(first, second)[1])
        if seen and half.use_bias:  # takes over the mean of what is lost
            missing = seen.mean @ (layer.matrix - first @ second)
            half.bias.assign_add(missing.reshape(-1, half.bias.shape[0]).sum(axis=0))
    return result


def _seen(model: Any, layers: Mapping[str, Splittable], examples: "Examples") -> dict[str, _Inputs]:
    network = keras.Model(model.input, [one.layer.input for one in layers.values()])
    sums: dict[str, list[Any]] = {name: [0, 0.0, 0.0] for name in layers}
    for batch in examples.inputs(examples.sample(PICTURES), batch_size=_BATCH):
        found = tf.nest.flatten(network(batch, training=False))
        for (name, one), value in zip(layers.items(), found, strict=True):
            patches = one.patches(value)
            patches = patches[:: 1 + len(patches) // _ROWS]  # the rest resembles its neighbours
            products = tf.matmul(patches, patches, transpose_a=True).numpy()
            parts = len(patches), patches.numpy().sum(axis=0, dtype=np.float64), products
            sums[name] = [old + new for old, new in zip(sums[name], parts, strict=True)]
    return {name: _of_sums(layers[name].layer, *sums[name]) for name in layers}


def _of_sums(layer: Any, count: Any, total: Any, products: Any) -> _Inputs:
    """The mean is left in the covariance where neither a bias nor a batch norm can take it over."""
    mean, covariance = total / count, products / count
    if layer.use_bias or is_normalised(layer):
        covariance = covariance - np.outer(mean, mean)
    return _Inputs(mean, covariance)


def _choices(layer: Splittable) -> dict[int, int]:
    """Ranks that make a layer cheaper, with the multiply-adds that they save."""
    saved = {
        rank: layer.multiply_adds() - layer.multiply_adds(rank)
        for rank in range(WIDTH, layer.most, WIDTH)
    }
    return {rank: saving for rank, saving in saved.items() if saving > 0}


def _saved(layers: Mapping[str, Splittable], ranks: Mapping[str, int]) -> int:
    """Multiply-adds of the network."""
    return sum(
        layers[name].multiply_adds() - layers[name].multiply_adds(rank)
        for name, rank in ranks.items()
    )


def _cheapest(
    choices: Mapping[str, Mapping[int, int]], lost: Mapping[str, Any], ranks: Mapping[str, int]
) -> tuple[str, int] | None:
    """The layer and its next rank that lose least for what they save; None where none is left."""
    steps = []
    for name, savings in choices.items():
        now = ranks.get(name)
        before = (savings[now], lost[name][now]) if now else (0, 0.0)
        for rank, saving in savings.items():
            if not now or rank < now:
                steps.append(((lost[name][rank] - before[1]) / (saving - before[0]), name, rank))
    return min(steps)[1:] if steps else None


def _by_energy(
    layers: Mapping[str, Splittable], lost: Mapping[str, Any], energy: float
) -> dict[str, int]:
    enough = {
        name: next((rank for rank in _choices(one) if 1 - lost[name][rank] >= energy), None)
        for name, one in layers.items()
    }
    return {name: rank for name, rank in enough.items() if rank}


def _given(ranks: Mapping[str, int], layers: Mapping[str, Splittable]) -> dict[str, int]:
    for name, rank in ranks.items():
        place = f"compress.factorize.ranks.{name}"
        if name not in layers:
            near = ", ".join(difflib.get_close_matches(name, layers, 3, 0.0))
            raise UserError(
                f"{place}: no layer of this name can be factorized.", f"Such layers are {near}."
            )
        whole = layers[name].multiply_adds()
        cheaper = [
            r
            for r in range(1, min(layers[name].matrix.shape))
            if layers[name].multiply_adds(r) < whole
        ]
        if rank not in cheaper:
            raise UserError(
                f"{place}: a rank of {rank} makes the layer no cheaper.",
                f"Write 1 to {max(cheaper)}." if cheaper else "Leave this layer out.",
            )
    return dict(ranks)
