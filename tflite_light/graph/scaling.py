"""What the converter makes of kernels: what it multiplies them by, and how often it keeps them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from typing import Any, Literal

import numpy as np

from tflite_light.errors import Unmade, UserError
from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.copied import copied
from tflite_light.graph.kernels import kernels, kernels_among
from tflite_light.graph.uses import shared, uses
from tflite_light.stack import keras, tf
from tflite_light.tflite.file import File
from tflite_light.tflite.graph import Weight

Scaled = Literal["whole", "outputs", "otherwise"]
_ONES = 0.75  # of a probe's weights


def scaled(model: Any, names: Sequence[str], stage: str) -> dict[str, Scaled]:
    """How the kernels of the named layers are multiplied: as a `whole`, by one number or none; by
    numbers of their `outputs`; or `otherwise`, so that equal weights become unequal, or the file
    has them not at all.

    The converter's rules are many, so it is asked: a copy is converted in which these kernels are
    zeros and ones at random places, by which they are known in the file, and all other weights
    random numbers, as a batch norm that begins with ones would multiply nothing.
    Raises UserError, of the `stage` that asks, where the network has no file.
    """
    _, named = _converted(model, names, stage)
    return {name: _scaled(found) for name, found in named.items()}


def counted(model: Any, names: Sequence[str], stage: str) -> tuple[int, int]:
    """How many weights a file multiplies by, and how many of them are kernels of the named layers;
    these are counted once, others as often as the file may have them.

    Where layers are used several times, or functions and layers of one's own may have constants,
    or weights by other names, the converter is asked as by `scaled`.
    """
    layers = [model, *model.submodules]
    known = {id(one): one for layer in layers for one in kernels(layer)}
    ours = {id(kernel := model.get_layer(name).kernel): kernel for name in names}
    if not _odd(model, set(known)):
        others = sum(prod(one.shape) for key, one in known.items() if key not in ours)
        within = sum(_once(ours, {id(one) for one in model.trainable_weights}))
        return others + within, within
    every, named = _converted(model, names, stage)
    within = sum(prod(model.get_layer(name).kernel.shape) for name, found in named.items() if found)
    others = _size(every) - sum(map(_size, named.values()))
    return others + within, within


def _once(kernels_: Mapping[int, Any], learnt: Collection[int]) -> Iterable[int]:
    """The sizes of kernels; equal ones that are held may be one in the file, which counts least."""
    return {
        key if key in learnt else one.numpy().tobytes(): prod(one.shape)
        for key, one in kernels_.items()
    }.values()


def _size(weights: Sequence[Weight]) -> int:
    return sum(one.values.size for one in weights)


def _odd(model: Any, known: set[int]) -> bool:
    """Whether a file may have other weights than these kernels, each once."""
    own = [
        layer
        for layer in model.layers
        if not type(layer).__module__.startswith("tf_keras.") or type(layer) is keras.layers.Lambda
    ]
    constants = [
        one
        for node in uses(model)
        for one in tf.nest.flatten((node.call_args, node.call_kwargs))
        if isinstance(one, np.ndarray | tf.Tensor | tf.Variable) and len(one.shape) > 1
    ]
    others = {id(one) for one in kernels_among(model.weights, model)} - known
    return bool(shared(model) or own or constants or others)


def _converted(
    model: Any, names: Sequence[str], stage: str
) -> tuple[list[Weight], dict[str, list[Weight]]]:
    """All weights of a probe's file, and those of each named layer."""
    probe, draw = copied(model), np.random.default_rng(0)
    for variable in probe.weights:
        if variable.dtype.is_floating:
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
    for name in names:
        kernel = probe.get_layer(name).kernel
        kernel.assign(draw.random(kernel.shape) < _ONES)
    try:
        content = convert(converter_for(probe))
    except Unmade as error:
        raise UserError(
            f"compress.{stage}: {error.problem}",
            "Build the network without such layers: it can have no file, in which the stage sees "
            "what becomes of the kernels.",
        ) from error
    every, found = [*File(content).weights()], defaultdict(list)
    for weight in every:
        found[_places(weight.values)].append(weight)
    ours = {name: _as_stored(probe.get_layer(name)) for name in names}
    return every, {name: found[_places(kernel)] for name, kernel in ours.items()}


def _as_stored(layer: Any) -> Any:
    """A kernel with its output channels first."""
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    return np.moveaxis(layer.kernel.numpy(), -2 if transposed else -1, 0)


def _places(kernel: Any) -> tuple[int, bytes]:
    """Where a kernel whose output channels come first is not zero."""
    return len(kernel), (kernel != 0).tobytes()


def _scaled(weights: Sequence[Weight]) -> Scaled:
    """Of a kernel that the file has once, or for each use of its layer; 0 is one of two values."""
    if not weights or any(one.distinct_by_channel > 2 for one in weights):
        return "otherwise"
    return "outputs" if any(one.distinct > 2 for one in weights) else "whole"
