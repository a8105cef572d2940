"""Measuring models on the same pictures: accuracy, and agreement with their Keras model."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import tflite
from tflite_light.data import UNKNOWN, Pictures, csv, directory
from tflite_light.data import _pipeline as pipeline
from tflite_light.data._split import pictures_of
from tflite_light.errors import UserError
from tflite_light.predict import Floats, Predictor, open_file


@dataclass
class Measured:
    """One row of a report. `agreement` is the share of pictures on which it answers as its Keras
    model does; `zeros` the share of zero kernel weights and sizes are bytes, both counted in the
    file."""

    name: str
    pictures: int
    top1: float | None
    agreement: float | None = None
    zeros: float | None = None
    size_bytes: int | None = None
    deflated_bytes: int | None = None
    milliseconds: float | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def answers(predictor: Predictor, examples: pipeline.Examples) -> Floats:
    """Logits for every picture."""
    return predictor.logits(examples.inputs(range(len(examples))))


def top1(logits: Floats, labels: np.ndarray[Any, Any]) -> float | None:
    """Share of right answers; None where a picture's label is unknown."""
    return None if UNKNOWN in labels else float((logits.argmax(axis=1) == labels).mean())


def agreement(logits: Floats, reference: Floats) -> float:
    return float((logits.argmax(axis=1) == reference.argmax(axis=1)).mean())


def measure(
    name: str, predictor: Predictor, examples: pipeline.Examples
) -> tuple[Measured, Floats]:
    """A row for a model, and its logits for others to be compared with."""
    start = time.perf_counter()
    logits = answers(predictor, examples)
    milliseconds = 1000 * (time.perf_counter() - start) / len(examples)
    row = Measured(name, len(examples), top1(logits, examples.labels), milliseconds=milliseconds)
    return row, logits


def measure_file(
    name: str,
    content: bytes,
    predictor: Predictor,
    examples: pipeline.Examples,
    reference: Floats | None,
) -> Measured:
    """A row for a `.tflite`, compared with the `reference` logits of its Keras model if given."""
    row, logits = measure(name, predictor, examples)
    file = tflite.File(content)
    row.agreement = None if reference is None else agreement(logits, reference)
    row.zeros, row.size_bytes, row.deflated_bytes = (
        file.zeros(),
        len(content),
        file.deflated_bytes(),
    )
    return row


def evaluate_file(path: Path, data: Path) -> Measured:
    """Accuracy of a `.tflite` on the labelled pictures of a folder or a table.

    Raises UserError when the labels are not the file's or a picture cannot be read.
    """
    model, contract = open_file(path)
    examples = pipeline.read({"test": _labelled(data, contract.labels)}, contract.image)["test"]
    return measure_file(path.name, path.read_bytes(), model, examples, None)


def _labelled(data: Path, labels: list[str]) -> Pictures:
    if not data.exists():
        raise UserError(
            f"{data} does not exist. Give --data a folder of class folders or a .csv table."
        )
    pairs = directory.labelled(data) if data.is_dir() else csv.labelled(data)
    strange = sorted({label for _, label in pairs} - set(labels))
    if strange:
        raise UserError(
            f"{data} has classes the file does not know: {', '.join(strange[:5])}. "
            f"The file's {len(labels)} labels are {', '.join(labels[:10])}."
        )
    if not pairs:
        raise UserError(
            f"{data} has no pictures with a class. Give --data a folder that holds a folder of "
            "pictures for each class, or a .csv table of path and label."
        )
    return pictures_of([(picture, labels.index(label)) for picture, label in pairs])
