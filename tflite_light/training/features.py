"""Learning how a teacher's features relate, beside its answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tflite_light.graph.naming import free
from tflite_light.graph.uses import uses
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.stack import keras, tf
from tflite_light.wording import count

RESOLUTIONS = 3  # the coarsest, at which classes are told apart
_MOVING = (  # layers whose outputs' sizes are no resolutions, or whose places are not the picture's
    keras.layers.InputLayer,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Reshape,
    keras.layers.Permute,
)


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
        taken = {layer.name for layer in model.layers}
        taught = [
            keras.Input((*shape[:2], None), name=free("teacher_map", taken))
            for shape in self.shapes
        ]
        pairs = list(zip(feature_maps(model), taught, strict=False))
        if len(pairs) < RESOLUTIONS:
            say(f"distil.features: {count(len(pairs), 'resolution')} in common with the teacher")
        name = free("likeness", taken)
        likeness = _Likeness(self.weight / len(pairs), name=name, dtype="float32")
        return keras.Model([*model.inputs, *taught], likeness([*model.outputs, pairs]))

    def none(self, inputs: Any) -> tuple[Any, ...]:
        """A batch of validation, which is not compared, in a batch of training's form."""
        return inputs, *(tf.zeros((tf.shape(inputs)[0], *shape[:2], 1)) for shape in self.shapes)


def feature_maps(model: Any) -> list[Any]:
    """The last tensors [n, side, side, channels] at each of the coarsest resolutions of a
    functional model, the coarsest first. [] where it has none with several places."""
    found: dict[int, Any] = {}
    others: set[int] = set()  # tensors that are none: pictures, margins, shuffled channels
    for node in uses(model):
        own = getattr(node.layer, "layer", node.layer)  # of a stage's wrapper
        given = tf.nest.flatten(node.keras_inputs)
        for tensor in tf.nest.flatten(node.outputs):
            alike = [one for one in given if one.shape[1:3] == tensor.shape[1:3]]
            # a kernel's weights, wrapped or not: what they make is a map again
            mixes = any(one.shape.rank > 1 for one in node.layer.weights)
            passed_on = not mixes and alike and all(id(one) in others for one in alike)
            if isinstance(own, _MOVING) or passed_on:
                others.add(id(tensor))
            elif _is_square(tensor.shape):
                found[tensor.shape[1]] = tensor
    return [found[side] for side in sorted(found)[:RESOLUTIONS]]


def _is_square(shape: Any) -> bool:
    return shape.rank == 4 and None not in shape[1:] and shape[1] == shape[2] > 1


def alignment(one: Any, other: Any) -> Any:
    """Centred kernel alignment, linear (Kornblith et al. 2019, arXiv 1905.00414), from 0 to 1: how
    alike two maps [n, height, width, channels] tell their places apart, whatever their channels."""

    def standard(maps: Any) -> Any:
        rows = tf.reshape(maps, (-1, maps.shape[-1]))
        return tf.math.l2_normalize(rows - tf.reduce_mean(rows, axis=0))  # large squares overflow

    def shared(first: Any, second: Any) -> Any:
        return tf.reduce_sum(tf.matmul(first, second, transpose_a=True) ** 2)

    one, other = standard(one), standard(other)
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
