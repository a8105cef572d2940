"""Batch-norm statistics, measured anew where the weights before them have changed."""

from collections.abc import Iterable
from typing import Any

from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import keras


def measure_statistics(model: Any, batches: Iterable[Floats]) -> None:
    """Set each batch norm's mean and variance to their averages over the batches, in place."""
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    momenta, seen = [norm.momentum for norm in norms], 0
    for batch in batches if norms else ():
        for norm in norms:
            norm.momentum = seen / (seen + len(batch))  # so that a moving average is a plain one
        model(batch, training=True)
        seen += len(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
