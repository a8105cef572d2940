"""Layers split in two of a lower rank: dense ones and 1x1 convolutions by a plain product, n x n
convolutions into n x 1 and 1 x n (Jaderberg et al. 2014, arXiv 1405.3866).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.graph.copied import config_of, network_config, of_config
from tflite_light.graph.naming import free
from tflite_light.stack import tf

Array = np.ndarray[Any, Any]
HALF = "_rank"  # what the first half's name has behind the layer's


@dataclass(frozen=True)
class Splittable:
    """A convolution or a dense layer, as the matrix that both halves multiply to."""

    layer: Any

    @property
    def matrix(self) -> Array:
        """[height x inputs, width x outputs]; for a dense layer, [inputs, outputs]."""
        kernel = self.layer.kernel.numpy().astype(np.float64)
        if kernel.ndim == 2:
            return np.asarray(kernel)
        height, width, inputs, outputs = kernel.shape
        return np.asarray(kernel.transpose(0, 2, 1, 3).reshape(height * inputs, width * outputs))

    @property
    def inputs(self) -> int:
        """Rows of the matrix."""
        shape = self.layer.kernel.shape
        return int(np.prod(shape[:-3]) * shape[-2])

    @property
    def most(self) -> int:
        """The rank at which nothing is lost, as a rule."""
        shape = self.layer.kernel.shape
        return int(min(self.inputs, np.prod(shape[1:-2]) * shape[-1]))

    def multiply_adds(self, rank: int | None = None) -> int:
        """Of the layer, or of its two halves."""
        shape, (first, second) = self.layer.kernel.shape, self._positions()
        if rank is None:
            return int(np.prod(shape)) * second
        if len(shape) == 2:
            return int(rank * (shape[0] + shape[1]) * first)
        height, width, inputs, outputs = shape
        return int(rank * (height * inputs * first + width * outputs * second))

    def factors(self, covariance: Array | None = None) -> tuple[Array, Array, Array]:
        """The first half's matrix and the second's, best directions first, and the share of the
        output's variance that is lost by the first 0, 1, 2 ... of them.

        The directions are the principal components of the layer's output for inputs of this
        covariance; without one, of equally strong and unrelated inputs, which is plain SVD.
        """
        matrix = self.matrix
        rows, columns = matrix.shape
        if columns <= rows:
            weighed = matrix.T @ (matrix if covariance is None else covariance @ matrix)
            strengths, directions = _components(weighed)
        else:  # of the smaller side: eigenvectors cost the cube of it
            outputs = matrix if covariance is None else _root(covariance) @ matrix
            strengths, sources = _components(outputs @ outputs.T)
            directions = outputs.T @ sources
            directions /= np.linalg.norm(directions, axis=0).clip(1e-30)
        lost = 1 - np.cumsum([0.0, *strengths]) / max(strengths.sum(), 1e-30)
        return matrix @ directions, directions.T, lost.clip(0)

    def patches(self, inputs: Any) -> Any:
        """What each row of the matrix is multiplied by: [positions, height x inputs]."""
        if len(self.layer.kernel.shape) == 2:
            return tf.reshape(inputs, [-1, inputs.shape[-1]])
        height = self.layer.kernel_size[0]
        strides = self._strides()[0]
        found = tf.image.extract_patches(
            inputs, (1, height, 1, 1), (1, *strides, 1), (1, 1, 1, 1), self.layer.padding.upper()
        )
        return tf.reshape(found, [-1, found.shape[-1]])

    def configs(self, rank: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of the first half, which has neither bias nor activation, and of the second.

        What a constraint asks of a kernel, such as to be positive, is not so of its halves, and it
        would make it so in the first step.
        """
        config = config_of(self.layer) | {
            "kernel_constraint": None,
            "kernel_initializer": "zeros",
        }
        plain = {"use_bias": False, "activation": "linear"}
        if "units" in config:
            return {**config, **plain, "units": rank}, config
        (height, width), (first, second) = config["kernel_size"], self._strides()
        halves = {"kernel_size": (height, 1), "strides": first}, {"kernel_size": (1, width)}
        return (
            {**config, **plain, **halves[0], "filters": rank},
            {**config, **halves[1], "strides": second},
        )

    def kernel(self, matrix: Array) -> Array:
        """The layer's kernel of this matrix."""
        if len(self.layer.kernel.shape) == 2:
            return matrix
        height, width, inputs, outputs = self.layer.kernel.shape
        return matrix.reshape(height, inputs, width, outputs).transpose(0, 2, 1, 3)

    def kernels(self, first: Array, second: Array) -> tuple[Array, Array]:
        """Both halves' kernels, of their matrices' first columns and rows."""
        shape, rank = self.layer.kernel.shape, first.shape[1]
        if len(shape) == 2:
            return first, second
        height, width, inputs, outputs = shape
        across = second.reshape(rank, width, outputs).transpose(1, 0, 2)
        return first.reshape(height, 1, inputs, rank), across[None]

    def _strides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Both halves'; the first of a convolution that is one wide takes them all."""
        down, across = self.layer.strides
        if self.layer.kernel_size[1] == 1:
            return (down, across), (1, 1)
        return (down, 1), (1, across)

    def _positions(self) -> tuple[int, int]:
        """At which the first half and the second are computed."""
        if len(self.layer.kernel.shape) == 2:  # of more than two axes it is computed at places, too
            return (places := math.prod(self.layer.output.shape[1:-1])), places
        rows, columns = self.layer.output.shape[1:3]
        return rows * (
            columns if self.layer.kernel_size[1] == 1 else self._columns()
        ), rows * columns

    def _columns(self) -> int:
        return int(self.layer.input.shape[2])


def _components(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors, in columns, the largest first."""
    values, vectors = np.linalg.eigh(gram)
    return values[::-1].clip(0), vectors[:, ::-1]


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T)


def split(model: Any, ranks: Mapping[str, int]) -> Any:
    """A flat functional model whose named layers are two each; their kernels are still to be set.

    All other layers keep their names, their order and their weights. The first of two, which has
    the rank's width, is called after the layer, and the second as it.
    """
    config = network_config(model)
    layers, taken = [], {layer.name for layer in model.layers}
    for entry in config["layers"]:
        if entry["name"] in ranks:
            first, second = Splittable(model.get_layer(entry["name"])).configs(ranks[entry["name"]])
            name = free(f"{entry['name']}{HALF}", taken)
            layers.append({**entry, "name": name, "config": {**first, "name": name}})
            entry = {**entry, "config": second, "inbound_nodes": [[[name, 0, 0, {}]]]}
        layers.append(entry)
    result = of_config(model, {**config, "layers": layers})
    for layer in model.layers:
        if layer.name in ranks:
            if layer.use_bias:
                result.get_layer(layer.name).bias.assign(layer.bias)
        else:
            result.get_layer(layer.name).set_weights(layer.get_weights())
    return result
