"""The operators that a Keras model becomes in a file, with what they cost.

The converter folds a batch norm and a ReLU into the convolution, dense layer or sum before them
where nothing else reads what lies between.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from tflite_light.cost.network import FREE, MULTIPLYING, Network, Operator, Tensor
from tflite_light.errors import UserError
from tflite_light.graph.uses import IDLE, uses
from tflite_light.stack import tf

KINDS = {
    "Conv2D": "conv",
    "Conv2DTranspose": "conv",
    "DepthwiseConv2D": "depthwise",
    "Dense": "dense",
    "BatchNormalization": "norm",
    "Add": "add",
    "Multiply": "multiply",
    "ReLU": "activation",
    "Activation": "activation",
    "PReLU": "activation",  # whose slopes are weights
    "LeakyReLU": "activation",
    "Concatenate": "concat",
    "Cropping2D": "slice",
    "Permute": "transpose",
    "ZeroPadding2D": "pad",
    "MaxPooling2D": "pool",
    "AveragePooling2D": "pool",
    "GlobalAveragePooling2D": "pool",
    "Reshape": FREE,
    "Flatten": FREE,
    **dict.fromkeys(IDLE, FREE),
}


def network(model: Any) -> Network:
    """The operators of a flat functional model, one for each use of a layer, in Keras' order.

    Raises UserError where a layer has weights whose use is not known here.
    """
    groups = _folded([use for use in uses(model) if not use.is_input])
    numbers = {group[-1]: place for place, group in enumerate(groups, start=1)}
    counted: set[str] = set()  # layers whose parameters are among those of earlier rows
    rows = tuple(_operator(group, numbers, counted) for group in groups)
    return Network(rows, _shape(model.input))


def _folded(nodes: Sequence[Any]) -> list[list[Any]]:
    """Uses of layers in groups that become one operator each, which stands where its first does."""
    readers = Counter(parent for use in nodes for parent in use.parent_nodes)
    groups: list[list[Any]] = []
    ends: dict[Any, list[Any]] = {}  # each group by its last use
    for use in nodes:
        source = use.parent_nodes[0]
        if readers[source] == 1 and source in ends and _folds(use.layer, ends[source]):
            group = ends.pop(source)
        else:
            groups.append(group := [])
        group.append(use)
        ends[use] = group
    return groups


def _folds(layer: Any, group: list[Any]) -> bool:
    head, kind = group[0].layer, _kind(layer)
    if _activation(head) not in ("", "linear"):
        return False
    if any(_kind(one.layer) == "activation" for one in group):
        return False
    if kind == "norm":
        return _kind(head) in MULTIPLYING and len(group) == 1
    return _kind(head) in (*MULTIPLYING, "add", "multiply") and _is_relu(layer)


def _is_relu(layer: Any) -> bool:
    """Whether TFLite's operators can end with it."""
    if type(layer).__name__ == "ReLU":
        return layer.max_value in (None, 6.0) and not layer.negative_slope and not layer.threshold
    return type(layer).__name__ == "Activation" and _activation(layer) in ("relu", "relu6")


def _operator(group: list[Any], numbers: dict[Any, int], counted: set[str]) -> Operator:
    layers = [use.layer for use in group]
    head, kind = layers[0], _kind(layers[0])
    inputs = tuple(
        Tensor(numbers.get(source, 0), _shape(tensor))
        for source, tensor in zip(group[0].parent_nodes, group[0].keras_inputs, strict=True)
    )
    made = numbers[group[-1]]
    outputs = tuple(Tensor(made, _shape(one)) for one in tf.nest.flatten(group[-1].outputs))
    trained = {one.name: sum(prod(w.shape) for w in one.trainable_weights) for one in layers}
    parameters = sum(trained[name] for name in trained.keys() - counted)
    counted.update(trained)
    row = Operator(head.name, kind, inputs, outputs, parameters=parameters)
    if kind in MULTIPLYING:
        return _multiplying(row, head, with_norm=any(_kind(layer) == "norm" for layer in layers))
    frozen = any(weight.shape.rank > 1 for weight in head.weights)  # or not: such weights multiply
    if kind not in ("norm", "activation") and (trained[head.name] or frozen):
        raise UserError(
            f"layer {head.name} cannot be counted: what the weights of {type(head).__name__} "
            "multiply is not known.",
            "Write it with layers that tflite_light/cost/of_model.py lists.",
        )
    return replace(row, weights=trained[head.name])


def _multiplying(row: Operator, head: Any, with_norm: bool) -> Operator:
    """The row with what depends on the kernel, whose shape is Keras'."""
    kernel = tuple(head.weights[0].shape)
    weights, channels = prod(kernel), row.output.shape[-1]
    if row.kind == "dense":
        biases = channels if head.use_bias or with_norm else 0
        products = weights * row.output.elements // channels
        return replace(row, weights=weights, biases=biases, multiply_adds=products)
    transposed = type(head).__name__ == "Conv2DTranspose"  # each weight, at each place it reads
    biased = head.use_bias or with_norm or not transposed  # all other convolutions of TFLite's
    return replace(
        row,
        weights=weights,
        biases=channels * biased,
        kernel=kernel[:2],
        groups=head.groups if row.kind == "conv" else row.input_channels,
        multiply_adds=weights * prod((row.inputs[0] if transposed else row.output).shape[:3]),
    )


def _kind(layer: Any) -> str:
    return KINDS.get(type(layer).__name__, "other")


def _activation(layer: Any) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _shape(tensor: Any) -> tuple[int, ...]:
    """With a batch of one picture."""
    return (1, *(int(side) for side in tensor.shape[1:]))
