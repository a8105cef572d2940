"""How much a network would miss each class of coupled channels."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tflite_light.graph.coupling import Coupling, Numbers
from tflite_light.graph.tracing import vector
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import keras, tf


def by_norm(model: Any, coupling: Coupling) -> Numbers:
    """The L2 norm of the filters that make a class, in units of their layer's mean (Li 2017, arXiv
    1608.08710, with L1); [classes].
    """
    scores = np.zeros(coupling.traced.count)
    for name, own in coupling.traced.own.items():
        kernel = model.get_layer(name).kernel.numpy()
        norms = np.linalg.norm(kernel.reshape(-1, len(own)), axis=0)
        scores[own] = norms / max(norms.mean(), 1e-12)
    return _of_classes(scores, coupling)


def by_taylor(model: Any, coupling: Coupling, batches: Iterable[tuple[Floats, Any]]) -> Numbers:
    """The square of what the loss would change by without a class, to first order, summed over
    batches of pictures and labels (Molchanov 2019, arXiv 1906.10771); [classes].

    A channel is scaled to zero where convolutions and dense layers read it: the loss then changes
    by the product of their kernels' rows with the gradients.
    """
    readers = [
        (model.get_layer(name), coupling.traced.inputs[name][0]) for name in coupling.traced.own
    ]
    kernels = [layer.kernel for layer, _ in readers]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def slopes(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            change = loss(labels, model(images, training=False))
        return [
            kernel * slope
            for kernel, slope in zip(kernels, tape.gradient(change, kernels), strict=True)
        ]

    compiled = tf.function(slopes, reduce_retracing=True)
    scores = np.zeros(coupling.count)
    for images, labels in batches:
        changes = np.zeros(coupling.traced.count)
        for (layer, inputs), product in zip(readers, compiled(images, labels), strict=True):
            np.add.at(changes, vector(inputs), _rows(product.numpy(), getattr(layer, "groups", 1)))
        scores += _of_classes(changes, coupling) ** 2
    return scores


def _rows(product: Numbers, groups: int) -> Numbers:
    """[..., inputs of a group, outputs] -> sums for each input channel."""
    per_group = np.split(product, groups, axis=-1)
    return np.concatenate([one.reshape(-1, *one.shape[-2:]).sum((0, 2)) for one in per_group])


def _of_classes(scores: Numbers, coupling: Coupling) -> Numbers:
    free = coupling.classes >= 0
    return np.bincount(coupling.classes[free], scores[free], minlength=coupling.count)
