"""Datasets of batches: shuffled and augmented for training, in order for evaluation."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.pipeline import shards
from tflite_light.pipeline.augment import Augment, augmenter
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.made import Outliers
from tflite_light.pipeline.preprocess import Floats, normalise
from tflite_light.pipeline.streaming import CORES
from tflite_light.stack import tf

# Bytes of inputs that are kept as float32, four times those of the pictures. Making them anew costs
# 0.6 ms of processor time for one of 96 px, 1 % of an epoch in all.
MOST_FLOATS = 250_000_000

ALL = range(1), 1  # of the devices that train, this process's, and their number

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
def noted() -> Iterator[None]:
    """Around what TensorFlow calls back, for `picture_errors` to raise."""
    try:
        yield
    except UserError as error:
        _failed.append(error)
        raise


@dataclass(frozen=True)
class _Deal:
    """Which of `count` pictures, and of `outliers`, each step of an epoch has: `devices` parts of
    `part` pictures, with `beside` outliers behind them."""

    count: int
    shards: list[int]  # their numbers of pictures, where these are read shard by shard
    outliers: int
    seed: int
    steps: int
    devices: int
    part: int

    @property
    def beside(self) -> int:
        return outliers_beside(self.part) if self.outliers else 0

    def epoch(self, number: Any) -> Any:
        """Indices [steps, devices, part + beside] that follow from seed and number alone."""
        shape = [self.steps, self.devices, self.part]
        if self.shards:
            found = tf.numpy_function(self._by_shards, [number], tf.int64)
            parts = tf.ensure_shape(tf.cast(found, tf.int32), shape)
        else:
            indices = _shuffled(self.count, self.seed, number)
            parts = tf.reshape(indices[: self.steps * self.devices * self.part], shape)
        if not self.outliers:
            return parts
        drawn = _rounds(self.outliers, prod(shape[:2]) * self.beside, self.seed, number)
        return tf.concat([parts, tf.reshape(drawn, [*shape[:2], self.beside])], axis=2)

    def _by_shards(self, number: Any) -> Any:
        seeds = [self.seed, int(number)]
        return shards.order(self.shards, seeds, self.steps, self.devices, self.part)


def training(
    examples: Examples,
    classes: int,
    batch_size: int,
    augment: Augment,
    seed: int,
    epochs: range,
    shares: tuple[range, int] = ALL,
    outliers: Outliers | None = None,
) -> Any:
    """A dataset of (input, one-hot label) batches for all of `epochs`, without a break between
    them.

    Order and augmentation follow from the seed and the epoch alone, so an epoch is the same whether
    or not the ones before it ran in this process. What does not fill a batch waits for another
    epoch's order: batch norm cannot use a batch of one. Where several devices train, each batch
    comes as so many equal parts, of which those of this process's devices are given, one by one.

    `outliers` come on top: as many in every part as a quarter of it has, so often as that takes,
    with labels of zeros. A quarter costs a quarter more time.
    """
    steps = steps_per_epoch(examples, batch_size)
    mine, devices = shares
    part = min(batch_size, len(examples)) // devices
    counts = examples.pictures.shards or []
    counts = counts if len(counts) >= devices else []
    strange = len(outliers) if outliers else 0
    deal = _Deal(len(examples), counts, strange, seed, steps, devices, part)
    labels = tf.constant(examples.labels)  # one-hot by the batch: ImageNet's would take 5 GB
    alter = augmenter(augment, examples.image.size, seed)

    def dealt(epoch: Any) -> Any:
        """The parts of this process's devices, and their numbers in the whole training."""
        numbers = tf.range(epoch * steps * devices, (epoch + 1) * steps * devices)
        numbers = tf.reshape(numbers, [steps, devices])[:, mine.start : mine.stop]
        parts = deal.epoch(epoch)[:, mine.start : mine.stop]
        return tf.data.Dataset.from_tensor_slices(
            (tf.reshape(numbers, [-1]), tf.reshape(parts, [-1, part + deal.beside]))
        )

    def pixels_of(indices: Any) -> Any:
        if not outliers:
            return examples.pixels(indices)
        return np.concatenate([examples.pixels(indices[:part]), outliers.pixels(indices[part:])])

    def read(number: Any, indices: Any) -> tuple[Any, Any, Any]:
        """From Python, since a tensor of the pictures would be a second copy of them all."""
        pixels = tf.numpy_function(noted()(pixels_of), [indices], tf.uint8, stateful=False)
        size = examples.image.size
        pixels = tf.ensure_shape(pixels, (part + deal.beside, size, size, 3))
        return number, pixels, tf.gather(labels, indices[:part])

    def batch(number: Any, pixels: Any, chosen: Any) -> tuple[Any, Any]:
        """One after another, since all draw from one generator; in parallel within."""
        targets = tf.pad(tf.one_hot(chosen, classes), [[0, deal.beside], [0, 0]])
        pixels, targets = alter(number, tf.cast(pixels, tf.float32), targets)
        return normalise(pixels, examples.image), targets

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    under_way = 1 + -(-8 * CORES // part)  # pictures enough for all cores
    batches = numbers.flat_map(dealt).map(read, under_way).map(batch).prefetch(4)
    return _untuned(batches, threads=under_way + 2)


def views(
    examples: Examples, classes: int, augment: Augment, seed: int, epochs: int
) -> Iterator[tuple[Floats, Floats]]:
    """What a training on these pictures alone would see of them, an epoch at a time.

    Inputs [count, size, size, 3] and labels [count, classes], in the pictures' own order.
    """
    count = len(examples)
    examples = replace(examples, pictures=replace(examples.pictures, shards=None))
    with picture_errors():
        batches = training(examples, classes, count, augment, seed, range(epochs))
        for epoch, (inputs, labels) in enumerate(batches):
            places = np.argsort(_shuffled(count, seed, epoch).numpy())
            yield inputs.numpy()[places], labels.numpy()[places]


def _shuffled(count: int, seed: int, epoch: Any) -> Any:
    """Indices of all pictures in the order of an epoch."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])


def _untuned(batches: Any, threads: int | None = None) -> Any:
    """Without TensorFlow's tuning of `AUTOTUNE`s, of which there are none here: who closes a
    dataset may wait for the tuner's next turn, which comes as late again as the data took. One of
    three validations of streamed pictures lost 0.6 s behind 0.6 s.

    With `threads` of its own where TensorFlow's would wait for pictures, and none be left for the
    training's step.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    if threads:
        options.threading.private_threadpool_size = threads
    return batches.with_options(options)


EVALUATED = 64  # pictures that a device is given at a time where no step is made


def evaluation(examples: Examples, classes: int, shares: tuple[range, int] = ALL) -> Any:
    """A dataset of (input, one-hot label) batches, in order and unaltered.

    Where several devices train, each has a part of each batch, as in `training`; of a few pictures
    some devices have none.
    """
    one_hot = np.eye(classes, dtype=np.float32)
    mine, devices = shares
    whole = EVALUATED * devices
    starts = range(0, len(examples), whole)
    batches_ = [np.arange(start, min(start + whole, len(examples))) for start in starts]
    chosen = [np.array_split(batch, devices)[one] for batch in batches_ for one in mine]

    def batches() -> Iterator[tuple[Floats, Floats]]:
        with noted():
            for indices in chosen:
                yield examples.input(indices), one_hot[examples.labels[indices]]

    size = examples.image.size
    signature = (
        tf.TensorSpec((None, size, size, 3), tf.float32),
        tf.TensorSpec((None, classes), tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    kept = examples.cached is not None and 4 * 3 * size**2 * len(examples) <= MOST_FLOATS
    return _untuned((dataset.cache() if kept else dataset).prefetch(2))


def evaluation_steps(examples: Examples, shares: tuple[range, int] = ALL) -> int:
    """Batches of `evaluation`, each counted once for all devices."""
    return -(-len(examples) // (EVALUATED * shares[1]))


def outliers_beside(part: int) -> int:
    """How many outliers a device's part of a batch, of so many other pictures, gets."""
    return max(1, part // 4)


def _rounds(count: int, wanted: int, seed: int, epoch: Any) -> Any:
    """Indices below `count`, each as often as the others but for one, in a random order."""
    rounds = tf.range(count * -(-wanted // count)) % count
    return tf.random.experimental.stateless_shuffle(rounds, seed=[seed, epoch])[:wanted]


def steps_per_epoch(examples: Examples, batch_size: int) -> int:
    """Full batches in one epoch; a set smaller than a batch is one."""
    return max(1, len(examples) // batch_size)
