"""A contract for a file of another tool, made of what its standard metadata say.

They know nothing of how a picture is cut out and resized: MediaPipe stretches the whole of it,
bilinearly, and so it is done here.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tflite_light import contract
from tflite_light.classes import printable
from tflite_light.contract import Contract, Tensor
from tflite_light.contract.image import AS_WRITTEN
from tflite_light.errors import Unmade, UserError
from tflite_light.measure import stated
from tflite_light.measure.runners import TFLiteModel
from tflite_light.progress import say
from tflite_light.tflite.ends import dequantise
from tflite_light.tflite.file import File
from tflite_light.tflite.graph import Graph
from tflite_light.tflite.metadata import Found
from tflite_light.tflite.moving import MOVED
from tflite_light.tflite.storage import integers
from tflite_light.wording import count

_WRITER = (
    "Add it by the metadata writer of MediaPipe or tflite-support, or export the model by "
    "tflite-light."
)
_CHANCES = ("SOFTMAX", "LOGISTIC")  # what makes probabilities
_SAME = {"DEQUANTIZE", "QUANTIZE", "SQUEEZE", *MOVED}  # what leaves values as they are


def contract_of(path: Path, file: File, model: TFLiteModel) -> Contract:
    """What is to be done with a file that has no contract; what had to be assumed goes to stderr.

    Raises UserError where its metadata lack the labels or the normalisation, or its input is not
    one picture.
    """
    found = stated.read(path, file.content)
    if found is None:
        raise _lacking(path, "It has no standard metadata, with labels and normalisation, either")
    size = _size(path, model.input)
    try:
        agreed = _contract(path, found, file, model, size)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} cannot be used, {place}: {first['msg']}.", _WRITER) from error
    say(
        f"{path} has no contract: its metadata are used, and pictures are stretched to "
        f"{size} x {size}, as MediaPipe does"
    )
    return agreed


def gives_chances(graph: Graph) -> bool:
    """Whether a graph's first output is made by a softmax or a sigmoid."""
    makers = {
        integers(record.outputs)[0]: (op, integers(record.inputs))
        for op, record in graph.operators
        if integers(record.outputs)
    }
    index = graph.outputs[0]
    for _ in range(len(makers)):
        op, inputs = makers.get(index, ("", []))
        if op not in _SAME or not inputs:
            return op in _CHANCES
        index = next((one for one in inputs if not graph.is_constant(one)), -1)
    return False


def _add_up(model: TFLiteModel) -> bool:
    """Whether its answers add up to 1 on noise: probabilities, whatever makes them."""
    draw, shape = np.random.default_rng(0), (4, *model.input.shape[1:])
    noise = draw.uniform(-1, 1, shape).astype(np.float32)
    if model.input.dtype != "float32":
        kind = np.iinfo(model.input.dtype)
        noise = draw.integers(kind.min, kind.max + 1, shape, kind.dtype)
    try:
        raw = [model.answer(one) for one in noise]
    except Unmade:
        return False  # which whoever asks it next is told
    answers = dequantise(np.stack(raw), model.output)
    off = min(1e-3 + answers.shape[-1] * (model.output.scale or 0) / 2, 0.5)
    return bool(answers.min() >= 0 and np.abs(answers.sum(axis=-1) - 1).max() <= off)


def _contract(path: Path, found: Found, file: File, model: TFLiteModel, size: int) -> Contract:
    mean, std = _normalisation(path, found, model.input)
    chances = gives_chances(file.graphs[0]) or _add_up(model)
    image = {"size": size, "resize": "stretch", "mean": mean, "std": std}
    fields = {
        "model": path.stem,
        "image": image,
        "labels": _labels(path, found, file.content, model.output),
        "input": model.input,
        "output": model.output,
        "output_is": "probabilities" if chances else "logits",
    }
    given = (mean, std) == _pixel(model.input)  # and no mean or std that anybody has written
    return Contract.model_validate(fields, context=AS_WRITTEN if given else None)


def _size(path: Path, input_: Tensor) -> int:
    """The side of its pictures."""
    shape = input_.shape
    if len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and shape[1] == shape[2]:
        return shape[1]
    layout = " (channels first)" if len(shape) == 4 and shape[1] == 3 else ""
    raise UserError(
        f"{path} takes {shape}{layout}, not one square RGB picture, [1, size, size, 3].",
        "Convert the model again with that input.",
    )


def _normalisation(path: Path, found: Found, input_: Tensor) -> tuple[Any, Any]:
    """Mean and std by channel, in pixels of 0..255.

    The pixel itself is what a uint8 input wants that says nothing, and what MediaPipe gives to any;
    metadata that come within a step of it mean it.
    """
    pixel = _pixel(input_)
    if found.mean is None or found.std is None:
        if input_.dtype == "uint8":
            return pixel
        raise _lacking(
            path,
            "Its metadata lack the normalisation (NormalizationOptions of the input), which "
            f"{input_.dtype} pixels need",
        )
    counts = len(found.mean), len(found.std)
    if not set(counts) <= {1, 3}:
        raise UserError(
            f"the metadata of {path} have {counts[0]} means and {counts[1]} standard deviations "
            "for 3 channels.",
            _WRITER,
        )
    mean, std = (tuple(values * (3 // len(values))) for values in (found.mean, found.std))
    return pixel if input_.dtype == "uint8" and stated.is_pixel(mean, std, input_) else (mean, std)


def _pixel(input_: Tensor) -> tuple[Any, Any]:
    """Mean and std by which an input is given pixels as they are."""
    return (float(input_.zero_point),) * 3, (1 / (input_.scale or 1),) * 3


def _labels(path: Path, found: Found, content: bytes, output: Tensor) -> list[str]:
    labels = stated.labels(path, found, content)
    if labels is None:
        absent = f": {found.labels} is not in the file" if found.labels else ""
        what = "a file of type TENSOR_AXIS_LABELS of the output"
        raise _lacking(path, f"Its metadata lack the labels ({what}){absent}")
    if len(labels) != (classes := math.prod(output.shape)):
        raise UserError(
            f"{path} answers with {classes} classes, but its metadata have "
            f"{count(len(labels), 'label')}.",
            _WRITER,
        )
    return [printable(label) for label in labels]


def _lacking(path: Path, what: str) -> UserError:
    return UserError(f"{contract.missing(path).problem} {what}.", _WRITER)
