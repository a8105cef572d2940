"""A network rebuilt with some of its channels: fewer filters, smaller kernels, the same layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflite_light.graph.copied import cloned, config_of
from tflite_light.graph.tracing import Traced, kind, trace

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Kept = Mapping[str, Sequence[int]]  # convolution or dense layer -> the output channels that stay


def thin(model: Any, kept: Kept) -> Any:
    """A copy of a flat functional model with the named layers' channels alone; others stay whole.

    What is left of every tensor has to be an array again: coupled channels go together, and a
    grouped convolution loses equally many of each group (`coupling.py`). Layers keep names, order
    and weights: with nothing removed, answers are equal to the bit.
    """
    traced = trace(model)
    masks = _Masks(traced, staying(traced, kept))
    thinned = cloned(model, lambda layer: type(layer).from_config(_config(layer, masks)))
    for layer in model.layers:
        thinned.get_layer(layer.name).set_weights(_weights(layer, masks))
    return thinned


def staying(traced: Traced, kept: Kept) -> Mask:
    """A bool for each channel of the network, by the numbers that `trace` gives them."""
    stays = np.ones(traced.count, bool)
    for name, indices in kept.items():
        stays[traced.own[name]] = np.isin(np.arange(len(traced.own[name])), indices)
    return stays


class _Masks:
    """Which elements of the tensors of a layer stay."""

    def __init__(self, traced: Traced, stays: Mask):
        self._traced, self._stays = traced, stays

    def input(self, layer: Any) -> Mask:
        mask: Mask = self._stays[self._traced.inputs[layer.name][0]]
        return mask

    def output(self, layer: Any) -> Mask:
        mask: Mask = self._stays[self._traced.outputs[layer.name]]
        return mask

    def is_whole(self, layer: Any) -> bool:
        around = [*self._traced.inputs[layer.name], self._traced.outputs[layer.name]]
        return all(self._stays[ids].all() for ids in around)


def _config(layer: Any, masks: _Masks) -> dict[str, Any]:
    """A thinned layer loses its constraints: they would scale what is left, or cut it off, in the
    first step; and what its weights began with, which may be arrays of the whole's shapes."""
    config = config_of(layer)
    if masks.is_whole(layer):
        return config
    whole = ("_constraint", "_initializer")
    config = {key: value for key, value in config.items() if not key.endswith(whole)}
    sides = [int(one.sum()) for one in _along(masks.output(layer))]
    if kind(layer) == "Conv2D":
        return config | {"filters": sides[-1]}
    if kind(layer) == "Dense":
        return config | {"units": sides[-1]}
    if kind(layer) == "Reshape":
        return config | {"target_shape": sides}
    if kind(layer) == "Cropping2D":
        return config | {"cropping": _cropping(layer, masks)}
    return config


def _cropping(layer: Any, masks: _Masks) -> list[list[int]]:
    """What stays of the part that is cut away before and after, along height and width."""
    axes = zip(_along(masks.input(layer)), layer.cropping, strict=False)
    return [
        [int(axis[:before].sum()), int(axis[len(axis) - after :].sum())]
        for axis, (before, after) in axes
    ]


def _along(mask: Mask) -> list[Mask]:
    """For each axis, the places of which something stays."""
    lines = [np.moveaxis(mask, axis, 0).reshape(size, -1) for axis, size in enumerate(mask.shape)]
    places = [np.asarray(line.any(axis=1)) for line in lines]
    if np.prod([one.sum() for one in places]) != mask.sum():
        raise ValueError("what stays of a tensor is no array: coupled channels were parted")
    return places


def _weights(layer: Any, masks: _Masks) -> list[Any]:
    """A layer's weights; all but kernels have the output's channels along their last axis, as the
    slopes of a PReLU have, or one for all."""
    weights = layer.get_weights()
    if masks.is_whole(layer):  # whose kernel may have fewer outputs than the layer, as with CReLU
        return list(weights)
    inputs, outputs = (
        mask.reshape(-1, mask.shape[-1])[0] for mask in (masks.input(layer), masks.output(layer))
    )
    if kind(layer) == "Conv2D":
        kernel = _grouped(weights[0], inputs, outputs, layer.groups)
    elif kind(layer) == "Dense":
        kernel = weights[0][inputs][:, outputs]
    elif kind(layer) == "DepthwiseConv2D":
        kernel = weights[0][:, :, inputs]
    else:
        return [one[..., outputs] if one.shape[-1:] == outputs.shape else one for one in weights]
    return [kernel, *(bias[outputs] for bias in weights[1:])]


def _grouped(kernel: Any, inputs: Mask, outputs: Mask, groups: int) -> Any:
    """[height, width, inputs of a group, outputs], by the masks of each group."""
    parts = np.split(kernel, groups, axis=-1)
    masks = zip(np.split(inputs, groups), np.split(outputs, groups), strict=True)
    return np.concatenate(
        [
            part[:, :, rows][..., columns]
            for part, (rows, columns) in zip(parts, masks, strict=True)
        ],
        axis=-1,
    )
