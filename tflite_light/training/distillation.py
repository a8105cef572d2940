"""Learning a teacher's answers beside the labels."""

from dataclasses import dataclass
from typing import Any

from tflite_light.errors import UserError
from tflite_light.measure.runners import Runner
from tflite_light.pipeline.batches import noted
from tflite_light.recipe.distil import Distil
from tflite_light.stack import keras, tf
from tflite_light.training.features import Maps
from tflite_light.training.objective import Objective

_ANOTHER = "Train the teacher again, or name another."


@dataclass(frozen=True)
class Distillation(Objective):
    """Cross-entropy and a comparison with a teacher, which is asked about each training batch; with
    `maps` also one with its features.

    It is asked ahead, in the threads that prepare batches, and by Python, so that Keras models (on
    whatever device they live) and files go one way.
    """

    teacher: Runner
    settings: Distil
    label_smoothing: float = 0.0
    maps: Maps | None = None

    def learner(self, model: Any) -> Any:
        return self.maps.learner(model) if self.maps else model

    def loss(self) -> Any:
        compare = {"dist": correlation, "kd": divergence}[self.settings.loss]
        share, temperature = self.settings.weight, self.settings.softening

        def distillation(targets: Any, logits: Any) -> Any:
            classes = logits.shape[-1]
            cross_entropy = keras.losses.categorical_crossentropy(
                targets[:, :classes],
                logits,
                from_logits=True,
                label_smoothing=self.label_smoothing,
            )
            if targets.shape[-1] == classes:  # validation: comparable with other trainings'
                return cross_entropy
            comparison = compare(targets[:, classes:], logits, temperature)
            return (1 - share) * cross_entropy + share * comparison

        return distillation

    def labelled(self, batches: Any) -> Any:
        """Labels become [label, teacher's log-probabilities], twice as wide.

        No log-probability is above 0, so the greatest value still stands at the label: Keras'
        accuracy and class weights, which look for it, need not know of the teacher.
        """

        def ask(inputs: Any, labels: Any) -> tuple[Any, Any]:
            # Stateful, or tf.data would ask from several threads, which no interpreter allows, and
            # which may leave a Keras model no thread to answer in.
            logits, *maps = tf.numpy_function(
                self._answers, [inputs], [tf.float32] * (1 + len(shapes))
            )
            answers = tf.nn.log_softmax(tf.ensure_shape(logits, labels.shape))
            targets = tf.concat([labels, answers], axis=1)
            if not maps:
                return inputs, targets
            shaped = (
                tf.ensure_shape(map_, (None, *shape))
                for map_, shape in zip(maps, shapes, strict=True)
            )
            return (inputs, *shaped), targets

        shapes = list(self.maps.shapes.values()) if self.maps else []
        return batches.map(ask).prefetch(2)

    def validated(self, batches: Any) -> Any:
        if not self.maps:
            return batches
        none = self.maps.none
        return batches.map(lambda inputs, labels: (none(inputs), labels))

    def _answers(self, inputs: Any) -> list[Any]:
        with noted():
            try:
                return self.maps.ask(inputs) if self.maps else [self.teacher.logits([inputs])]
            except UserError as error:
                raise UserError(f"distil.teacher: {error.problem}", _ANOTHER) from error


def divergence(answers: Any, logits: Any, temperature: float) -> Any:
    """Hinton et al. 2015: KL divergence from softened probabilities to softened ones, a picture.

    `answers` are the teacher's logits or log-probabilities [n, classes]. Times the temperature
    squared, by which softening makes gradients smaller.
    """
    taught = tf.nn.log_softmax(answers / temperature)
    learnt = tf.nn.log_softmax(logits / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(taught) * (taught - learnt), axis=1)


def correlation(answers: Any, logits: Any, temperature: float) -> Any:
    """DIST (Huang et al. 2022): 1 - Pearson's correlation of a picture's probabilities, plus the
    mean over the classes of 1 - that of a class's probabilities over the batch.

    `answers` are the teacher's logits or log-probabilities [n, classes], n at least 2.
    """
    taught, learnt = (tf.nn.softmax(one / temperature) for one in (answers, logits))
    between_classes = 1 - _pearson(taught, learnt)
    between_pictures = 1 - _pearson(tf.transpose(taught), tf.transpose(learnt))
    return temperature**2 * (between_classes + tf.reduce_mean(between_pictures))


def _pearson(one: Any, other: Any) -> Any:
    """Of each row. Where a row is constant it is 0, with a gradient that is not NaN."""

    def standard(rows: Any) -> Any:
        return tf.math.l2_normalize(rows - tf.reduce_mean(rows, axis=1, keepdims=True), axis=1)

    return tf.reduce_sum(standard(one) * standard(other), axis=1)
