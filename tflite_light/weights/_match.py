"""Fitting named arrays to a network, layer by layer; nothing is skipped silently."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.models import CLASSIFIER, Architecture, Names
from tflite_light.weights import Arrays

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
SHOWN = 10  # lines of mistakes
Mistake = tuple[str, str, str]  # kind, name in the file, shapes


def assign_weights(
    model: Any, architecture: Architecture, arrays: Arrays, codes: dict[str, Names], source: str
) -> list[str]:
    """Assign `arrays`, by the names of whichever of `codes` knows most of them.

    A classifier for another number of classes is left as it is, and said so. Raises UserError.
    """
    if not codes:
        raise UserError(
            f"weights {source}: no other code's names are known for {architecture.key} with these "
            f"fields. {_ADVICE}"
        )
    found = {name: array for name, array in arrays.items() if "num_batches_tracked" not in name}
    strange = [name for name, array in found.items() if array.dtype.kind not in "fiu"]
    if strange:
        raise UserError(
            f"weights {source}: {strange[0]} holds {found[strange[0]].dtype}, not numbers. Save "
            "the weights as float32."
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite then
        found = {name: array.astype(np.float32) for name, array in found.items()}
    if beyond := checkpoint.non_finite(found):
        raise UserError(f"weights {source}: {beyond[0]} holds NaN or infinity. Fetch them again.")
    plans = [_Plan(model, architecture, found, *code) for code in codes.items()]
    plan = min(plans, key=lambda plan: len(plan.mistakes))
    if found and not plan.used:
        raise UserError(
            f"weights {source} are of another network or code: none of their names "
            f"({', '.join(list(found)[:3])} ...) is one that {architecture.key} with these fields "
            f"has in {' or '.join(_whose(code) for code in codes)} names. {_ADVICE}"
        )
    if plan.mistakes:
        lines = _grouped(plan.mistakes)
        more = [f"and {len(lines) - SHOWN} more such lines"] if len(lines) > SHOWN else []
        raise UserError("\n  ".join([_headline(plan, source), *lines[:SHOWN], *more, _ADVICE]))
    for variable, value in plan.values:
        variable.assign(value)
    return plan.remarks


_ADVICE = (
    "Compare the model and its fields (alpha, variant, version ...) with what the file was made "
    "for."
)


class _Plan:
    """What one code's names make of the arrays."""

    def __init__(
        self, model: Any, architecture: Architecture, arrays: Arrays, code: str, names: Names
    ):
        self.code = code
        self.values: list[tuple[Any, Any]] = []
        self.mistakes: list[Mistake] = []
        self.remarks: list[str] = []
        self._arrays = arrays
        self.used = set[str]()
        for layer in model.layers:
            if layer.weights:
                self._layer(layer, architecture, names.get(layer.name, layer.name))
        unexpected = sorted(set(arrays) - self.used)
        self.mistakes += [("unexpected", name, str(arrays[name].shape)) for name in unexpected]

    def _layer(self, layer: Any, architecture: Architecture, theirs: str) -> None:
        variables = {_short(variable): variable for variable in layer.weights}
        found = {short: self._find(layer, theirs, short, variables[short]) for short in variables}
        known = {
            short: self._laid_out(array, variables[short], short)
            for short, (_, array) in found.items()
            if array is not None
        }
        wrong = [short for short in known if known[short].shape != tuple(variables[short].shape)]
        if wrong and layer.name.startswith(CLASSIFIER) and _other_classes(known, variables):
            self.remarks.append(_head_remark(known, variables))
            return
        for short in wrong:
            name, array = found[short]
            model = self._their_shape(variables[short], short)
            self.mistakes.append(
                ("shape", name, f"{array.shape} in the file, {model} in the model")
            )
        if len(known) == len(variables) and not wrong and not self._keras:
            known = architecture.translate(layer.name, known)
        self.values += [(variables[short], value) for short, value in known.items()]

    @property
    def _keras(self) -> bool:
        return self.code in ("own", "keras")

    def _find(self, layer: Any, theirs: str, short: str, variable: Any) -> tuple[str, Any]:
        """The name and the array of one variable; None, and a mistake, where there is none."""
        candidates = (
            [f"{theirs}/{name}" for name in KERAS_NAMES.get(short, (short,))]
            if self._keras
            else [f"{theirs}.{TORCH_NAMES[short]}"]
        )
        for name in candidates:
            if name in self._arrays:
                self.used.add(name)
                return name, self._arrays[name]
        if self._keras and short in FOLDED and self._has_beta_alone(theirs):
            return candidates[0], _folded(layer, variable, short)
        self.mistakes.append(("missing", candidates[0], str(self._their_shape(variable, short))))
        return candidates[0], None

    def _has_beta_alone(self, theirs: str) -> bool:
        others = any(f"{theirs}/{short}" in self._arrays for short in FOLDED)
        return f"{theirs}/beta" in self._arrays and not others

    def _laid_out(self, array: Any, variable: Any, short: str) -> Any:
        return _reshaped(array, variable) if self._keras else _transposed(array, variable, short)

    def _their_shape(self, variable: Any, short: str) -> tuple[int, ...]:
        """A variable's shape in the layout of the file."""
        shape = tuple(variable.shape)
        if self._keras or len(shape) < 2:
            return shape
        if short == "depthwise_kernel":
            return shape[2] * shape[3], 1, *shape[:2]
        return *shape[:-3:-1], *shape[:-2]


def _headline(plan: _Plan, source: str) -> str:
    count = len(plan.mistakes)
    return f"weights {source} do not fit, read by {_whose(plan.code)} names: {count} differences"


def _whose(code: str) -> str:
    return "this project's" if code == "own" else f"{code}'s"


def _grouped(mistakes: list[Mistake]) -> list[str]:
    """One line for those of a layer that are alike."""
    lines: list[str] = []
    for (kind, stem, detail), same in itertools.groupby(mistakes, _likeness):
        leaves = [name[len(stem) :] for _, name, _ in same]
        names = leaves[0] if len(leaves) == 1 else f"{{{', '.join(leaves)}}}"
        lines.append(f"{kind}: {stem}{names} {detail}")
    return lines


def _likeness(mistake: Mistake) -> Mistake:
    kind, name, detail = mistake
    return kind, name[: max(name.rfind("."), name.rfind("/")) + 1], detail


def _short(variable: Any) -> str:
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


def _other_classes(known: Arrays, variables: dict[str, Any]) -> bool:
    """Whether the arrays are a classifier of the same inputs and another number of classes."""
    theirs = known["kernel"].shape if "kernel" in known else ()
    ours = tuple(variables["kernel"].shape)
    return bool(np.prod(theirs[:-1]) == np.prod(ours[:-1]) and theirs[-1:] != ours[-1:])


def _head_remark(known: Arrays, variables: dict[str, Any]) -> str:
    theirs, ours = known["kernel"].shape[-1], variables["kernel"].shape[-1]
    return f"weights are for {theirs} classes, the model has {ours}: the classifier starts anew"


def describe(path: str) -> Path:
    """The file as a path. Raises UserError when it is not there."""
    if not Path(path).is_file():
        raise UserError(f"weights {path} do not exist. Give the path of a file.")
    return Path(path)
