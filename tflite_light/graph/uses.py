"""How the layers of a network are used: once as a rule, or several times, or as networks in it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tflite_light.errors import UserError
from tflite_light.stack import keras, tf

IDLE = (  # kinds of layers that do nothing in a file
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "GaussianDropout",
    "AlphaDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
)


def is_norm(layer: Any) -> bool:
    """Whether it is a batch norm, also of the kind that Keras has for several devices."""
    kinds = keras.layers.BatchNormalization, keras.layers.experimental.SyncBatchNormalization
    return isinstance(layer, kinds)


def is_norm_of_channels(layer: Any) -> bool:
    """Whether it is a batch norm with a mean for each channel, which come last."""
    return is_norm(layer) and [*layer.axis] == [layer.input_spec.ndim - 1]


def uses(model: Any) -> list[Any]:
    """Each use of a layer, as Keras' node, in the order in which they can be computed. A layer's
    own nodes do not say: they are those of other models, too, in which it is used."""
    places = {layer.name: place for place, layer in enumerate(model.layers)}
    found: list[Any] = []
    for _, level in sorted(model._nodes_by_depth.items(), reverse=True):
        # a Sequential does not have its input among its layers
        found += sorted(level, key=lambda node: places.get(node.layer.name, -1))
    return found


def called(node: Any, layer: Any, inputs: Sequence[Any], in_use: bool = False) -> list[Any]:
    """The outputs of a layer, called as `node` calls its own, of other inputs; `in_use` as in a
    file, where Keras' layers that turn or shift pictures do so unless they are told not to."""
    given: dict[str, list[Any]] = {}
    for tensor, value in zip(node.flat_input_ids, inputs, strict=True):
        given.setdefault(tensor, []).append(value)
    arguments, named = node.map_arguments(given)
    if in_use and told_to_train(layer, arguments, named) is None:
        arguments, named = untrained(layer, arguments, named)
    return list(tf.nest.flatten(layer(*arguments, **named)))


def told_to_train(layer: Any, arguments: Any, named: Any) -> Any:
    """What a call says of `training`, by position or name; None where it says nothing."""
    spec, given = layer._call_spec, ("training", arguments, named, True)
    return spec.get_arg_value(*given) if spec.arg_was_passed(*given) else None


def untrained(layer: Any, arguments: Any, named: Any) -> tuple[Any, Any]:
    """The arguments of a call with `training=False`, where the layer knows it."""
    spec = layer._call_spec
    if not spec.expects_training_arg:
        return arguments, named
    found: tuple[Any, Any] = spec.set_arg_value("training", False, arguments, {**named}, True)
    return found


def shared(model: Any) -> dict[str, int]:
    """Layers that are used more than once, and how often."""
    counts = Counter(node.layer.name for node in uses(model))
    return {name: count for name, count in counts.items() if count > 1}


def require_flat(model: Any, stage: str, *, once: bool = False) -> None:
    """Raises UserError where a layer is a network with kernels of its own, which a stage would
    pass over; where it works on layers that are used `once`, also where one is used more often."""
    for layer in model.layers:
        if isinstance(layer, keras.Model) and any(one.shape.rank > 1 for one in layer.weights):
            raise UserError(
                f"compress.{stage}: layer {layer.name} is a network of its own, whose layers the "
                "stage does not see.",
                f"Build the network of the layers of {layer.name} themselves, or leave the stage "
                "out.",
            )
    for name, count in shared(model).items() if once else ():
        raise UserError(
            f"compress.{stage}: layer {name} is used {count} times, and the stage needs a layer "
            "for each use.",
            "Build the network with a layer for each use, or leave the stage out; `prune`, "
            "`cluster` and `factorize` take such networks.",
        )
