"""Datasets of batches: shuffled and augmented for training, in order for evaluation."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.pipeline.augment import Augment, augmenter
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.preprocess import Floats, normalise
from tflite_light.pipeline.threads import AHEAD
from tflite_light.stack import tf

# Bytes of inputs that are kept as float32, four times those of the pictures. Making them anew costs
# 0.6 ms of processor time for one of 96 px, 1 % of an epoch in all.
MOST_FLOATS = 250_000_000

_failed: list[UserError] = []  # in TensorFlow's threads, which make errors of their own of them


@contextlib.contextmanager
def picture_errors() -> Iterator[None]:
    """Around whatever takes batches: raises the UserError of a picture, not TensorFlow's for it."""
    _failed.clear()
    try:
        yield
    except Exception:
        if _failed:
            error = _failed[0]
            _failed.clear()  # it would keep the iterator alive, whose threads go on
            raise error from None
        raise


@contextlib.contextmanager
def _noted() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        _failed.append(error)
        raise


def training(
    examples: Examples, classes: int, batch_size: int, augment: Augment, seed: int, epochs: range
) -> Any:
    """A dataset of (input, one-hot label) batches for all of `epochs`, without a break between
    them.

    Order and augmentation follow from the seed and the epoch alone, so an epoch is the same whether
    or not the ones before it ran in this process. What does not fill a batch waits for another
    epoch's order: batch norm cannot use a batch of one.
    """
    steps = steps_per_epoch(examples, batch_size)
    batch_size = min(batch_size, len(examples))
    labels = tf.constant(examples.labels)  # one-hot by the batch: ImageNet's would take 5 GB
    alter = augmenter(augment, examples.image.size, seed)

    def order(epoch: Any) -> Any:
        indices = tf.random.experimental.stateless_shuffle(
            tf.range(len(examples)), seed=[seed, epoch]
        )
        batches = tf.reshape(indices[: steps * batch_size], [steps, batch_size])
        return tf.data.Dataset.from_tensor_slices(
            (tf.range(epoch * steps, (epoch + 1) * steps), batches)
        )

    def read(indices: Any) -> Any:
        """From Python, since a tensor of the pictures would be a second copy of them all."""
        pixels = tf.numpy_function(_noted()(examples.pixels), [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (batch_size, examples.image.size, examples.image.size, 3))

    def picked(number: Any, indices: Any) -> tuple[Any, Any, Any]:
        return number, read(indices), tf.gather(labels, indices)

    def batch(number: Any, pixels: Any, chosen: Any) -> tuple[Any, Any]:
        """One after another, since all draw from one generator; in parallel within."""
        targets = tf.one_hot(chosen, classes)
        pixels, targets = alter(number, tf.cast(pixels, tf.float32), targets)
        return normalise(pixels, examples.image), targets

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    under_way = 1 + -(-AHEAD // batch_size)
    batches = numbers.flat_map(order).map(picked, under_way).map(batch).prefetch(4)
    return _with_threads_of_its_own(batches, under_way)


def _with_threads_of_its_own(batches: Any, under_way: int) -> Any:
    """TensorFlow's threads would wait for pictures, and none be left for the training's step."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = under_way + 2
    return batches.with_options(options)


def evaluation(examples: Examples, classes: int, batch_size: int = 64) -> Any:
    """A dataset of (input, one-hot label) batches, in order and unaltered."""
    one_hot = np.eye(classes, dtype=np.float32)

    def batches() -> Iterator[tuple[Floats, Floats]]:
        with _noted():
            for number, batch in enumerate(examples.inputs(range(len(examples)), batch_size)):
                start = number * batch_size
                yield batch, one_hot[examples.labels[start : start + len(batch)]]

    size = examples.image.size
    signature = (
        tf.TensorSpec((None, size, size, 3), tf.float32),
        tf.TensorSpec((None, classes), tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    kept = examples.cached is not None and 4 * 3 * size**2 * len(examples) <= MOST_FLOATS
    return (dataset.cache() if kept else dataset).prefetch(2)


def steps_per_epoch(examples: Examples, batch_size: int) -> int:
    """Full batches in one epoch; a set smaller than a batch is one."""
    return max(1, len(examples) // batch_size)
