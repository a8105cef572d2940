"""Measuring models on the same pictures: accuracy, and agreement with their Keras model."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tflite_light import contract
from tflite_light.measure.runners import Runner
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import UNKNOWN
from tflite_light.pipeline.preprocess import Floats
from tflite_light.tflite.file import File


@dataclass
class Measured:
    """One row of a report. `agreement` is the share of pictures on which it answers as its Keras
    model does; `zeros` the share of zero kernel weights and sizes are bytes, both counted in the
    file. `calibration_pictures` set an int8 file's ranges; 0 where they were trained, None where
    the file has none or does not say. `kind` says what the pictures are; `sha256` is of the file's
    network, as in its contract."""

    name: str
    pictures: int
    top1: float | None
    agreement: float | None = None
    zeros: float | None = None
    size_bytes: int | None = None
    deflated_bytes: int | None = None
    latency_ms: float | None = None
    calibration_pictures: int | None = None
    seconds: float | None = None
    kind: str = "test pictures"
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def answers(runner: Runner, examples: Examples) -> Floats:
    """Logits for every picture."""
    return runner.logits(examples.inputs(range(len(examples))))


def top1(logits: Floats, labels: np.ndarray[Any, Any]) -> float | None:
    """Share of right answers; None where a picture's label is unknown."""
    return None if UNKNOWN in labels else float((logits.argmax(axis=1) == labels).mean())


def agreement(logits: Floats, reference: Floats) -> float:
    return float((logits.argmax(axis=1) == reference.argmax(axis=1)).mean())


def measure(name: str, runner: Runner, examples: Examples) -> tuple[Measured, Floats]:
    """A row for a model, and its logits for others to be compared with."""
    start = time.perf_counter()
    logits = answers(runner, examples)
    latency_ms = 1000 * (time.perf_counter() - start) / len(examples)
    row = Measured(name, len(examples), top1(logits, examples.labels), latency_ms=latency_ms)
    row.kind = examples.pictures.kind
    return row, logits


def measure_file(
    name: str,
    content: bytes,
    runner: Runner,
    examples: Examples,
    reference: Floats | None,
) -> Measured:
    """A row for a `.tflite`, compared with the `reference` logits of its Keras model if given."""
    row, logits = measure(name, runner, examples)
    file, agreed = File(content), contract.read_inside(content, name)
    row.agreement = None if reference is None else agreement(logits, reference)
    row.zeros, row.size_bytes, row.deflated_bytes = (
        file.zeros(),
        len(content),
        file.deflated_bytes(),
    )
    if agreed:
        row.calibration_pictures = agreed.calibration_pictures
        row.sha256 = agreed.flatbuffer.sha256 if agreed.flatbuffer else None
    return row
