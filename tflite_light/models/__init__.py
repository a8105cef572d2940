"""Networks.

A new architecture is one file here with one public class derived from `Architecture`: a docstring
with its source and table, and `logits`. Every layer must be one that TF-MOT quantises and a
phone's delegate takes: Conv/DepthwiseConv -> BatchNormalization -> ReLU or ReLU(6), rank at most 4,
no Lambda.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tflite_light.errors import UserError
from tflite_light.parts import Part
from tflite_light.stack import keras

_SQUASHING = ("softmax", "softmax_v2", "sigmoid", "hard_sigmoid")  # tf.nn.softmax is the second
Names = dict[str, str]  # this project's layer -> a reference implementation's


@dataclass(frozen=True)
class Published:
    """A variant in the literature: its fields, the side of its pictures in pixels, and the float
    top-1 on ImageNet (None: no figure) with its source.

    The tests hold a network to its reference implementation's counts with 1000 classes, where they
    are given: parameters are those that are trained, multiply-adds those of convolutions and dense
    layers, by the side of the pictures.
    """

    fields: dict[str, Any]
    size: int
    top1: float | None
    source: str
    parameters: int | None = None
    multiply_adds: Mapping[int, int] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        """The fields in words: `alpha 0.5 groups 3`."""
        return " ".join(f"{name} {value}" for name, value in self.fields.items()) or "default"


def by_width_and_size(
    top1: Mapping[float, Sequence[float]],
    sizes: Sequence[int],
    source: str,
    parameters: Mapping[float, int],
    multiply_adds: Mapping[float, Sequence[int]],
) -> list[Published]:
    """A table of the literature: a row for each alpha, in it a figure a size, as far as it goes."""
    costs = {alpha: dict(zip(sizes, row, strict=False)) for alpha, row in multiply_adds.items()}
    return [
        Published(
            {"alpha": alpha}, size, figure, source, parameters[alpha], {size: costs[alpha][size]}
        )
        for alpha, row in top1.items()
        for size, figure in zip(sizes, row, strict=False)
    ]


class Architecture(Part):
    """Builds a flat functional graph from an image to logits."""

    brings_weights: ClassVar[bool] = False  # or they are drawn from the seed

    def build(self, image_shape: tuple[int, int, int], classes: int) -> Any:
        """A Keras model, float32 [batch, *image_shape] -> logits [batch, classes].

        Raises UserError where `logits` gives no tensor.
        """
        inputs = keras.layers.Input(image_shape, name="image")
        answers = self.logits(inputs, classes)
        if not isinstance(answers, type(inputs)):
            raise UserError(
                f"{self.where}: `logits` gives {type(answers).__name__}, not a tensor of Keras.",
                "End it with `return` and the tensor that its last layer gives.",
            )
        return keras.Model(inputs, answers, name=self.key)

    @property
    def where(self) -> str:
        """What its mistakes are named after: its file, if it is outside the package, or its key."""
        return str(self.file.path) if self.file else self.key

    @classmethod
    def published(cls) -> list[Published]:
        """The variants that `docs/networks.md` shows, with 1000 classes."""
        return [Published({}, 224, None, "")]

    def digests(self) -> dict[str, str]:
        """SHA-256, in hex, of each file that it is built from, by name: a run that was begun with
        others is refused."""
        return {}

    @abstractmethod
    def logits(self, image: Any, classes: int) -> Any:
        """The network itself, tensor to tensor, up to its logits."""

    def references(self) -> dict[str, Names]:
        """For each reference implementation whose weights fit: what it calls each layer here that
        has weights, perhaps also layers that other variants have.

        `keras` names layers as `tf_keras.applications` does; all others are PyTorch's.
        """
        return {}

    def translate(self, layer: str, weights: dict[str, Any]) -> dict[str, Any]:
        """A layer's weights from a reference implementation, by Keras' names, where they mean
        something else.
        """
        return weights


def squashing(model: Any, means: bool = True) -> Any:
    """The use of a layer, as Keras' node, that makes probabilities of a network's logits; None
    where it ends in logits.

    Layers behind it that only move values are looked through; so are those that take `means`.
    """
    node = model.outputs[0].node
    while activation(node.layer) not in _SQUASHING:
        if isinstance(node.layer, keras.Model):
            return squashing(node.layer, means)
        if not _only_moves(node.layer, means) or len(node.parent_nodes) != 1:
            return None
        node = node.parent_nodes[0]
    return node


def classifier(model: Any) -> list[str]:
    """The layers that make logits of features: the last one with a kernel, and what has weights
    behind it. [] where several layers' outputs are joined to logits.
    """
    node, found = model.outputs[0].node, []
    while len(node.parent_nodes) == 1:
        if node.layer.weights:
            found.append(node.layer.name)
        if any(weight.shape.rank > 1 for weight in node.layer.weights):
            return found
        node = node.parent_nodes[0]
    return []


def activation(layer: Any) -> str:
    """The name of its activation, or of the function that it is; or nothing."""
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    symbol = getattr(layer, "symbol", None)  # of a function of TensorFlow's, such as nn.softmax
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return str(symbol).rpartition(".")[2] if symbol else str(name)


def _only_moves(layer: Any, means: bool) -> bool:
    layers = keras.layers
    kinds = [layers.Flatten, layers.Reshape, layers.Dropout]
    kinds += [layers.GlobalAveragePooling2D, layers.AveragePooling2D] if means else []
    linear = isinstance(layer, layers.Activation) and activation(layer) == "linear"
    return isinstance(layer, tuple(kinds)) or linear
