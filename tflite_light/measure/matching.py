"""The operators of a float file and of an integer one that are the same of a network."""

import itertools
import warnings
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.lowering import Like, Target, lowered
from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.moving import MOVED
from tflite_light.tflite.patches import WEIGHTED

_COMPARED = {*WEIGHTED, "ADD", "MUL", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
# These, too, where the converter did not make others of them in one of the files.
_ALSO = {
    *("BATCH_MATMUL", "CONCATENATION", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM"),
    *("MINIMUM", "PRELU", "RELU", "RELU6", "SOFTMAX", "SUB", "TANH"),
}
_KINDS = (_COMPARED | _ALSO, _COMPARED)
_MOVING = MOVED.keys() - {"RESHAPE"}
_ALIKE = 0.75  # least share of weights that agree; of weights a fifth larger or smaller a third do
_MANY, _ROUNDED = 32, 4  # steps; adaptive rounding moves some by more than two


def matched(float_: bytes, content: bytes) -> tuple[Editor, Editor, list[tuple[Any, Any]]]:
    """Both for reading, the float file rewritten as the other was, and the operators of both that
    are compared, in order.

    Raises UserError where the two are not of the same network.
    """
    after = Editor(content)
    _require_integers(after)
    targets: tuple[Target, ...] = ("any", "cpu")  # those of others are like `any`'s, here
    likes: tuple[Like | None, ...] = ("int8", "dynamic_range", None)  # the last is int16x8's, too
    ways = itertools.product(likes, targets)
    forms = (lowered(float_, target, lambda _: True, like) for like, target in ways)
    *tries, tried = itertools.tee(map(Editor, itertools.chain(forms, [float_])), 3)
    for kinds, befores in zip(_KINDS, tries, strict=True):
        for before in befores:
            same = _forms(before, kinds) == _forms(after, kinds)
            if same and _moved(before) == _moved(after):
                pairs = _pairs(before, after, kinds)
                _require_same_weights(before, after, pairs)
                return before, after, pairs
    known = len(_compared(Editor(float_), _COMPARED))
    mine = _forms(after, _COMPARED)
    alike = max(_common(_forms(before, _COMPARED), mine) for before in tried)
    raise UserError(
        f"the file is not of this network: of its {len(mine)} operators that compute, "
        f"{alike} are like the network's {known}, in order.",
        "Give the run, or the recipe, that the file was exported from.",
    )


def has_integers(editor: Editor) -> bool:
    """Whether any kernel is of int8."""
    return np.int8 in _kernel_types(editor)


def _kernel_types(editor: Editor) -> set[Any]:
    kernels = [one.inputs[1] for one in editor.operators if kind_of(editor, one) in WEIGHTED]
    return {editor.dtype(int(index)) for index in kernels}


def _require_integers(editor: Editor) -> None:
    types = _kernel_types(editor)
    if np.uint8 in types:
        raise UserError(
            "the file's weights are uint8, by the scheme before int8, which is not explained.",
            "Convert the network again, by TensorFlow 2: its files have int8 weights.",
        )
    if np.int8 not in types:
        raise UserError(
            "the file has no int8 weights: nothing in it is rounded that could be explained.",
            "Give an int8, int16x8 or dynamic_range file.",
        )


def output_of(editor: Editor, operator: Any) -> int:
    """What is compared of it: of a ReLU before a padding what is padded, since `lowering/pools.py`
    has a ReLU before a padding that was behind it."""
    made = int(operator.outputs[0])
    readers = editor.readers()[made] if kind_of(editor, operator) == "RELU" else []
    pads = [one for one in readers if one is not None and editor.kind(one) == "PAD"]
    return int(pads[0].outputs[0]) if len(pads) == len(readers) == 1 else made


def kind_of(editor: Editor, operator: Any) -> str:
    """As it was before a rewrite that int8 files alone have: see `lowering/pools.py`, `relu.py`."""
    kind = editor.kind(operator)
    if kind == "ADD" and any(editor.name(int(one)).endswith("/zero") for one in operator.inputs):
        return "RELU"
    if kind == "DEPTHWISE_CONV_2D" and editor.name(int(operator.inputs[1])).endswith("/ones"):
        return "AVERAGE_POOL_2D"
    return kind


def _forms(editor: Editor, kinds: set[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Kinds and shapes, dense layers as the 1x1 convolutions that a rewrite makes of them."""
    found = []
    for one in _compared(editor, kinds):
        kind, shape = kind_of(editor, one), editor.shape(output_of(editor, one))
        flat = (shape[0], shape[-1]) if shape[1:-1] == (1, 1) else shape
        found.append(("CONV_2D" if kind == "FULLY_CONNECTED" else kind, flat))
    return found


def _compared(editor: Editor, kinds: set[str]) -> list[Any]:
    return [one for one in editor.operators if kind_of(editor, one) in kinds]


def _moved(editor: Editor) -> list[str]:
    """What moves channels: where that is alike, so is their order."""
    kinds = [editor.kind(one) for one in editor.operators]
    return [kind for kind in kinds if kind in _MOVING]


def _common(one: list[Any], other: list[Any]) -> int:
    found = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        found += 1
    return found


def _pairs(before: Editor, after: Editor, kinds: set[str]) -> list[tuple[Any, Any]]:
    return list(zip(_compared(before, kinds), _compared(after, kinds), strict=True))


def _require_same_weights(before: Editor, after: Editor, pairs: list[tuple[Any, Any]]) -> None:
    shares = []
    for old, new in pairs:
        if kind_of(before, old) in WEIGHTED:
            real, made = before.weight(old, 1), after.weight(new, 1)
            if real is not None and made is not None and real.size == made.size:
                shares.append(_kept(real.reshape(made.shape), made))
    share = float(np.median(shares)) if shares else 1.0
    if share < _ALIKE:
        raise UserError(
            f"the file has other weights than this network: {share:.2f} of them agree.",
            "Give the run, or the recipe, that the file was exported from.",
        )


def _kept(real: Array, steps: Array) -> float:
    """The share of weights that rounding alone parts, whatever channels were multiplied by.

    Those of many steps tell. Of few steps, as with `weight_bits: 4`, signs have to do.
    """
    alike = np.sign(real) * np.sign(steps)
    many = (np.abs(steps) >= _MANY) & (alike > 0)
    signs = float((alike[alike != 0] > 0).mean()) if alike.any() else 1.0
    if not many.any():
        return signs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # channels without any
        ratios = np.log(np.divide(real, steps, where=many, out=np.full(real.shape, np.nan)))
        for axis in (0, -1) * 2:
            others = tuple(np.delete(np.arange(ratios.ndim), axis))
            ratios -= np.nanmedian(ratios, axis=others, keepdims=True)
    off = np.abs(np.expm1(ratios[many]) * steps[many])
    return min(signs, float((off <= _ROUNDED).mean()))
