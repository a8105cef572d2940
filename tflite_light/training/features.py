"""Learning how a teacher's features relate, beside its answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tflite_light.graph.uses import uses
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import keras, tf

RESOLUTIONS = 3  # the coarsest, at which classes are told apart


@dataclass(frozen=True)
class Maps:
    """A teacher's feature maps: `ask` gives its logits and maps [n, height, width, channels] for a
    batch of the student's inputs; `shapes` are theirs without n, the coarsest first.
    """

    ask: Callable[[Floats], list[Floats]]
    shapes: list[tuple[int, int, int]]
    weight: float

    def learner(self, model: Any) -> Any:
        """The network with the teacher's maps as further inputs, whose training's loss has what its
        own lack of them. It shares all layers and answers as before."""
        taught = [keras.Input((*shape[:2], None)) for shape in self.shapes]
        pairs = list(zip(feature_maps(model), taught, strict=False))
        likeness = _Likeness(self.weight / len(pairs), dtype="float32")
        return keras.Model([*model.inputs, *taught], likeness([*model.outputs, pairs]))

    def none(self, inputs: Any) -> tuple[Any, ...]:
        """A batch of validation, which is not compared, in a batch of training's form."""
        return inputs, *(tf.zeros((tf.shape(inputs)[0], *shape[:2], 1)) for shape in self.shapes)


def feature_maps(model: Any) -> list[Any]:
    """The last tensors [n, side, side, channels] at each of the coarsest resolutions of a
    functional model, the coarsest first. [] where it has none with several places."""
    found: dict[int, Any] = {}
    for node in uses(model):
        for tensor in tf.nest.flatten(node.outputs):
            if tensor.shape.rank == 4 and not _makes_none(node.layer):
                _, height, width, channels = tensor.shape
                if channels and height == width and (height or 0) > 1:  # a shuffle's are not square
                    found[height] = tensor
    return [found[side] for side in sorted(found)[:RESOLUTIONS]]


def _makes_none(layer: Any) -> bool:
    """Whether it gives the picture itself, or a convolution's margin, also where a stage wraps it:
    the size of that is no resolution."""
    kinds = keras.layers.InputLayer, keras.layers.ZeroPadding2D
    return isinstance(getattr(layer, "layer", layer), kinds)


def alignment(one: Any, other: Any) -> Any:
    """Centred kernel alignment, linear (Kornblith et al. 2019, arXiv 1905.00414), from 0 to 1: how
    alike two maps [n, height, width, channels] tell their places apart, whatever their channels."""
    one, other = (tf.reshape(each, (-1, each.shape[-1])) for each in (one, other))
    one, other = (each - tf.reduce_mean(each, axis=0) for each in (one, other))

    def shared(first: Any, second: Any) -> Any:
        return tf.reduce_sum(tf.matmul(first, second, transpose_a=True) ** 2)

    return shared(one, other) / tf.sqrt(shared(one, one) * shared(other, other) + 1e-12)


class _Likeness(keras.layers.Layer):  # type: ignore[misc]
    """Passes logits on, and in training adds to the loss what maps lack of a teacher's."""

    def __init__(self, weight: float, **settings: Any):
        super().__init__(**settings)
        self._weight = weight

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        logits, pairs = inputs
        if training:
            for own, taught in pairs:
                resized = tf.image.resize(taught, own.shape[1:3])
                self.add_loss(self._weight * (1 - alignment(own, resized)))
        return logits
