"""Which array of a file is which variable of a network, by one reference implementation's names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.classes import plain
from tflite_light.models import Architecture, Names, classifier
from tflite_light.weights import Arrays
from tflite_light.wording import some

KERAS_NAMES = {"kernel": ("kernel", "pointwise_kernel")}  # the latter in separable convolutions
TORCH_NAMES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
FOLDED = ("gamma", "moving_mean", "moving_variance")  # absent where batch norm was folded
Mistake = tuple[str, str, str]  # kind, name in the file, shapes


@dataclass(frozen=True)
class Classes:
    """What the logits stand for, in the file and in the model; None where it is not known."""

    theirs: Sequence[str] | None
    ours: Sequence[str] | None

    @property
    def differ(self) -> bool:
        if self.theirs is None or self.ours is None:
            return False
        return _one_form(self.theirs).keys() != _one_form(self.ours).keys()

    @property
    def order(self) -> list[int] | None:
        """The place there of each of the model's classes; None where they are in the same order."""
        if self.theirs is None or self.ours is None or self.differ:
            return None
        places = _one_form(self.theirs)
        order = [places[name] for name in _one_form(self.ours)]
        return order if order != list(range(len(order))) else None


def _one_form(names: Sequence[str]) -> dict[str, int]:
    """Places of class names, by their names in one form of Unicode."""
    return {plain(name): place for place, name in enumerate(names)}


class Plan:
    """What the names of one reference implementation make of the arrays."""

    def __init__(
        self,
        model: Any,
        architecture: Architecture,
        arrays: Arrays,
        reference: str,
        names: Names,
        classes: Classes,
    ):
        self.reference, self._classes = reference, classes
        self.values: list[tuple[Any, Any]] = []
        self.mistakes: list[Mistake] = []
        self.other_classes = ""  # where the classifier is not taken over: why
        self._arrays, self._classifier = arrays, classifier(model)
        self.used = set[str]()
        for layer in model.layers:
            if layer.weights:
                self._layer(layer, architecture, names.get(layer.name, layer.name))
        unexpected = sorted(n for n in arrays if n not in self.used and not is_counter(arrays[n]))
        self.mistakes += [("unexpected", name, str(arrays[name].shape)) for name in unexpected]

    def _layer(self, layer: Any, architecture: Architecture, theirs: str) -> None:
        variables = by_short_name(layer)
        found = {short: self._find(layer, theirs, short, variables[short]) for short in variables}
        known = {
            short: self._laid_out(array, variables[short], short)
            for short, (_, array) in found.items()
            if array is not None
        }
        wrong = [short for short in known if known[short].shape != tuple(variables[short].shape)]
        if layer.name in self._classifier:
            if _same_inputs(known, variables):
                counts = known["kernel"].shape[-1], variables["kernel"].shape[-1]
                if counts[0] != counts[1] or self._classes.differ:
                    self.other_classes = self._difference(*counts)
            if self.other_classes:
                return
            if self._classes.order and not wrong:
                known = {short: value[..., self._classes.order] for short, value in known.items()}
        for short in wrong:
            name, array = found[short]
            shape = self._their_shape(variables[short], short)
            self.mistakes.append(
                ("shape", name, f"{array.shape} in the file, {shape} in the model")
            )
        if len(known) == len(variables) and not wrong and not is_keras(self.reference):
            known = architecture.translate(layer.name, known)
        self.values += [(variables[short], value) for short, value in known.items()]

    def _difference(self, theirs: int, ours: int) -> str:
        if theirs != ours or self._classes.theirs is None or self._classes.ours is None:
            return f"weights are for {theirs} classes, the model has {ours}"
        return (
            f"weights are for the classes {some(self._classes.theirs, 3)}, the model has "
            f"{some(self._classes.ours, 3)}"
        )

    def _find(self, layer: Any, theirs: str, short: str, variable: Any) -> tuple[str, Any]:
        """The name and the array of one variable; None, and a mistake, where there is none."""
        names = candidates(self.reference, theirs, short)
        for name in names:
            if name in self._arrays:
                self.used.add(name)
                return name, self._arrays[name]
        if is_keras(self.reference) and short in FOLDED and self._has_beta_alone(theirs):
            return names[0], _folded(layer, variable, short)
        self.mistakes.append(("missing", names[0], str(self._their_shape(variable, short))))
        return names[0], None

    def _has_beta_alone(self, theirs: str) -> bool:
        others = any(f"{theirs}/{short}" in self._arrays for short in FOLDED)
        return f"{theirs}/beta" in self._arrays and not others

    def _laid_out(self, array: Any, variable: Any, short: str) -> Any:
        if is_keras(self.reference):
            return _reshaped(array, variable)
        return _transposed(array, variable, short)

    def _their_shape(self, variable: Any, short: str) -> tuple[int, ...]:
        """A variable's shape in the layout of the file."""
        shape = tuple(variable.shape)
        if is_keras(self.reference) or len(shape) < 2:
            return shape
        if short == "depthwise_kernel":
            return shape[2] * shape[3], 1, *shape[:2]
        return *shape[:-3:-1], *shape[:-2]


