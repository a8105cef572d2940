"""What is made of layers, replaced by these: networks in another, as in transfer learning,
separable convolutions, and sums and products of more than two. Then stages, counts and TF-MOT see
all there are; files are the same, but that TF-MOT would leave a sum of three without the range of
its first two, and its file would compute in float.

Layers that are another network's, too, or compute in another precision, are made anew, in float32:
so what a layer says of its own input and output is of this network.

TF-MOT splits separable convolutions as well, but under names that a saved network may have already.
"""

from collections import Counter
from typing import Any

from tflite_light.graph.copied import again, config_of, copied
from tflite_light.graph.naming import free
from tflite_light.graph.uses import called, uses
from tflite_light.stack import keras

_KINDS = ("depthwise", "pointwise")


def flattened(model: Any) -> Any:
    """The same layers with the same weights, in one network.

    Of layers with equal names the inner one gets that of its network before it. Whether an inner
    network was called for training or not is left to the training.
    """
    counts = Counter(node.layer.name for node in uses(model))
    if not any(
        _is_network(layer) or _is_separable(layer) or _is_foreign(layer, counts[layer.name])
        for layer in model.layers
    ) and not any(_is_of_many(node) for node in uses(model)):
        return model
    taken: set[str] = set()
    _rename(model, taken)
    pairs = _Pairs(taken)
    flat = keras.Model(model.inputs, _called(model, model.inputs, pairs), name=model.name)
    return copied(flat, _plain)  # whose weights are named as layers are


def _plain(layer: Any) -> Any:
    """The layer again, in float32."""
    return again(layer, {} if layer.compute_dtype == "float32" else {"dtype": "float32"})


def _is_foreign(layer: Any, uses_here: int) -> bool:
    """Whether it is used elsewhere, too, or computes in another precision than float32."""
    return len(layer.inbound_nodes) > uses_here or layer.compute_dtype != "float32"


def _inner(model: Any) -> list[Any]:
    return [layer for layer in model.layers if _is_network(layer)]


def _is_network(layer: Any) -> bool:
    """Subclassed ones are Python code, no graph of layers."""
    return isinstance(layer, keras.Model) and bool(layer._is_graph_network)


def _is_separable(layer: Any) -> bool:
    return type(layer) is keras.layers.SeparableConv2D


def _is_of_many(node: Any) -> bool:
    kinds = (keras.layers.Add, keras.layers.Multiply)
    return type(node.layer) in kinds and len(node.parent_nodes) > 2


def _rename(model: Any, taken: set[str]) -> None:
    inner = _inner(model)
    taken |= {layer.name for layer in model.layers if layer not in inner}
    for network in inner:
        for layer in network.layers:
            if layer.name in taken:
                layer._name = free(f"{network.name}_{layer.name}", taken)
        _rename(network, taken)


class _Pairs(dict[str, tuple[Any, Any]]):
    """What separable convolutions become, by name, as one may be used several times."""

    def __init__(self, taken: set[str]):
        super().__init__()
        self._taken = taken

    def free(self, name: str) -> str:
        return free(name, self._taken)

    def of(self, layer: Any) -> tuple[Any, Any]:
        if layer.name not in self:
            names = [self.free(f"{layer.name}_{kind}") for kind in _KINDS]
            self[layer.name] = _pair(layer, *names)
        return self[layer.name]


def _called(model: Any, inputs: list[Any], pairs: _Pairs) -> list[Any]:
    """The outputs of a network, each of its layers called anew."""
    values = {str(id(own)): given for own, given in zip(model.inputs, inputs, strict=True)}
    for node in uses(model):
        if node.is_input:
            continue
        given = [values[tensor] for tensor in node.flat_input_ids]
        if _is_network(node.layer):
            answers = _called(node.layer, given, pairs)
        elif _is_separable(node.layer):
            depthwise, pointwise = pairs.of(node.layer)
            answers = [pointwise(depthwise(*given))]
        elif _is_of_many(node):
            answers = [_in_pairs(node.layer, given, pairs)]
        else:
            answers = called(node, node.layer, given)
        values.update(zip(node.flat_output_ids, answers, strict=True))
    return [values[str(id(one))] for one in model.outputs]


def _in_pairs(layer: Any, given: list[Any], pairs: _Pairs) -> Any:
    """A sum of more than two in the order in which Keras adds them, so that it is the same to the
    bit; the last has the layer's name."""
    first, *others, last = given
    for other in others:
        first = type(layer)(name=pairs.free(f"{layer.name}_of_two"))([first, other])
    return layer([first, last])


def _pair(layer: Any, first: str, second: str) -> tuple[Any, Any]:
    """A separable convolution as a depthwise and a 1x1 one, with its weights."""
    config, inputs = config_of(layer), layer.depthwise_kernel.shape[2]

    def of(*starts: str) -> dict[str, Any]:
        chosen = (*starts, "data_format", "trainable")
        return {key: config[key] for key in config if key.startswith(chosen)}

    depthwise = keras.layers.DepthwiseConv2D.from_config(
        of("kernel_size", "strides", "padding", "dilation_rate", "depth")
        | {"name": first, "use_bias": False}
    )
    inner = {key.replace("pointwise", "kernel"): value for key, value in of("pointwise").items()}
    pointwise = keras.layers.Conv2D.from_config(
        of("filters", "activation", "use_bias", "bias") | inner | {"name": second, "kernel_size": 1}
    )
    kernel, *others = layer.get_weights()
    depthwise.build((None, None, None, inputs))
    pointwise.build((None, None, None, inputs * layer.depth_multiplier))
    depthwise.set_weights([kernel])
    pointwise.set_weights(others)
    return depthwise, pointwise
