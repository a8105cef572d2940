"""A ReLU apart from its convolution becomes the convolution's own activation, and for TF-MOT a
batch norm part of its dense layer.

The outputs stay the same to the bit, and the weights keep their names. TF-MOT rounds no weights of
a convolution that such a ReLU follows. A ReLU6 stays apart, as TF-MOT knows no such activation.
"""

from collections.abc import Mapping
from typing import Any

from tflite_light.graph.copied import network_config, of_config
from tflite_light.graph.lint import NORMS, is_alone_behind_linear, readers
from tflite_light.stack import keras, tf


def fused(model: Any) -> Any:
    """The same network with every ReLU fused that can be; the given one where none can."""
    pairs = _pairs(model)
    return _merged(model, pairs, {"activation": "relu"}) if pairs else model


def folded(model: Any) -> Any:
    """The network with batch norms part of the dense layers before them, as they are used, not
    trained, and ReLUs fused with those; the given one where there are none.

    TF-MOT rounds a dense kernel with one scale. The converter cannot scale its outputs after that,
    as it does those of convolutions, and would leave the layer in float.
    """
    counts = readers(model)
    norms = [one for one in model.layers if _is_foldable(one, counts)]
    pairs = {norm.name: norm.input.node.layer.name for norm in norms}
    if not pairs:
        return model
    result = _merged(model, pairs, {"use_bias": True})
    for norm in norms:
        dense = model.get_layer(pairs[norm.name])
        result.get_layer(dense.name).set_weights(_scaled(dense, norm))
    return fused(result)


def _is_foldable(layer: Any, counts: Mapping[str, int]) -> bool:
    """Whether it is a norm of the channels of a dense layer, each used once."""
    if type(layer).__name__ not in NORMS or len(layer.inbound_nodes) > 1:
        return False
    alone = is_alone_behind_linear(layer, counts, ("Dense",))
    return alone and [*layer.axis] == [len(layer.input.shape) - 1]


def _scaled(dense: Any, norm: Any) -> list[Any]:
    """A dense layer's kernel and bias with what a norm makes of its outputs."""
    factors = (norm.moving_variance.numpy() + norm.epsilon) ** -0.5
    if norm.scale:
        factors *= norm.gamma.numpy()
    bias = dense.bias.numpy() if dense.use_bias else 0
    offset = norm.beta.numpy() if norm.center else 0
    return [
        dense.kernel.numpy() * factors,
        (bias - norm.moving_mean.numpy()) * factors + offset,
    ]


def _merged(model: Any, pairs: Mapping[str, str], change: Mapping[str, Any]) -> Any:
    """The network without the layers that `pairs` name, each of which another layer takes over,
    whose config is changed; weights as they were, where their shapes are."""
    config = network_config(model)
    entries = [entry for entry in config["layers"] if entry["name"] not in pairs]
    for entry in entries:
        entry["inbound_nodes"] = _renamed(entry["inbound_nodes"], pairs)
        if entry["name"] in pairs.values():
            entry["config"] = {**entry["config"], **change}
    outputs = _renamed(config["output_layers"], pairs)
    result = of_config(model, {**config, "layers": entries, "output_layers": outputs})
    for layer in result.layers:
        weights = model.get_layer(layer.name).get_weights()
        if len(weights) == len(layer.weights):
            layer.set_weights(weights)
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


def _renamed(nodes: Any, pairs: Mapping[str, str]) -> Any:
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