def is_counter(array: Any) -> bool:
    """A number alone, such as the steps, averages and operations that trainers count in tensors."""
    return bool(array.size <= 1)


def is_keras(reference: str) -> bool:
    """Whether a reference implementation has Keras' names and layout; all others PyTorch's."""
    return reference in ("own", "keras")


def candidates(reference: str, layer: str, short: str) -> list[str]:
    """What a layer's variable may be called in a file."""
    if is_keras(reference):
        return [f"{layer}/{name}" for name in KERAS_NAMES.get(short, (short,))]
    return [f"{layer}.{TORCH_NAMES.get(short, short)}"]


def expected(model: Any, reference: str, names: Names) -> set[str]:
    """Every name that a network's weights may have in a file."""
    return {
        name
        for layer in model.layers
        for short in by_short_name(layer)
        for name in candidates(reference, names.get(layer.name, layer.name), short)
    }


def by_short_name(layer: Any) -> dict[str, Any]:
    """A layer's variables; those of layers that it is made of are `query/kernel` ..."""
    found = {short_name(variable): variable for variable in layer.weights}
    if len(found) == len(layer.weights):
        return found
    names = (one.name.removesuffix(":0").removeprefix(f"{layer.name}/") for one in layer.weights)
    return dict(zip(names, layer.weights, strict=True))


def short_name(variable: Any) -> str:
    """`kernel`, `beta` ..."""
    return str(variable.name.removesuffix(":0").rsplit("/", 1)[-1])


def _folded(layer: Any, variable: Any, short: str) -> Any:
    """The value with which a batch norm only adds its beta."""
    value = {"gamma": np.sqrt(1 + layer.epsilon), "moving_mean": 0.0, "moving_variance": 1.0}[short]
    return np.full(variable.shape, value, np.float32)


def _reshaped(array: Any, variable: Any) -> Any:
    """A 1x1 convolution at one pixel and a dense layer are the same matrix."""
    matrix = [side for side in array.shape if side != 1] == [s for s in variable.shape if s != 1]
    return array.reshape(variable.shape) if matrix else array


def _transposed(array: Any, variable: Any, short: str) -> Any:
    """PyTorch's [out, in, height, width] as Keras' [height, width, in, out]."""
    if short == "depthwise_kernel" and array.ndim == 4:
        height, width, inputs, multiplier = variable.shape
        if array.shape == (inputs * multiplier, 1, height, width):
            return array.reshape(inputs, multiplier, height, width).transpose(2, 3, 0, 1)
    if array.ndim == 4:
        return _reshaped(array.transpose(2, 3, 1, 0), variable)
    return _reshaped(array.T, variable) if array.ndim == 2 else array


def _same_inputs(known: Arrays, variables: dict[str, Any]) -> bool:
    """Whether the arrays are a classifier of the same inputs, whatever its number of classes."""
    theirs = known["kernel"].shape if "kernel" in known else ()  # a batch norm has none
    return bool(theirs and np.prod(theirs[:-1]) == np.prod(variables["kernel"].shape[:-1]))
