"""What a phase minimises, as a value."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from tflite_light.stack import keras


class Objective(ABC):
    """A loss of logits against what the batches bring as labels."""

    def accuracy(self) -> Any:
        """A Keras metric of that name. A string or a function would become one inside the first
        step, for which Keras then traces its graph a second time: three seconds of MobileNetV2."""
        return keras.metrics.CategoricalAccuracy("accuracy")

    @abstractmethod
    def loss(self) -> Any:
        """(labels, logits) -> a value a picture."""

    def learner(self, model: Any) -> Any:
        """What is trained for the model: itself, or one of the same layers with more inputs."""
        return model

    def labelled(self, batches: Any) -> Any:
        """A training's dataset of (input, one-hot label), with all that the loss compares with.

        A loss that needs more than the label, such as a teacher's answers, adds it here, and takes
        validation's labels without it.
        """
        return batches

    def validated(self, batches: Any) -> Any:
        """Validation's dataset, with what the learner's further inputs take where there are any."""
        return batches


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Softmax cross-entropy; `label_smoothing` spreads a share of each label over all classes."""

    label_smoothing: float = 0.0

    def loss(self) -> Any:
        def cross_entropy(labels: Any, logits: Any) -> Any:
            return keras.losses.categorical_crossentropy(
                labels, logits, from_logits=True, label_smoothing=self.label_smoothing
            )

        return cross_entropy
