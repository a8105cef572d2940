"""Which of its kernel's few values each weight gets: not the nearest, but what keeps the answers.

Layers are taken in their order, and each aims at what it answered in the whole network, from inputs
as the layers before it leave them now (Li et al. 2025, arXiv 2504.02692).
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.compress._layers import is_normalised
from tflite_light.graph.abreast import Pair, abreast
from tflite_light.graph.in_turn import Array, in_turn
from tflite_light.graph.reconstruction import WIDEST
from tflite_light.graph.statistics import mean_for
from tflite_light.graph.uses import is_norm
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import tf

Clustered = Callable[[str, Array, Array], Array]  # a layer's name, kernel, and errors' costs
PICTURES = 100  # of training
READ = 8  # pictures at a time
PLACES = 256  # of a picture that are looked at: neighbours resemble each other
_RIDGE = 0.01  # of the mean variance


def assign(
    model: Any,
    shared: Any,
    names: Collection[str],
    by_channel: bool,
    batches: Iterable[Floats],
    clustered: Clustered,
) -> None:
    """Give each weight of the named layers of `shared` another value of its kernel, or of its
    output channel; zeros stay. In place.

    `model` is the network before its weights were shared; `clustered` finds the values of a kernel
    by what errors of its weights cost: the mean square of their inputs (Choi et al. 2017, arXiv
    1612.01543, with what is before a layer for the second derivatives); where a batch norm follows
    they stay those of `shared`, as do weights of layers with more than 8,192 inputs. Biases and
    batch norms make up for the mean of the errors, batch norms for their variance too.
    """
    for layer, pairs in abreast(model, shared, batches):
        if layer.name in names and math.prod(layer.kernel.shape[:-1]) <= WIDEST:
            _reassign(layer, model.get_layer(layer.name), by_channel, pairs, clustered)
        elif is_norm(layer):
            _follow(layer, pairs)


def _follow(norm: Any, pairs: list[Pair]) -> None:
    """Give a batch norm statistics by which its answers keep their mean and variance."""
    (mean, variance), (now, varies) = (
        _moments(norm, tf.concat(side, 0)) for side in zip(*pairs, strict=True)
    )
    share = (varies + norm.epsilon) / (variance + norm.epsilon)
    norm.moving_mean.assign(now + (norm.moving_mean - mean) * tf.sqrt(share))
    norm.moving_variance.assign((norm.moving_variance + norm.epsilon) * share - norm.epsilon)


def _moments(norm: Any, values: Any) -> tuple[Any, Any]:
    """Mean and variance of what comes into a norm."""
    mean = mean_for(norm, values)
    shape = [values.shape[axis] if axis in norm.axis else 1 for axis in range(values.shape.rank)]
    return mean, mean_for(norm, (values - tf.reshape(mean, shape)) ** 2)


def _reassign(
    layer: Any, whole: Any, by_channel: bool, pairs: list[Pair], clustered: Clustered
) -> None:
    groups = getattr(layer, "groups", 1)
    before, now = (_places(layer, groups, side) for side in zip(*pairs, strict=True))
    normalised = is_normalised(whole)
    centred = layer.use_bias or normalised  # something takes the mean over
    every = [_seen(before[:, group], now[:, group], centred) for group in range(groups)]
    if not normalised:  # with a batch norm it costs 0.4 dB (MobileNetV2 0.35), whatever its scales
        layer.kernel.assign(clustered(layer.name, whole.kernel.numpy(), _costs(whole, every)))
    parts = zip(_rows(whole, groups), _rows(layer, groups), every, strict=True)
    found, shifts = [], []
    for kernel, rows, seen in parts:
        values = _values(rows if by_channel else layer.kernel.numpy().reshape(1, -1))
        found.append(in_turn(kernel @ seen.crossed, seen.moments, rows != 0, values))
        shifts.append(kernel @ seen.mean_before - found[-1] @ seen.mean)
    layer.kernel.assign(np.concatenate(found).T.reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign_add(np.concatenate(shifts))


def _costs(layer: Any, every: Sequence["_Seen"]) -> Array:
    """Of an error of each weight: the mean square of its input; in the kernel's shape."""
    channels = layer.kernel.shape[-1] // len(every)
    rows = [np.tile(np.diag(seen.moments), (channels, 1)) for seen in every]
    return np.concatenate(rows).T.reshape(layer.kernel.shape)


def _rows(layer: Any, groups: int) -> list[Array]:
    """The kernel by groups, [output channels, inputs of one]."""
    kernel = layer.kernel.numpy().astype(np.float64)
    return np.split(kernel.reshape(-1, kernel.shape[-1]).T, groups)


def _values(rows: Array) -> Array:
    """What is not zero in each row, sorted; [rows, most of a row], shorter ones repeat a value."""
    found = [np.unique(row[row != 0]) if row.any() else np.zeros(1) for row in rows]
    most = max(map(len, found))
    return np.stack([np.pad(one, (0, most - len(one)), "edge") for one in found])


def _places(layer: Any, groups: int, batches: Sequence[Any]) -> Any:
    """What is multiplied by each group's kernel, at some places, [places, groups, inputs]."""
    return tf.concat([_some(layer, groups, batch) for batch in batches], 0)


def _some(layer: Any, groups: int, batch: Any) -> Any:
    *window, inputs, _ = layer.kernel.shape
    if window:  # further apart than the layer's own where there are many
        apart = max(1, math.isqrt(math.prod(layer.output.shape[1:3]) // PLACES))
        strides = (1, *(apart * stride for stride in layer.strides), 1)
        rates = (1, *layer.dilation_rate, 1)
        batch = tf.image.extract_patches(
            batch, (1, *window, 1), strides, rates, layer.padding.upper()
        )
    size = math.prod(window)
    patches = tf.reshape(batch, [-1, size, groups, inputs])
    return tf.reshape(tf.transpose(patches, [0, 2, 1, 3]), [-1, groups, size * inputs])


@dataclass(frozen=True)
class _Seen:
    """What a kernel multiplies: its mean in the whole network and at present, [inputs], or zeros;
    the second moments at present, and `crossed`, those of the former, by rows, with the latter.
    """

    mean_before: Array
    mean: Array
    moments: Array
    crossed: Array


def _seen(before: Any, now: Any, centred: bool) -> _Seen:
    """Shrunk to the variances by how few the places, [places, inputs], are for so many inputs."""
    count, inputs = now.shape
    means = [tf.reduce_mean(side, 0) * float(centred) for side in (before, now)]
    sides = before - means[0], now - means[1]
    crossed, moments = (tf.matmul(one, sides[1], True).numpy() / count for one in sides)
    variances, share = np.diag(moments).astype(np.float64), inputs / (inputs + count)
    towards = np.diag(share * variances + _RIDGE * variances.mean() + 1e-12)
    both = ((1 - share) * one + towards for one in (moments, crossed))
    return _Seen(means[0].numpy(), means[1].numpy(), *both)
