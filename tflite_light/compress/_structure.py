"""What earlier stages gave the weights, kept while training goes on: zeros, and equal weights."""

from collections.abc import Collection, Iterator
from typing import Any

from tflite_light.graph.kernels import kernels_among
from tflite_light.stack import keras, tf


def kernel_variables(model: Any) -> list[Any]:
    return kernels_among(model.trainable_variables, model)


def keeping(wrapped: Any, kept: Collection[str]) -> list[Any]:
    """A callback that puts kernels back into the structure they begin with, after every step.

    `zeros` stay zero; with `clusters`, equal weights of a kernel stay equal: they move by the mean
    of their steps, as centroids trained in their place would (Han et al. 2016, arXiv 1510.00149).
    So nothing depends on which layer a kernel is in; TF-MOT's schemes leave some out. It costs 2 %
    of a step (MobileNet v2 0.35 at 96 px).

    What they begin with are the weights of when training begins, or goes on: those of the
    checkpoint, not what `wrap` gave them before they were prepared.
    """
    project = None

    def begin(_: Any) -> None:
        nonlocal project
        project = _projection(wrapped, kept)

    callback = keras.callbacks.LambdaCallback(
        on_train_begin=begin, on_train_batch_end=lambda *_: project() if project else None
    )
    callback._supports_tf_logs = True  # spares Keras fetching the metrics after each step
    return [callback]


def _projection(wrapped: Any, kept: Collection[str]) -> Any:
    """None where there is nothing to keep."""
    projections = [
        projection for kernel in kernel_variables(wrapped) for projection in _of(kernel, kept)
    ]

    @tf.function  # type: ignore[untyped-decorator]
    def project() -> None:
        for variable, projected in projections:
            variable.assign(projected(variable))

    return project if projections else None


def _of(variable: Any, kept: Collection[str]) -> Iterator[tuple[Any, Any]]:
    import numpy as np

    values = variable.numpy()
    mask = values != 0
    if "zeros" in kept and not mask.all():
        constant = tf.constant(mask, values.dtype)
        yield variable, lambda weights: weights * constant
    distinct, groups = np.unique(values, return_inverse=True)
    if "clusters" in kept and distinct.size < values.size:
        members = tf.constant(groups.ravel(), tf.int32)
        yield variable, lambda weights: _shared(weights, members, distinct.size)


def _shared(weights: Any, members: Any, count: int) -> Any:
    means = tf.math.unsorted_segment_mean(tf.reshape(weights, [-1]), members, count)
    return tf.reshape(tf.gather(means, members), weights.shape)
