"""Measuring models on the same pictures: accuracy, and agreement with their Keras model."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from pydantic import InstanceOf, TypeAdapter

from tflite_light import contract
from tflite_light.contract import Confidence, Contract
from tflite_light.measure.confidence import calibration_error, rejects
from tflite_light.measure.confusion import Confusion
from tflite_light.measure.kernels import deflated_bytes, kernels, most_values
from tflite_light.measure.runners import KerasModel, Runner, probabilities
from tflite_light.measure.significance import Paired, wilson
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import UNKNOWN
from tflite_light.pipeline.preprocess import Floats
from tflite_light.tflite.file import File, share_of_zeros


@dataclass(frozen=True)
class Answered:
    """Of each picture of `examples`, the number of the class answered, and how sure, 0..1."""

    examples: Examples
    classes: np.ndarray[Any, np.dtype[np.int64]]
    sure: Floats

    @property
    def right(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Of each picture; never where its label is unknown."""
        found: np.ndarray[Any, np.dtype[np.bool_]] = self.classes == self.examples.labels
        return found

    @property
    def wrong(self) -> list[int]:
        """Places of the pictures taken for another class, the surest answers first."""
        places = np.flatnonzero(~self.right & (self.examples.labels != UNKNOWN))
        return [int(at) for at in places[np.argsort(-self.sure[places], kind="stable")]]


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
    `confusion` is None where labels are unknown; `val_interval` is of `val_top1`, 95 % by Wilson.
    `paired` compares a file with the report's first one, picture by picture; `answered` has
    what was said of each picture, and is not in the JSON.
    `calibration_error` is that of a file's probabilities, `rejected` the share of the pictures, and
    `outliers_rejected` of `outliers` pictures of no class, that it answers with none of its labels.
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
    val_interval: tuple[float, float] | None = None
    confusion: Confusion | None = None
    paired: Paired | None = None
    calibration_error: float | None = None
    rejected: float | None = None
    outliers: int | None = None
    outliers_rejected: float | None = None
    answered: InstanceOf[Answered] | None = field(default=None, repr=False, compare=False)

    @property
    def top1_interval(self) -> tuple[float, float] | None:
        """95 %, by Wilson."""
        return self.confusion.interval if self.confusion else None

    def to_json(self) -> dict[str, Any]:
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        del found["answered"]
        found["top1_interval"] = self.top1_interval
        for name in ("confusion", "paired"):
            found[name] = found[name].to_json() if found[name] else None
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """What `to_json` made, also by an earlier version; without `answered`.

        Raises ValueError, TypeError or KeyError where it is damaged.
        """
        known = {**found, "answered": None}
        if found.get("confusion"):
            known["confusion"] = Confusion.from_json(found["confusion"])
        return TypeAdapter(cls).validate_python(known)


def answers(runner: Runner, examples: Examples) -> Floats:
    """Logits for every picture."""
    return runner.logits(examples.inputs(range(len(examples))))


def top1(logits: Floats, labels: np.ndarray[Any, Any]) -> float | None:
    """Share of right answers; None where a picture's label is unknown."""
    return None if UNKNOWN in labels else float((logits.argmax(axis=1) == labels).mean())


def agreement(logits: Floats, reference: Floats) -> float:
    return float((logits.argmax(axis=1) == reference.argmax(axis=1)).mean())


class _Timed:
    """Batches, and the seconds that making them took, and a first answer to each size of them where
    the runner traces: two of 64 pictures, or 8 ms a picture instead of 1 of 24."""

    def __init__(self, runner: Runner, batches: Iterable[Floats]):
        self.seconds = 0.0
        self._runner, self._batches = runner, batches

    def __iter__(self) -> Iterator[Floats]:
        start, sizes = time.perf_counter(), set[int]()
        for batch in self._batches:
            if self._runner.traces and len(batch) not in sizes:
                self._runner.logits([batch])
                sizes.add(len(batch))
            self.seconds += time.perf_counter() - start
            yield batch
            start = time.perf_counter()
        self.seconds += time.perf_counter() - start


