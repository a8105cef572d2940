"""A ReLU apart from its convolution becomes the convolution's own activation.

The outputs stay the same to the bit, and the weights keep their names. TF-MOT rounds no weights of
a convolution that such a ReLU follows. A ReLU6 stays apart, as TF-MOT knows no such activation.
"""

from typing import Any

from tflite_light.graph.lint import readers
from tflite_light.stack import keras, tf


def fused(model: Any) -> Any:
    """The same network with every ReLU fused that can be; the given one where none can."""
    pairs = _pairs(model)
    if not pairs:
        return model
    config = model.get_config()
    entries = [entry for entry in config["layers"] if entry["name"] not in pairs]
    for entry in entries:
        entry.pop("build_config", None)  # layers built by it would leave their name out of weights'
        entry["inbound_nodes"] = _renamed(entry["inbound_nodes"], pairs)
        if entry["name"] in pairs.values():
            entry["config"] = {**entry["config"], "activation": "relu"}
    outputs = _renamed(config["output_layers"], pairs)
    kinds = {type(layer).__name__: type(layer) for layer in model.layers}
    result = keras.Model.from_config(
        {**config, "layers": entries, "output_layers": outputs}, custom_objects=kinds
    )
    for layer in result.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    return result


def _pairs(model: Any) -> dict[str, str]:
    """Names of ReLUs, each with its convolution or dense layer."""
    layers = keras.layers
    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)
    found, counts = {}, readers(model)
    for layer in model.layers:
        if not _is_relu(layer) or len(layer.inbound_nodes) > 1:
            continue
        before = layer.input.node.layer
        alone = counts[before.name] == 1 and before.name not in model.output_names
        if isinstance(before, kinds) and alone and before.activation is keras.activations.linear:
            found[layer.name] = before.name
    return found


def _is_relu(layer: Any) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    plain = (keras.activations.relu, tf.nn.relu)
    return isinstance(layer, keras.layers.Activation) and layer.activation in plain


def _renamed(nodes: Any, pairs: dict[str, str]) -> Any:
    """A config with its references to layers, `[name, node, tensor, ...]` at any depth, changed;
    those among a call's named arguments, too."""
    if isinstance(nodes, dict):
        return {name: _renamed(value, pairs) for name, value in nodes.items()}
    if not isinstance(nodes, list | tuple):
        return nodes
    found = [_renamed(node, pairs) for node in nodes]
    if len(found) > 2 and isinstance(found[0], str) and isinstance(found[1], int):
        found[0] = pairs.get(found[0], found[0])
    return found
