"""A network as TF-MOT's quantisation will see it: what it refuses, and what it leaves unrounded."""

import importlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from tflite_light.graph.kernels import kernels
from tflite_light.graph.uses import shared, uses
from tflite_light.stack import keras

# TF-MOT knows these by their names; at all others it raises without naming a layer.
ACTIVATIONS = ("linear", "relu", "swish", "gelu", "softmax", "sigmoid", "tanh")
_OF_TWO = {"swish"}  # a product and a sigmoid in a file: what is between them stays in float
NORMS = ("BatchNormalization", "SyncBatchNormalization")
NORMALISED = ("Conv2D", "DepthwiseConv2D", "Dense", "SeparableConv2D", "Conv2DTranspose")
OTHERS = ("InputLayer", "Multiply", "SeparableConv2D")  # and what it registers


def refused(model: Any) -> dict[str, str]:
    """Layers that TF-MOT cannot quantise, each with the reason, to be read after its name."""
    known = internal("default_8bit.default_8bit_quantize_registry")
    registry, counts = known.Default8BitQuantizeRegistry(), readers(model)
    reasons = {layer.name: _reason(layer, registry, counts) for layer in model.layers}
    reasons |= {
        name: f"({kind} that is used {count} times)"
        for name, count in shared(model).items()
        if (kind := type(model.get_layer(name)).__name__) in NORMS
    }
    return {name: reason for name, reason in reasons.items() if reason}


def unrounded(wrapped: Any, ignored: Collection[str] = ()) -> list[str]:
    """Layers of a model wrapped by TF-MOT whose kernels it leaves alone, without a word.

    It does so to a convolution or a dense layer that a ReLU follows without batch norm. In the file
    such kernels are rounded all the same, and zeros and equal values are lost.
    """
    inner = [(layer, getattr(layer, "layer", layer)) for layer in wrapped.layers]
    return [
        own.name
        for layer, own in inner
        if kernels(own) and not getattr(layer, "_weight_vars", ()) and own.name not in ignored
    ]


def in_float(wrapped: Any) -> list[str]:
    """Layers of a model wrapped by TF-MOT that its int8 file would compute in float.

    It is converted as it is, untrained: 0.3 s for a small network, 7 s for ShuffleNet v2, half of
    what wrapping it takes. TF-MOT knows kinds of layers that the converter has no integers for, as
    behind a norm, and it says so nowhere.
    """
    from tflite_light.graph.convert import trained
    from tflite_light.tflite.file import File
    from tflite_light.tflite.layers import CASTS, operators

    layers = [layer.name for layer in wrapped.layers]
    found = [one for one in operators(File(trained(wrapped, "int8")), layers) if one.is_float]
    alone = [one for one in found if one.kind not in CASTS]
    named = {name for one in alone for name in one.layers or one.outputs}
    return [name.removeprefix("quant_") for name in layers if name in named] or sorted(named)


def readers(model: Any) -> Counter[str]:
    """How many layers of a model read each of its layers."""
    return Counter(parent.layer.name for node in uses(model) for parent in node.parent_nodes)


def _reason(layer: Any, registry: Any, counts: Counter[str]) -> str:
    kind = type(layer).__name__
    if kind in NORMS:
        return (
            ""
            if is_alone_behind_linear(layer, counts)
            else f"({kind} that is not alone behind a linear layer)"
        )
    if kind not in OTHERS and not registry.supports(layer):
        return f"({kind})"
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    known = {*ACTIVATIONS, "relu6"} if kind == "Activation" else {*ACTIVATIONS} - _OF_TWO
    return "" if activation in known else f"({kind} with {activation})"


def is_alone_behind_linear(
    norm: Any, counts: Mapping[str, int], kinds: Collection[str] = NORMALISED
) -> bool:
    before = norm.input.node.layer
    linear = getattr(before, "activation", None) in (None, keras.activations.linear)
    return type(before).__name__ in kinds and linear and counts[before.name] == 1


def internal(name: str) -> Any:
    """A module of TF-MOT's that its public API leaves out."""
    package = "tensorflow_model_optimization.python.core.quantization.keras"
    return importlib.import_module(f"{package}.{name}")
