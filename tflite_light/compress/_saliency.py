"""How much a network would miss each class of coupled channels."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph.coupling import Coupling, Numbers
from tflite_light.graph.statistics import norms
from tflite_light.graph.tracing import vector
from tflite_light.graph.uses import is_norm_of_channels
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import tf


def by_norm(model: Any, coupling: Coupling) -> Numbers:
    """The L2 norm of the filters that make a class, as shares of their layers' sums (Li 2017, arXiv
    1608.08710, with L1): half of a narrow layer is as much as half of a wide one; [classes].
    """
    scores = np.zeros(coupling.traced.count)
    for name, own in coupling.traced.own.items():
        kernel = model.get_layer(name).kernel.numpy()
        norms = np.linalg.norm(kernel.reshape(-1, len(own)), axis=0)
        scores[own] = norms / max(norms.sum(), 1e-12)
    return _of_classes(scores, coupling)


def by_scale(model: Any, coupling: Coupling) -> Numbers:
    """The sizes of the batch norms' scales, as shares of each norm's sum (Liu 2017, arXiv
    1708.06519); [classes]. Raises UserError where no batch norm has one.
    """
    scaled = [norm for norm in norms(model) if norm.scale and is_norm_of_channels(norm)]
    if not scaled:
        raise UserError(
            "compress.channels.score: scale needs batch norms of channels; this network has none.",
            "Write `--set compress.channels.score=taylor`.",
        )
    scores = np.zeros(coupling.traced.count)
    for norm in scaled:
        sizes = np.abs(norm.gamma.numpy())
        channels = vector(coupling.traced.outputs[norm.name])
        np.add.at(scores, channels, sizes / max(sizes.sum(), 1e-12))
    return _of_classes(scores, coupling)


def by_taylor(model: Any, coupling: Coupling, batches: Iterable[Floats]) -> Numbers:
    """The square of what the logits would change by without a class, to first order, summed over
    batches of pictures; [classes].

    A channel is scaled to zero where convolutions and dense layers read it: an answer then changes
    by the product of their kernels' rows with its gradients (Molchanov 2019, arXiv 1906.10771,
    for the loss, which is flat where a network knows its pictures). Signs drawn for each logit of
    each picture make the expected square of a sum the sum of the squares (Hutchinson 1989).
    """
    traced, signs = coupling.traced, np.random.default_rng(0)
    readers = [model.get_layer(name) for name in traced.own]
    kernels = [layer.kernel for layer in readers]

    def slopes(images: Any, directions: Any) -> Any:
        with tf.GradientTape() as tape:
            change = tf.reduce_sum(directions * model(images, training=False))
        return [
            kernel * slope
            for kernel, slope in zip(kernels, tape.gradient(change, kernels), strict=True)
        ]

    compiled, scores = tf.function(slopes, reduce_retracing=True), np.zeros(coupling.count)
    for images in batches:
        directions = signs.choice(
            np.array([-1, 1], np.float32), (len(images), *model.output_shape[1:])
        )
        directions -= directions.mean(axis=-1, keepdims=True)  # of no effect on a softmax
        changes = np.zeros(traced.count)
        for layer, product in zip(readers, compiled(images, directions), strict=True):
            rows = _rows(product.numpy(), getattr(layer, "groups", 1))
            np.add.at(changes, vector(traced.inputs[layer.name][0]), rows)
        scores += _of_classes(changes, coupling) ** 2
    return scores


def _rows(product: Numbers, groups: int) -> Numbers:
    """[..., inputs of a group, outputs] -> sums for each input channel."""
    per_group = np.split(product, groups, axis=-1)
    return np.concatenate([one.reshape(-1, *one.shape[-2:]).sum((0, 2)) for one in per_group])


def _of_classes(scores: Numbers, coupling: Coupling) -> Numbers:
    free = coupling.classes >= 0
    return np.bincount(coupling.classes[free], scores[free], minlength=coupling.count)
