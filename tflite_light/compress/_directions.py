"""The two narrower layers of a layer: the directions in which its outputs vary, on pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tflite_light.compress._layers import is_normalised
from tflite_light.graph.low_rank import Splittable, split
from tflite_light.graph.reconstruction import WIDEST, shrunk
from tflite_light.graph.statistics import measure, standardise
from tflite_light.stack import keras, tf

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples

PICTURES = 256  # training pictures by which directions are chosen and batch norms measured
_ROWS = 4096  # of a batch's patches that are looked at
_BATCH = 8  # the inputs of all layers are in memory at once: 0.3 GB for MobileNet v2 at 224 px


@dataclass(frozen=True)
class Inputs:
    """What a layer multiplies, over training pictures."""

    mean: Any
    covariance: Any


def fitted(model: Any, ranks: Mapping[str, int], examples: "Examples") -> Any:
    """A factorized model whose directions and batch norms are those of the pictures."""
    pictures = examples.sample(PICTURES)
    model = standardise(model, examples.inputs(pictures, batch_size=32))
    seen = inputs_of(model, {name: Splittable(model.get_layer(name)) for name in ranks}, examples)
    result = factorized(model, ranks, seen)
    measure(result, examples.inputs(pictures, batch_size=32))
    return result


def factorized(
    model: Any, ranks: Mapping[str, int], inputs: Mapping[str, Inputs] = MappingProxyType({})
) -> Any:
    result = split(model, ranks)
    for name, rank in ranks.items():
        layer, seen = Splittable(model.get_layer(name)), inputs.get(name)
        first, second, _ = layer.factors(seen.covariance if seen else None)
        first, second = first[:, :rank], second[:rank]
        half = result.get_layer(name)
        pair = half.input.node.layer, half
        for one, kernel in zip(pair, layer.kernels(first, second), strict=True):
            one.kernel.assign(kernel)
        if seen and half.use_bias:  # takes over the mean of what is lost
            missing = seen.mean @ (layer.matrix - first @ second)
            half.bias.assign_add(missing.reshape(-1, half.bias.shape[0]).sum(axis=0))
    return result


def inputs_of(
    model: Any, layers: Mapping[str, Splittable], examples: "Examples"
) -> dict[str, Inputs]:
    """What layers of up to 8,192 inputs read; others' directions are those of their kernels."""
    layers = {name: one for name, one in layers.items() if one.inputs <= WIDEST}
    if not layers:
        return {}
    network = keras.Model(model.input, [one.layer.input for one in layers.values()])
    sums: dict[str, list[Any]] = {name: [0, 0.0, 0.0] for name in layers}
    pictures = examples.sample(PICTURES)
    for batch in examples.inputs(pictures, batch_size=_BATCH):
        found = tf.nest.flatten(network(batch, training=False))
        for (name, one), value in zip(layers.items(), found, strict=True):
            patches = one.patches(value)
            patches = patches[:: 1 + len(patches) // _ROWS]  # the rest resembles its neighbours
            products = tf.matmul(patches, patches, transpose_a=True).numpy()
            parts = len(patches), patches.numpy().sum(axis=0, dtype=np.float64), products
            sums[name] = [old + new for old, new in zip(sums[name], parts, strict=True)]
    return {name: _of_sums(layers[name].layer, len(pictures), *sums[name]) for name in layers}


def _of_sums(layer: Any, pictures: int, count: Any, total: Any, products: Any) -> Inputs:
    """The mean is left in the covariance where neither a bias nor a batch norm can take it over.

    A classifier sees one place of each picture: of fewer pictures than classes it would lose the
    directions of all others, so the covariance is shrunk.
    """
    mean, covariance = total / count, products / count
    if layer.use_bias or is_normalised(layer):
        covariance = covariance - np.outer(mean, mean)
    return Inputs(mean, shrunk(covariance, pictures))


def factors_of(layers: Mapping[str, Splittable], seen: Mapping[str, Inputs]) -> dict[str, Any]:
    known = {name: one.covariance for name, one in seen.items()}
    return {name: one.factors(known.get(name)) for name, one in layers.items()}
