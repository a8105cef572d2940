"""Measuring models on the same pictures: accuracy, and agreement with their Keras model."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tflite_light import contract
from tflite_light.measure.kernels import deflated_bytes, kernels, most_values
from tflite_light.measure.runners import KerasModel, Runner
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import UNKNOWN
from tflite_light.pipeline.preprocess import Floats
from tflite_light.tflite.file import File, share_of_zeros


@dataclass
class Measured:
    """One row of a report: a Keras model, or a file.

    `top1` is on the row's pictures, which `kind` describes; `val_top1` on the validation pictures,
    of Keras models alone. `agreement` is the share of pictures on which a file answers as its Keras
    model does; `zeros` the share of kernel weights that are zero; `values` the most different ones
    in an output channel of a kernel, depthwise ones aside. `deflated_bytes` are a file's; of a
    Keras model, its kernels' as float32, by zlib's level 1.
    `latency_ms` is inference alone, of a picture among a batch where Keras runs it. `multiply_adds`
    are of one picture; `packed_bytes` of the `.packed` beside a file, if there is one.
    `calibration_pictures` set an int8 file's ranges; 0 where they were trained, None where the file
    has none or does not say. `sha256` is of the file's network, as in its contract.
    """

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
    val_top1: float | None = None
    values: int | None = None
    multiply_adds: int | None = None
    packed_bytes: int | None = None

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


class _Timed:
    """Batches, and the seconds that making them took."""

    def __init__(self, batches: Iterable[Floats]):
        self.seconds = 0.0
        self._batches = batches

    def __iter__(self) -> Iterator[Floats]:
        start = time.perf_counter()
        for batch in self._batches:
            self.seconds += time.perf_counter() - start
            yield batch
            start = time.perf_counter()
        self.seconds += time.perf_counter() - start


def measure(name: str, runner: Runner, examples: Examples) -> tuple[Measured, Floats]:
    """A row for a model, and its logits for others to be compared with."""
    batches = _Timed(examples.inputs(range(len(examples))))
    start = time.perf_counter()
    logits = runner.logits(batches)
    latency_ms = 1000 * (time.perf_counter() - start - batches.seconds) / len(examples)
    row = Measured(name, len(examples), top1(logits, examples.labels), latency_ms=latency_ms)
    row.kind = examples.pictures.kind
    return row, logits


def measure_model(
    name: str, model: Any, val: Examples | None, test: Examples
) -> tuple[Measured, Floats]:
    """A row for a Keras model, and its logits on `test`; `val_top1` where there is `val`."""
    runner, weights = KerasModel(model), kernels(model)
    seen = top1(answers(runner, val), val.labels) if val else None
    row, logits = measure(name, runner, test)
    row.val_top1, row.zeros, row.values = seen, share_of_zeros(weights), most_values(weights)
    row.deflated_bytes = deflated_bytes(weights)
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
    row.agreement = None if reference is None else agreement(logits, reference)
    return weigh(row, content)


def weigh(row: Measured, content: bytes) -> Measured:
    """The row with what a file's content shows without being run."""
    file, agreed = File(content), contract.read_inside(content, row.name)
    row.zeros, row.values = file.zeros(), most_values(list(file.weights()))
    row.size_bytes, row.deflated_bytes = len(content), file.deflated_bytes()
    if agreed:
        row.calibration_pictures = agreed.calibration_pictures
        row.sha256 = agreed.flatbuffer.sha256 if agreed.flatbuffer else None
    return row
