"""Batch-norm statistics: measured anew where the weights before them have changed.

That needs statistics that were true before. Weights whose batch norm was folded and put back have
none: mean 0 and variance 1, whatever the pictures. So they get their own first, with a scale and an
offset that leave the function as it is.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import keras


def give_own_statistics(model: Any, batches: Iterable[Floats]) -> None:
    """Make each batch norm's mean and variance those of the batches, its answers as they were."""
    kind = keras.layers.BatchNormalization
    norms = [one for one in model.layers if isinstance(one, kind) and one.scale and one.center]
    if not norms:
        return
    probe = keras.Model(model.input, [norm.input for norm in norms])
    sums: list[list[Any]] = [[0, 0.0, 0.0] for _ in norms]
    for batch in batches:
        for place, value in enumerate(probe(batch, training=False)):
            rows = np.reshape(value, (-1, value.shape[-1])).astype(np.float64)
            parts = len(rows), rows.sum(axis=0), np.square(rows).sum(axis=0)
            sums[place] = [old + new for old, new in zip(sums[place], parts, strict=True)]
    for norm, (count, total, squares) in zip(norms, sums, strict=True):
        mean = total / count
        _restate(norm, mean, (squares / count - mean**2).clip(0))


def _restate(norm: Any, mean: Any, variance: Any) -> None:
    gamma, beta, old_mean, old_variance = norm.get_weights()
    slope = gamma / np.sqrt(old_variance + norm.epsilon)
    norm.set_weights(
        [
            slope * np.sqrt(variance + norm.epsilon),
            beta + slope * (mean - old_mean),
            mean,
            variance,
        ]
    )


def measure_statistics(model: Any, batches: Iterable[Floats]) -> None:
    """Set each batch norm's mean and variance to their averages over the batches, in place."""
    kind = keras.layers.BatchNormalization
    norms = [one for one in model.submodules if isinstance(one, kind)]  # those in wrappers, too
    momenta, seen = [norm.momentum for norm in norms], 0
    for batch in batches if norms else ():
        for norm in norms:
            norm.momentum = seen / (seen + len(batch))  # so that a moving average is a plain one
        model(batch, training=True)
        seen += len(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
