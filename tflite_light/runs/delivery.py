"""One exported file: converted, run, compared, and only then written, contract and all."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import contract, files
from tflite_light.contract import MINOR, Confidence, Contract, Flatbuffer
from tflite_light.errors import Unmade
from tflite_light.export import Mode
from tflite_light.measure.accuracy import (
    Measured,
    agreement,
    answers,
    judge,
    judge_outliers,
    measure,
    pair_files,
    top1,
    weigh,
)
from tflite_light.measure.confidence import FEWEST, fit, share_interval
from tflite_light.measure.runners import TFLiteModel
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.pipeline.pictures import UNKNOWN
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.runs.describing import description, misfit
from tflite_light.runs.golden_pictures import golden_pictures
from tflite_light.runs.making import blamed, broken, converted, make, runnable
from tflite_light.runs.replacing import golden_beside, golden_folder, packed_beside
from tflite_light.tflite import file as tflite
from tflite_light.tflite import metadata
from tflite_light.tflite.identity import network
from tflite_light.tflite.packed import pack
from tflite_light.tflite.promises import Promise
from tflite_light.wording import count

JUDGED = 500  # validation pictures that a file is judged by while others may follow


def deliver(
    mode: Mode,
    model: Any,
    reference: Floats,
    data: Data,
    promises: Sequence[Promise],
    path: Path,
    license: str | None = None,
) -> Measured:
    """Convert `model` and write `path`, its `.json` and its golden pictures; the row that was
    measured.

    `reference` holds the model's logits on `data.test`; `license` goes into the metadata. Raises
    Unmade when the file breaks a promise: a float operator in an int8 file, fewer zeros than the
    stages promised, or an operator that does not run. It is then kept at `broken(path)`, without
    contract, and nothing else is written.
    """
    say(f"{mode.stem}: converting, then measuring on {len(data.test)} test pictures")
    start = time.monotonic()
    bare = make(mode, model, data, promises, path)
    runner = TFLiteModel(bare)
    row, logits = measure(mode.stem, runner, data.test, data.classes)
    row.agreement = agreement(logits, reference)
    confidence = _confidence(mode, runner, data.val)
    if confidence:
        judge(row, confidence, logits, data.test.labels)
        judge_outliers(row, confidence, runner, data.outliers.get("test"))
    with blamed(mode):
        calibrated = mode.calibrated_on(model, data.train)
    agreed = Contract(
        minor=MINOR,
        model=model.name,
        image=data.test.image,
        labels=data.classes,
        input=runner.input,
        output=runner.output,
        integers_inside=runner.in_integers,
        confidence=confidence,
        calibration_pictures=None if calibrated is None else len(calibrated),
        calibration_sha256=data.train.digest(calibrated) if calibrated else None,
    )
    if unlike := misfit(agreed):
        say(f"{mode.stem}: not for MediaPipe Tasks: {unlike}")
    described = metadata.describe(bare, description(agreed, row, license))
    goldens = golden_pictures(agreed, TFLiteModel(described), data, golden_folder(path).name)
    digests = Flatbuffer.of(described, network(described))
    agreed = agreed.model_copy(update={"flatbuffer": digests})
    agreed = agreed.with_golden([one for _, one in goldens])
    content = contract.embed(described, agreed)
    weigh(row, content)
    packed = pack(tflite.File(content)) if mode.packed else None
    row.packed_bytes = len(packed) if packed else None
    pictures = {path.parent / one.picture: picture for picture, one in goldens}
    _write(path, content, packed, agreed, pictures)
    row.seconds = time.monotonic() - start
    return row


@dataclass(frozen=True)
class Wanted:
    """A file to write to `path`, of a model whose logits on the test pictures are `reference`."""

    mode: Mode
    model: Any
    reference: Floats
    path: Path


def deliver_all(
    files_: Iterable[Wanted],
    data: Data,
    promises: Sequence[Promise],
    license: str | None,
    keep: Callable[[list[Measured]], None] | None = None,
) -> tuple[dict[Path, Measured], list[Unmade]]:
    """Each as `deliver` does, and what hindered those that cannot be made; the first is compared
    with all others. `keep` gets the rows so far as soon as a file is there.
    """
    rows: dict[Path, Measured] = {}
    unmade: list[Unmade] = []
    for one in files_:
        given = one.mode, one.model, one.reference, data, promises, one.path
        try:
            rows[one.path] = deliver(*given, license)
        except Unmade as error:  # hours of training are not lost by a file
            unmade.append(error)
            continue
        pair_files([*rows.values()])
        if keep:
            keep([*rows.values()])
    return rows, unmade


def require_made(unmade: Sequence[Unmade], made: Any, left: str = "") -> None:
    """Raises Unmade, by the first of them, where there are any; `made` is what there is all the
    same, and `left` says it."""
    if unmade:
        more = f"{count(len(unmade) - 1, 'more file')} cannot be made, too." if unmade[1:] else ""
        hint = " ".join(filter(None, (unmade[0].hint, more, left)))
        raise Unmade(unmade[0].problem, hint, made) from unmade[0]


def _confidence(mode: Mode, runner: TFLiteModel, val: Examples) -> Confidence | None:
    """Fitted to a file's answers to `val`, and how sure its threshold is; None without labels."""
    if not len(val) or UNKNOWN in val.labels:
        return None
    logits = answers(runner, val)
    if not np.isfinite(logits).all():
        raise Unmade(
            f"{mode.stem}: the network answers val pictures with NaN or infinity.",
            "Its training diverged: a smaller `train.learning_rate` may help.",
        )
    found = fit(logits, val.labels)
    number = count(len(val), "val picture")
    if found.threshold is None:
        say(f"{mode.stem}: {number} set no threshold for none of the labels: {FEWEST} do")
        return found
    low, high = share_interval(found)
    say(
        f"{mode.stem}: its threshold, set by {number}, rejects {low:.1%} to {high:.1%} of such "
        "pictures (95 % interval)"
    )
    return found


def accuracy_as(modes: Sequence[Mode], model: Any, data: Data) -> float:
    """Top-1 of the first mode's file of `model`, on up to 500 validation pictures; of the next's
    where one of users' own makes none."""
    chosen = data.val.sample(JUDGED)
    for mode in modes:
        try:
            file = runnable(converted(mode, model, data.train), f"{mode.stem}.tflite")
            logits = file.logits(data.val.inputs(chosen))
        except Unmade:
            if not mode.file:
                raise
        else:
            return top1(logits, data.val.labels[chosen]) or 0.0
    return 0.0


def _write(
    path: Path,
    content: bytes,
    packed: bytes | None,
    agreed: Contract,
    pictures: dict[Path, bytes],
) -> None:
    contents: dict[Path, bytes | str] = {packed_beside(path): packed} if packed else {}
    contents |= {**pictures, contract.beside(path): contract.to_json(agreed)}
    old = {*golden_beside(path), broken(path), packed_beside(path)}
    files.write_all({**contents, path: content})
    for one in old - contents.keys():
        one.unlink(missing_ok=True)
