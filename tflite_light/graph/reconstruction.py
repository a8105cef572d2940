"""Channels that go, as those that stay predict them: least squares, in closed form.

As He et al. 2017, arXiv 1707.06168, rebuild a layer's output after channels are removed before it;
here from the covariance of its inputs, which one pass over some pictures gives for all layers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tflite_light.graph.copied import copied
from tflite_light.graph.thinner import Kept, Mask, staying
from tflite_light.graph.tracing import trace, vector
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import keras, tf

Array = np.ndarray[Any, Any]
UNRELATED = 10  # places of a picture that count as independent: neighbours resemble each other
_ROWS = 4096  # of a batch's places that are looked at
# Inputs of a layer whose covariance is looked at: a matrix of it is 0.5 GB, and stages need up to
# eight. More have dense layers behind a Flatten.
WIDEST = 8192


def reconstructed(model: Any, kept: Kept, batches: Iterable[Floats]) -> Any:
    """A copy in which layers read what `thin` will remove from the channels that stay.

    A kernel's row of a channel that goes is added to the others' by its best linear prediction from
    them, in each group and at each place of the kernel alike; a bias takes over the mean of the
    rest, as does a batch norm when it is measured anew. Layers of more than 8,192 channels stay.
    """
    traced = trace(model)
    stays = staying(traced, kept)
    masks = {name: stays[vector(traced.inputs[name][0])] for name in traced.own}
    some = [name for name, mask in masks.items() if not mask.all() and len(mask) <= WIDEST]
    readers = [model.get_layer(name) for name in some]
    copy = copied(model)
    for layer, (mean, covariance) in zip(readers, _moments(model, readers, batches), strict=True):
        weights = _absorbed(layer, masks[layer.name], mean, covariance)
        copy.get_layer(layer.name).set_weights(weights)
    return copy


def _moments(
    model: Any, layers: Sequence[Any], batches: Iterable[Floats]
) -> list[tuple[Array, Array]]:
    """The mean, [channels], and covariance of what each layer reads, shrunk to its diagonal by how
    few the pictures are for so many channels."""
    if not layers:
        return []
    network = keras.Model(model.input, [layer.input for layer in layers])

    def sums(images: Any) -> Any:
        read = tf.nest.flatten(network(images, training=False))
        flat = [tf.reshape(x, [-1, x.shape[-1]]) for x in read]
        some = [rows[:: 1 + tf.shape(rows)[0] // _ROWS] for rows in flat]
        return [(tf.shape(x)[0], tf.reduce_sum(x, 0), tf.matmul(x, x, True)) for x in some]

    compiled, pictures = tf.function(sums, reduce_retracing=True), 0
    totals: list[list[Any]] = [[0, 0.0, 0.0] for _ in layers]
    for batch in batches:
        pictures += len(batch)
        for total, found in zip(totals, compiled(batch), strict=True):
            total[:] = [old + np.float64(new) for old, new in zip(total, found, strict=True)]
    return [_moments_of(pictures, *total) for total in totals]


def _moments_of(pictures: int, count: Any, sum_: Array, products: Array) -> tuple[Array, Array]:
    mean = sum_ / count
    return mean, shrunk(products / count - np.outer(mean, mean), pictures)


def shrunk(moments: Array, pictures: int) -> Array:
    """Second moments drawn to their diagonal by how few the pictures are for so many channels."""
    share = len(moments) / (len(moments) + UNRELATED * pictures)
    variances = np.diag(moments)
    ridge = 1e-6 * variances.mean() + 1e-12  # for channels that are never active
    return np.asarray((1 - share) * moments + np.diag(share * variances + ridge))


def _absorbed(layer: Any, stay: Mask, mean: Array, covariance: Array) -> list[Array]:
    """A layer's weights: the rows of channels that stay, with what they take over."""
    kernel, *biases = (weight.astype(np.float64) for weight in layer.get_weights())
    groups = getattr(layer, "groups", 1)
    inputs = np.split(np.arange(len(stay)), groups)
    shifts = []
    for part, own in zip(np.split(kernel, groups, axis=-1), inputs, strict=True):
        keep, go = stay[own], ~stay[own]  # `part` is a view: it is changed in place
        within = covariance[np.ix_(own, own)]
        prediction = np.linalg.solve(within[np.ix_(keep, keep)], within[np.ix_(keep, go)])
        gone = part[..., go, :]
        part[..., keep, :] += prediction @ gone
        rest = mean[own][go] - mean[own][keep] @ prediction
        shifts.append(np.tensordot(rest, gone.sum(tuple(range(gone.ndim - 2))), 1))
    return [kernel, *(bias + np.concatenate(shifts) for bias in biases)]