def measure(
    name: str, runner: Runner, examples: Examples, classes: Sequence[str]
) -> tuple[Measured, Floats]:
    """A row for a model of these classes, and its logits for others to be compared with."""
    batches = _Timed(runner, examples.inputs(range(len(examples))))
    start = time.perf_counter()
    logits = runner.logits(batches)
    latency_ms = 1000 * (time.perf_counter() - start - batches.seconds) / len(examples)
    row = Measured(name, len(examples), top1(logits, examples.labels), latency_ms=latency_ms)
    row.kind = examples.pictures.kind
    row.answered = Answered(examples, logits.argmax(axis=1), probabilities(logits).max(axis=1))
    if row.top1 is not None:
        row.confusion = Confusion.of(classes, examples.labels, row.answered.classes)
    return row, logits


def measure_model(
    name: str, model: Any, val: Examples | None, test: Examples, classes: Sequence[str]
) -> tuple[Measured, Floats]:
    """A row for a Keras model, and its logits on `test`; `val_top1` where there is `val`."""
    runner, weights = KerasModel(model), kernels(model)
    row, logits = measure(name, runner, test, classes)
    if val and UNKNOWN not in val.labels:
        right = int((answers(runner, val).argmax(axis=1) == val.labels).sum())
        row.val_top1, row.val_interval = right / len(val), wilson(right, len(val))
    row.zeros, row.values = share_of_zeros(weights), most_values(weights)
    row.deflated_bytes = deflated_bytes(weights)
    return row, logits


def measure_file(
    name: str,
    content: bytes,
    runner: Runner,
    examples: Examples,
    classes: Sequence[str],
    reference: Floats | None,
    agreed: Contract,
    outliers: Examples | None = None,
) -> Measured:
    """A row for a `.tflite`, compared with the `reference` logits of its Keras model if given.

    Its `confidence` says which pictures, and which `outliers`, it answers with none of its labels.
    """
    row, logits = measure(name, runner, examples, classes)
    if agreed.output_is == "probabilities" and row.answered:
        row.answered = replace(row.answered, sure=logits.max(axis=1))
    row.agreement = None if reference is None else agreement(logits, reference)
    if agreed.confidence:
        judge(row, agreed.confidence, logits, examples.labels)
        judge_outliers(row, agreed.confidence, runner, outliers)
    return weigh(row, content)


def judge(
    row: Measured, confidence: Confidence, logits: Floats, labels: np.ndarray[Any, Any]
) -> None:
    """Put into the row how sure a file is of pictures with labels, and which it rejects."""
    shares = probabilities(logits, confidence.temperature)
    if row.answered:
        row.answered = replace(row.answered, sure=shares.max(axis=1))
    if confidence.threshold is not None:
        row.rejected = float(rejects(confidence, logits).mean())
    if UNKNOWN not in labels:
        row.calibration_error = calibration_error(shares, labels)


def judge_outliers(
    row: Measured, confidence: Confidence, runner: Runner, outliers: Examples | None
) -> None:
    if outliers and confidence.threshold is not None:
        row.outliers = len(outliers)
        row.outliers_rejected = float(rejects(confidence, answers(runner, outliers)).mean())


def pair_files(rows: Sequence[Measured]) -> None:
    """Compare the files among rows that saw the same pictures with the first file."""
    files = [
        (row, row.answered.right)
        for row in rows
        if row.size_bytes and row.confusion and row.answered
    ]
    for row, right in files[1:]:
        first, its = files[0]
        row.paired = Paired.of(right, its, first.name)


def weigh(row: Measured, content: bytes) -> Measured:
    """The row with what a file's content shows without being run."""
    file, agreed = File(content), contract.read_inside(content, row.name)
    row.zeros, row.values = file.zeros(), most_values(list(file.weights()))
    row.size_bytes, row.deflated_bytes = len(content), file.deflated_bytes()
    if agreed:
        row.calibration_pictures = agreed.calibration_pictures
        row.sha256 = agreed.flatbuffer.sha256 if agreed.flatbuffer else None
    return row
