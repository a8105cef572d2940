"""Channel shuffles without TRANSPOSE.

XNNPACK of TFLite 2.16 takes TRANSPOSE of 16-bit tensors, cannot prepare it, and then no interpreter
is made: ShuffleNet's int16x8 files would not run on phones at all. GATHER does the same.
"""

from typing import Any

import numpy as np

from tflite_light.graph.copied import again, copied
from tflite_light.stack import keras, tf


def gathered(model: Any) -> Any:
    """A copy that answers alike, whose swaps of the last two of three axes gather instead."""
    return copied(model, _replaced)


def _replaced(layer: Any) -> Any:
    if isinstance(layer, keras.layers.Permute) and tuple(layer.dims) == (1, 3, 2):
        return _Gathered(name=layer.name)
    return again(layer)


class _Gathered(keras.layers.Layer):  # type: ignore[misc]
    """[batch, places, groups, channels] -> [batch, places, channels, groups]."""

    def call(self, inputs: Any) -> Any:
        _, places, groups, channels = inputs.shape
        order = np.arange(groups * channels).reshape(groups, channels).T.ravel()
        flat = tf.reshape(inputs, [-1, places, groups * channels])
        return tf.reshape(tf.gather(flat, order, axis=2), [-1, places, channels, groups])
