"""What is made of layers, replaced by these: networks in another, as in transfer learning, and
separable convolutions. Then stages, counts and TF-MOT see all there are.

TF-MOT splits separable convolutions as well, but under names that a saved network may have already.
"""

from typing import Any

from tflite_light.graph.uses import called, uses
from tflite_light.stack import keras


def flattened(model: Any) -> Any:
    """The same layers with the same weights, in one network.

    Of layers with equal names the inner one gets that of its network before it. Whether an inner
    network was called for training or not is left to the training.
    """
    if not _inner(model) and not any(map(_is_separable, model.layers)):
        return model
    _rename(model, set())
    pairs: dict[str, tuple[Any, Any]] = {}
    flat = keras.Model(model.inputs, _called(model, model.inputs, pairs), name=model.name)
    result = keras.models.clone_model(flat)  # whose weights are named as their layers are
    result.set_weights(flat.get_weights())
    return result


def _inner(model: Any) -> list[Any]:
    return [layer for layer in model.layers if _is_network(layer)]


def _is_network(layer: Any) -> bool:
    """Subclassed ones are Python code, no graph of layers."""
    return isinstance(layer, keras.Model) and bool(layer._is_graph_network)


def _is_separable(layer: Any) -> bool:
    return type(layer) is keras.layers.SeparableConv2D


def _rename(model: Any, taken: set[str]) -> None:
    inner = _inner(model)
    taken |= {layer.name for layer in model.layers if layer not in inner}
    for network in inner:
        for layer in network.layers:
            if layer.name in taken:
                layer._name = f"{network.name}_{layer.name}"
        _rename(network, taken)


def _called(model: Any, inputs: list[Any], pairs: dict[str, tuple[Any, Any]]) -> list[Any]:
    """The outputs of a network, each of its layers called anew.

    `pairs` are what separable convolutions have become, by name: one may be used several times.
    """
    values = {str(id(own)): given for own, given in zip(model.inputs, inputs, strict=True)}
    for node in uses(model):
        if node.is_input:
            continue
        given = [values[tensor] for tensor in node.flat_input_ids]
        if _is_network(node.layer):
            answers = _called(node.layer, given, pairs)
        elif _is_separable(node.layer):
            if node.layer.name not in pairs:
                pairs[node.layer.name] = _pair(node.layer)
            depthwise, pointwise = pairs[node.layer.name]
            answers = [pointwise(depthwise(*given))]
        else:
            answers = called(node, node.layer, given)
        values.update(zip(node.flat_output_ids, answers, strict=True))
    return [values[str(id(one))] for one in model.outputs]


def _pair(layer: Any) -> tuple[Any, Any]:
    """A separable convolution as a depthwise and a 1x1 one, with its weights."""
    config, inputs = layer.get_config(), layer.depthwise_kernel.shape[2]

    def of(*starts: str) -> dict[str, Any]:
        chosen = (*starts, "data_format", "trainable")
        return {key: config[key] for key in config if key.startswith(chosen)}

    depthwise = keras.layers.DepthwiseConv2D.from_config(
        of("kernel_size", "strides", "padding", "dilation_rate", "depth")
        | {"name": f"{layer.name}_depthwise", "use_bias": False}
    )
    kernel = {key.replace("pointwise", "kernel"): value for key, value in of("pointwise").items()}
    pointwise = keras.layers.Conv2D.from_config(
        of("filters", "activation", "use_bias", "bias")
        | kernel
        | {"name": f"{layer.name}_pointwise", "kernel_size": 1}
    )
    first, *others = layer.get_weights()
    depthwise.build((None, None, None, inputs))
    pointwise.build((None, None, None, inputs * layer.depth_multiplier))
    depthwise.set_weights([first])
    pointwise.set_weights(others)
    return depthwise, pointwise
