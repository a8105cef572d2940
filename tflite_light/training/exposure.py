"""Learning to be unsure of pictures that are of no class, beside another objective."""

from dataclasses import dataclass
from typing import Any

from tflite_light.stack import keras, tf
from tflite_light.training.objective import Objective


@dataclass(frozen=True)
class Exposure(Objective):
    """Outlier exposure (Hendrycks et al. 2019, arXiv 1812.04606).

    A picture without a label, whose row of the batch's labels is zeros, is an outlier: its loss is
    `weight` x the cross-entropy of equal probabilities. MixUp's and CutMix's mixtures of both kinds
    have both losses, each by its share. Accuracy leaves outliers out.
    """

    inner: Objective
    weight: float

    def loss(self) -> Any:
        learnt = self.inner.loss()

        def exposure(targets: Any, logits: Any) -> Any:
            classes = logits.shape[-1]
            if targets.shape[-1] == classes:  # validation, which has no outliers
                return learnt(targets, logits)
            strange = targets[:, -1]
            known = 1 - strange
            labels = targets[:, :classes] / tf.maximum(known, 1e-6)[:, None]
            inner = learnt(tf.concat([labels, targets[:, classes:-1]], axis=1), logits)
            unsure = tf.reduce_logsumexp(logits, axis=1) - tf.reduce_mean(logits, axis=1)
            return known * inner + self.weight * strange * unsure

        return exposure

    def labelled(self, batches: Any) -> Any:
        """The other objective's labels, and a last column: the share of a picture that is outlier.

        It is the greatest value of an outlier's row, by which `accuracy` knows it.
        """
        classes = batches.element_spec[1].shape[-1]

        def mark(inputs: Any, targets: Any) -> tuple[Any, Any]:
            strange = 1 - tf.reduce_sum(targets[:, :classes], axis=1, keepdims=True)
            return inputs, tf.concat([targets, strange], axis=1)

        return self.inner.labelled(batches).map(mark)

    def accuracy(self) -> Any:
        def accuracy(targets: Any, logits: Any) -> Any:
            label = tf.argmax(targets, axis=1)
            right = tf.cast(label == tf.argmax(logits, axis=1), tf.float32)
            return tf.boolean_mask(right, label < logits.shape[-1])

        return keras.metrics.MeanMetricWrapper(accuracy, "accuracy")
