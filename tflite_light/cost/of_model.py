"""The operators that a Keras model becomes in a file, with what they cost.

The converter folds a batch norm and a ReLU into the convolution, dense layer or sum before them
where nothing else reads what lies between.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import Any

from tflite_light.cost.network import FREE, MULTIPLYING, Network, Operator, Tensor
from tflite_light.errors import UserError

KINDS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "Dense": "dense",
    "BatchNormalization": "norm",
    "Add": "add",
    "Multiply": "multiply",
    "ReLU": "activation",
    "Activation": "activation",
    "Concatenate": "concat",
    "Cropping2D": "slice",
    "Permute": "transpose",
    "ZeroPadding2D": "pad",
    "MaxPooling2D": "pool",
    "AveragePooling2D": "pool",
    "GlobalAveragePooling2D": "pool",
    "Reshape": FREE,
    "Flatten": FREE,
    "Dropout": FREE,
}


def network(model: Any) -> Network:
    """The operators of a flat functional model, in Keras' order.

    Raises UserError where a layer has weights whose use is not known here.
    """
    layers = {layer.name: layer for layer in model.layers if type(layer).__name__ != "InputLayer"}
    groups = _folded(layers.values())
    numbers = {group[-1].name: place for place, group in enumerate(groups, start=1)}
    rows = tuple(_operator(group, numbers) for group in groups)
    return Network(rows, _shape(model.input))


def _folded(layers: Iterable[Any]) -> list[list[Any]]:
    """Layers in groups that become one operator each, which stands where its first layer does."""
    layers = list(layers)
    readers = Counter(name for layer in layers for name in _sources(layer))
    groups: list[list[Any]] = []
    ends: dict[str, list[Any]] = {}  # each group by the name of its last layer
    for layer in layers:
        source = _sources(layer)[0]
        if readers[source] == 1 and source in ends and _folds(layer, ends[source]):
            group = ends.pop(source)
        else:
            groups.append(group := [])
        group.append(layer)
        ends[layer.name] = group
    return groups


def _folds(layer: Any, group: list[Any]) -> bool:
    head, kind = group[0], _kind(layer)
    if any(_kind(one) == "activation" for one in group) or _activation(head) not in ("", "linear"):
        return False
    if kind == "norm":
        return _kind(head) in MULTIPLYING and len(group) == 1
    return _kind(head) in (*MULTIPLYING, "add", "multiply") and _is_relu(layer)


def _is_relu(layer: Any) -> bool:
    """Whether TFLite's operators can end with it."""
    if type(layer).__name__ == "ReLU":
        return layer.max_value in (None, 6.0) and not layer.negative_slope and not layer.threshold
    return type(layer).__name__ == "Activation" and _activation(layer) in ("relu", "relu6")


def _operator(group: list[Any], numbers: dict[str, int]) -> Operator:
    head, kind = group[0], _kind(group[0])
    inputs = tuple(
        Tensor(numbers.get(source, 0), _shape(tensor))
        for source, tensor in zip(_sources(head), _inputs(head), strict=True)
    )
    output = Tensor(numbers[group[-1].name], _shape(group[-1].output))
    trained = sum(prod(weight.shape) for layer in group for weight in layer.trainable_weights)
    row = Operator(head.name, kind, inputs, (output,), parameters=trained)
    if kind in MULTIPLYING:
        return _multiplying(row, head, with_norm=any(_kind(layer) == "norm" for layer in group))
    if trained and kind != "norm":
        raise UserError(
            f"layer {head.name} cannot be counted: what the weights of {type(head).__name__} "
            "multiply is not known.",
            "Write it with layers that tflite_light/cost/of_model.py lists.",
        )
    return replace(row, weights=trained)


def _multiplying(row: Operator, head: Any, with_norm: bool) -> Operator:
    """The row with what depends on the kernel, whose shape is Keras'."""
    kernel = tuple(head.weights[0].shape)
    weights, channels = prod(kernel), row.output.shape[-1]
    if row.kind == "dense":
        biases = channels if head.use_bias or with_norm else 0
        products = weights * row.output.elements // channels
        return replace(row, weights=weights, biases=biases, multiply_adds=products)
    return replace(
        row,
        weights=weights,
        biases=channels,  # TFLite's convolutions always have them
        kernel=kernel[:2],
        groups=head.groups if row.kind == "conv" else row.input_channels,
        multiply_adds=weights * prod(row.output.shape[:3]),
    )


def _kind(layer: Any) -> str:
    return KINDS.get(type(layer).__name__, "other")


def _activation(layer: Any) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _inputs(layer: Any) -> list[Any]:
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _sources(layer: Any) -> list[str]:
    """Names of the layers whose outputs a layer reads."""
    return [tensor.node.layer.name for tensor in _inputs(layer)]


def _shape(tensor: Any) -> tuple[int, ...]:
    """With a batch of one picture."""
    return (1, *(int(side) for side in tensor.shape[1:]))
