"""Batch-norm statistics, measured anew after a change of the weights before them.

Stored statistics need not be those of the pictures: a batch norm that was folded into its
convolution has a mean of 0 and a variance of 1, and means as much by that. So the network is
written with the pictures' own statistics first, which scale and offset make up for; it can then be
changed and measured.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from tflite_light.graph.copied import copied
from tflite_light.graph.uses import is_norm, shared, told_to_train, untrained, uses
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import keras, tf

LAG = 0.2  # standard deviations by which stored means of batch norms may be off, see `lag`
LOOKED = 512  # training pictures by which that is seen and measured


def norms(model: Any) -> list[Any]:
    """The batch norms, without those that are used several times: no statistics are right for all
    their inputs."""
    several = shared(model)
    return [one for one in model.layers if is_norm(one) and one.name not in several]


def mean_for(norm: Any, values: Any) -> Any:
    """Of what comes into a norm, or its squares, along the axes and in the shape of its means."""
    averaged = [axis for axis in range(norm.input_spec.ndim) if axis not in norm.axis]
    return tf.reshape(tf.reduce_mean(values, averaged), norm.moving_mean.shape)


def held(model: Any) -> set[str]:
    """The batch norms that are not trained, or not called so, and so used with the statistics that
    they have."""
    still = {
        node.layer.name
        for node in uses(model)
        if told_to_train(node.layer, node.call_args, node.call_kwargs) is False
    }
    return {norm.name for norm in norms(model) if norm.name in still or not norm.trainable}


def standardise(model: Any, batches: Iterable[Floats]) -> Any:
    """A copy that answers alike, whose batch norms' statistics are what the pictures give; but for
    those without a scale or an offset, which could not make up for them."""
    copy = copied(model)
    for norm, (mean, variance) in zip(norms(copy), observed(model, batches), strict=True):
        if not (norm.scale and norm.center):
            continue
        scale = norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)
        norm.beta.assign_add(scale * (mean - norm.moving_mean))
        norm.gamma.assign(scale * np.sqrt(variance + norm.epsilon))
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        _renormalise(norm)
    return copy


def lag(model: Any, batches: Iterable[Floats], fixed: Collection[str] = ()) -> float:
    """How far the stored means are from the pictures', in standard deviations; the worst norm's
    mean over its channels, but for those of `fixed` names. 0.03 at most after whole epochs of
    training, 1 after a few steps."""
    pairs = zip(norms(model), observed(model, batches), strict=True)
    return max(
        (
            float(np.mean(np.abs(norm.moving_mean - mean) / np.sqrt(variance + norm.epsilon)))
            for norm, (mean, variance) in pairs
            if norm.name not in fixed
        ),
        default=0.0,
    )


def measure(model: Any, batches: Iterable[Floats], fixed: Collection[str] = ()) -> None:
    """Set each batch norm's mean and variance to their averages over the batches, in place; those
    of `fixed` names are used as they are. Keras' own layers drop nothing, as in a file: what was
    drawn would be another after a resume."""
    stay = [norm for norm in norms(model) if norm.name in fixed]
    moved = [norm for norm in norms(model) if norm.name not in fixed]
    momenta, seen = [norm.momentum for norm in moved], 0
    trained = [norm.trainable for norm in stay]
    renormed = [norm for norm in moved if norm.renorm]  # by what they had, which is not measured
    for norm in stay:
        norm.trainable = False
    for norm in renormed:
        norm.renorm = False
    with _nothing_drawn(model):
        for batch in batches if moved else ():
            for norm in moved:
                norm.momentum = seen / (seen + len(batch))  # a moving average that is a plain one
            model(batch, training=True)
            seen += len(batch)
    for norm, momentum in zip(moved, momenta, strict=True):
        norm.momentum = momentum
    for norm, was in zip(stay, trained, strict=True):
        norm.trainable = was
    for norm in renormed:
        norm.renorm = True
        _renormalise(norm)


def _renormalise(norm: Any) -> None:
    """Give a norm that trains by renormalisation the statistics that it has in use."""
    if norm.renorm:
        norm.renorm_mean.assign(norm.moving_mean)
        norm.renorm_stddev.assign(tf.sqrt(norm.moving_variance + norm.epsilon))


@contextlib.contextmanager
def _nothing_drawn(model: Any) -> Iterator[None]:
    """Meanwhile layers that drop, add noise or turn pictures do as in a file."""
    random = keras.__internal__.layers.BaseRandomLayer
    layers = [layer for layer in model.submodules if isinstance(layer, random)]
    for layer in layers:
        layer.call = _untrained(layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _untrained(layer: Any, call: Any) -> Any:
    def called(*arguments: Any, **named: Any) -> Any:
        arguments, named = untrained(layer, arguments, named)
        return call(*arguments, **named)

    return called


def observed(model: Any, batches: Iterable[Floats]) -> list[tuple[Floats, Floats]]:
    """Mean and variance of what comes into each batch norm as it is used, not trained."""
    if not norms(model):
        return []
    inputs = keras.Model(model.input, [norm.input for norm in norms(model)])

    def moments(images: Any) -> Any:
        """Means, and means of squares."""
        found = tf.nest.flatten(inputs(images, training=False))  # one output comes bare
        pairs = zip(norms(model), found, strict=True)
        return [(mean_for(norm, one), mean_for(norm, one**2)) for norm, one in pairs]

    compiled, seen = tf.function(moments, reduce_retracing=True), 0
    sums: list[Any] = []
    for batch in batches:
        found = [len(batch) * np.stack(pair) for pair in compiled(batch)]
        sums = [sum(pair) for pair in zip(sums, found, strict=True)] if sums else found
        seen += len(batch)
    return [(mean, np.maximum(square - mean**2, 0)) for mean, square in (s / seen for s in sums)]
