"""Learning how a teacher's features relate, beside its answers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import Any

from tflite_light.errors import UserError
from tflite_light.graph.naming import free
from tflite_light.graph.uses import uses
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.stack import keras, tf
from tflite_light.wording import count

RESOLUTIONS = 3  # the coarsest, at which classes are told apart
_MOVING = (  # layers whose outputs' sizes are no resolutions, or whose places are not the picture's
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Reshape,
    keras.layers.Permute,
)


@dataclass(frozen=True)
class Maps:
    """A teacher's feature maps: `ask` gives its logits and maps [n, side, side, channels] for a
    batch of the student's inputs; `shapes` are theirs without n, by how often sides were halved.
    """

    ask: Callable[[Floats], list[Floats]]
    shapes: dict[int, tuple[int, int, int]]
    weight: float

    def learner(self, model: Any) -> Any:
        """The network with the teacher's maps as further inputs, whose training's loss has what its
        own lack of them. It shares all layers and answers as before."""
        own, taken = feature_maps(model), {layer.name for layer in model.layers}
        taught = {
            halvings: keras.Input((*shape[:2], None), name=free("teacher_map", taken))
            for halvings, shape in self.shapes.items()
        }
        pairs = [(own[halvings], map_) for halvings, map_ in taught.items() if halvings in own]
        if not pairs:
            raise UserError(
                "distil.features: network and teacher have no resolution in common.",
                "Leave it out, or choose another teacher.",
            )
        if len(pairs) < RESOLUTIONS:
            say(f"distil.features: {count(len(pairs), 'resolution')} in common with the teacher")
        name = free("likeness", taken)
        likeness = _Likeness(self.weight / len(pairs), name=name, dtype="float32")
        return keras.Model([*model.inputs, *taught.values()], likeness([*model.outputs, pairs]))

    def none(self, inputs: Any) -> tuple[Any, ...]:
        """A batch of validation, which is not compared, in a batch of training's form."""
        number = tf.shape(inputs)[0]
        return inputs, *(tf.zeros((number, *shape[:2], 1)) for shape in self.shapes.values())


def feature_maps(model: Any) -> dict[int, Any]:
    """The last tensors [n, side, side, channels] at each of the coarsest resolutions of a
    functional model, by how often the picture's sides were halved, the coarsest first. None where
    it has none with several places."""
    found: dict[int, Any] = {}
    pictures: set[int] = set()  # cut, padded or resized, too
    others: set[int] = set()  # that, margins and shuffled channels: none is a map
    for node in uses(model):
        own = getattr(node.layer, "layer", node.layer)  # of a stage's wrapper
        given = tf.nest.flatten(node.keras_inputs)
        # a kernel, of a wrapped layer, too; PReLU's slopes and norms of each place have other ranks
        mixes = any(one.shape.rank in (2, 4) for one in node.layer.weights)
        for tensor in tf.nest.flatten(node.outputs):
            alike = [one for one in given if one.shape[1:3] == tensor.shape[1:3]]
            if not mixes and all(id(one) in pictures for one in given):
                pictures.add(id(tensor))
                others.add(id(tensor))
            elif isinstance(own, _MOVING) or (
                not mixes and alike and all(id(one) in others for one in alike)
            ):
                others.add(id(tensor))
            elif _is_square(tensor.shape):
                found[round(log2(model.inputs[0].shape[1] / tensor.shape[1]))] = tensor
    return {halvings: found[halvings] for halvings in sorted(found, reverse=True)[:RESOLUTIONS]}


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
