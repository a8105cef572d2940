"""Which channel each element of each tensor of a network belongs to.

Every convolution and dense layer makes channels of its own, numbered through the network. Layers
that move data are run on an array of these numbers, so that a shuffle or a split needs no rule.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph.uses import IDLE, is_norm, is_norm_of_channels, uses
from tflite_light.stack import tf

Ids = np.ndarray[Any, np.dtype[np.int32]]

MIXING = ("Conv2D", "Dense")  # each output is made of all inputs of its group
MOVING = ("Reshape", "Permute", "Cropping2D", "Concatenate", "Flatten")
# channel by channel: the inputs' channels stay or go together
MERGING = ("Add", "Multiply", "Average", "Subtract", "Maximum", "Minimum")
PASSING = (
    *IDLE,
    "DepthwiseConv2D",
    "BatchNormalization",
    "ReLU",
    "PReLU",
    "LeakyReLU",
    "Activation",
    "ZeroPadding2D",
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "UpSampling2D",
)


@dataclass
class Traced:
    """`outputs` and `inputs` hold the channel of each element of a layer's tensors, without the
    batch; `own` the channels that a convolution or dense layer makes; `equal` arrays of equal
    shape whose channels stay or go together; `fixed` channels that have to stay; `holding` layers
    for which channels have to that could have gone, with their kinds.
    """

    outputs: dict[str, Ids] = field(default_factory=dict)
    inputs: dict[str, list[Ids]] = field(default_factory=dict)
    own: dict[str, Ids] = field(default_factory=dict)
    equal: list[tuple[Ids, Ids]] = field(default_factory=list)
    fixed: list[Ids] = field(default_factory=list)
    holding: list[str] = field(default_factory=list)
    count: int = 0

    def new(self, number: int) -> Ids:
        self.count += number
        return np.arange(self.count - number, self.count, dtype=np.int32)

    def can_go(self, ids: Ids) -> bool:
        """Whether any of the channels is a convolution's or a dense layer's."""
        own = [*self.own.values()]
        return bool(own) and bool(np.isin(np.concatenate(own), ids).any())


def kind(layer: Any) -> str:
    return type(layer).__name__


def trace(model: Any) -> Traced:
    """The channels of a flat functional model in which each layer is used once.

    The channels of the picture and of the answer, and all around a layer that is not known here,
    are fixed.
    """
    traced = Traced()
    for node in uses(model):
        if len(tf.nest.flatten(node.outputs)) > 1:
            raise UserError(
                f"layer {node.layer.name} gives several tensors: where channels go is unknown.",
                "Cut its input by `keras.layers.Cropping2D`, or leave the stage out.",
            )
        layer, parents = node.layer, node.parent_nodes
        traced.inputs[layer.name] = [traced.outputs[parent.layer.name] for parent in parents]
        traced.outputs[layer.name] = _output(layer, traced)
    traced.fixed.append(traced.outputs[model.layers[-1].name])
    return traced


def vector(ids: Ids) -> Ids:
    """The channels along the last axis."""
    one: Ids = ids.reshape(-1, ids.shape[-1])[0]
    return one


def _output(layer: Any, traced: Traced) -> Ids:
    inputs, shape = traced.inputs[layer.name], tuple(layer.output.shape[1:])
    if kind(layer) in MOVING:
        return _moved(layer, traced)
    known = inputs and all(
        np.array_equal(one, np.broadcast_to(vector(one), one.shape)) for one in inputs
    )
    if known and kind(layer) in MIXING and _activates_alone(layer):
        channels = traced.own[layer.name] = traced.new(shape[-1])
    elif known and kind(layer) in PASSING and _has_channels_last(layer) and _activates_alone(layer):
        channels = np.repeat(vector(inputs[0]), getattr(layer, "depth_multiplier", 1))
    elif known and kind(layer) in MERGING:
        widest = max(one.shape[-1] for one in inputs)
        whole = [vector(one) for one in inputs if one.shape[-1] == widest]
        traced.fixed += [one for one in inputs if one.shape[-1] < widest]  # the same for all
        traced.equal += pairwise(whole)
        channels = whole[0]
    else:
        channels = traced.new(shape[-1])
        traced.fixed += [channels, *inputs]
        if any(traced.can_go(one) for one in inputs):
            traced.holding.append(f"{layer.name} ({kind(layer)})")
    return np.broadcast_to(channels, shape)


def _has_channels_last(layer: Any) -> bool:
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return last and (is_norm_of_channels(layer) or not is_norm(layer))


def _activates_alone(layer: Any) -> bool:
    """Whether its activation makes each channel of that channel alone, which a softmax or a gated
    linear unit does not: every other one is drawn anew, or left out."""
    if (activation := getattr(layer, "activation", None)) is None:
        return True
    made = getattr(layer, "filters", None) or getattr(layer, "units", None)
    number = made or layer.input_shape[-1] * getattr(layer, "depth_multiplier", 1)
    draw, shape = np.random.default_rng(0), (*[1] * (len(layer.input_shape) - 1), number)
    values, others = (tf.constant(draw.normal(size=shape), tf.float32) for _ in range(2))
    try:
        whole = activation(values)
        if whole.shape != values.shape:
            return False
        for first in (0, 1):
            mixed = tf.where(np.arange(number) % 2 == first, values, others)
            for seen in (activation(mixed)[..., first::2], activation(values[..., first::2])):
                if not np.allclose(whole[..., first::2], seen, atol=1e-6):
                    return False
    except Exception:  # it knows how many channels there are, or is a user's
        return False
    return True


def _moved(layer: Any, traced: Traced) -> Ids:
    """Where channels lie along two axes, as in a shuffle, those along the shorter are coupled: what
    stays is then a smaller array again."""
    tensors = [tf.constant(ids[None]) for ids in traced.inputs[layer.name]]
    output: Ids = layer.call(tensors if len(tensors) > 1 else tensors[0]).numpy()[0]
    axes = [axis for axis in range(output.ndim) if _varies(output, axis)]
    for axis in sorted(axes, key=lambda axis: -output.shape[axis])[1:]:
        lines = np.moveaxis(output, axis, 0)
        traced.equal += pairwise(line.ravel() for line in lines)
    return output


def _varies(ids: Ids, axis: int) -> bool:
    return not np.array_equal(ids, np.broadcast_to(ids.take([0], axis), ids.shape))
