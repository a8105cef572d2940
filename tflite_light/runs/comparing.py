"""Trained files side by side, on the same test pictures: answers, sizes and times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.classes import distinct
from tflite_light.contract import Contract
from tflite_light.cost.inspection import Inspected
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, judge, measure, pair_files, weigh
from tflite_light.measure.latency import RUNS, in_turn
from tflite_light.measure.predict import open_file
from tflite_light.measure.runners import TFLiteModel
from tflite_light.pipeline.pictures import Pictures
from tflite_light.pipeline.reading import read, whole
from tflite_light.progress import say
from tflite_light.runs.evaluating import labelled, remark, source_at
from tflite_light.runs.finding import owner
from tflite_light.runs.finished import require_own, source_of
from tflite_light.runs.folder import Run
from tflite_light.runs.inspecting import inspect
from tflite_light.runs.predicting import file_of
from tflite_light.wording import count, several

Names = np.ndarray[Any, np.dtype[np.str_]]

_OTHERS = "Name pictures to compare them on: `--data FOLDER|LABELS.csv`."


@dataclass(frozen=True)
class Compared:
    """A file among others: its row, and what it costs.

    The row's `agreement` and `paired` are with the first file; its `latency_ms` is the median of
    inferences on one thread, each after one of every other file.
    """

    row: Measured
    costs: Inspected

    def to_json(self) -> dict[str, Any]:
        row = self.row.to_json()
        del row["name"]
        return {**row, **self.costs.totals()}


@dataclass(frozen=True)
class _Contestant:
    """A file that can be run, the run it was exported of if its pictures count, and pictures."""

    path: Path
    run: Run | None
    model: TFLiteModel
    agreed: Contract
    pictures: Pictures


def has_test_pictures(target: Path) -> bool:
    """Whether it is of a finished run whose pictures are on this machine."""
    run = owner(target)
    return run is not None and not run.recipe.source.absent()


def compare(
    targets: str | Path | Sequence[str | Path],
    data: str | Path | None = None,
    skip_strangers: bool = False,
) -> list[Compared]:
    """Measure files, and of runs the file that `predict` takes, on the same pictures.

    They are the test pictures that all have in common, at `data` if they were moved; or those of
    other pictures at `data`. Classes are matched by name. Raises UserError where test pictures
    differ, or a file does not know a class of them.
    """
    given = [Path(target) for target in several(targets)]
    if not given:
        raise UserError("there is nothing to compare.", "Give files, or folders of runs.")
    paths = [file_of(target) for target in given]
    if data:
        runs = _of_pictures_at(Path(data), given, skip_strangers)
        source = runs[0].recipe.source if runs else source_at(Path(data), skip_strangers)
    else:
        runs = _of_same_test(given, skip_strangers)
        source = runs[0].recipe.source
    contestants = [_opened(path, run, source) for path, run in zip_longest(paths, runs)]
    rows: list[Measured] = []
    named: list[Names] = []
    for one in contestants:
        row, names = _measured(one, first=not rows)
        row.agreement = float((names == named[0]).mean()) if named else None
        rows.append(row)
        named.append(names)
    pair_files(rows)
    say(f"timing {count(len(paths), 'file')} in turn, on one thread")
    times = in_turn([path.read_bytes() for path in paths], 1, RUNS)
    for row, time in zip(rows, times, strict=True):
        row.latency_ms = time.quantile(0.5)
    return [Compared(row, inspect(path)) for row, path in zip(rows, paths, strict=True)]


def _of_pictures_at(data: Path, targets: Sequence[Path], skip_strangers: bool) -> list[Run]:
    """The runs of targets, reading their own pictures, which were moved to `data`; none where those
    of any target are others, or not known."""
    runs = [
        _reading(run, source_of(run, data, skip_strangers)) for run in map(owner, targets) if run
    ]
    own = all(run.origin.has_same_data(run.recipe.source) for run in runs)
    return runs if own and len(runs) == len(targets) else []


def _reading(run: Run, source: Source) -> Run:
    return replace(run, recipe=run.recipe.model_copy(update={"data": source}))


def _of_same_test(targets: Sequence[Path], skip_strangers: bool) -> list[Run]:
    """The runs of targets. Raises UserError where their test pictures are unknown or differ."""
    runs: list[Run] = []
    truths: list[tuple[str | None, list[str]]] = []
    for target in targets:
        if not (run := owner(target)):
            raise UserError(f"the test pictures of {target} are not known.", _OTHERS)
        run = _reading(run, source_of(run, None, skip_strangers))
        run.origin.require_same_data(run.recipe)
        runs.append(run)
        truths.append(_truth(run))
        if truths[-1] != truths[0]:
            raise UserError(
                f"{target} was tested on other pictures than {targets[0]}, or in another order, so "
                "their answers cannot be compared.",
                _OTHERS,
            )
    return runs


def _truth(run: Run) -> tuple[str | None, list[str]]:
    """A digest of what the test pictures of a run held, and the class of each."""
    labels = run.recipe.source.split("test").labels
    return run.origin.contents.get("test"), [run.classes[label] for label in labels]


def _opened(path: Path, run: Run | None, source: Source) -> _Contestant:
    """A file with the test pictures of its run, or those of `source` that others are measured on.

    Raises UserError where it cannot be run or does not know their classes.
    """
    model, agreed = open_file(path)
    if run:
        require_own(run, path, agreed)
    pictures = labelled(path, source, agreed.labels, "test" if run else None)
    return _Contestant(path, run, model, agreed, pictures)


def _measured(one: _Contestant, first: bool) -> tuple[Measured, Names]:
    """A row, and the class that was answered for each picture."""
    examples = read({"test": one.pictures}, one.agreed.image)
    if one.run:
        one.run.origin.require_same_contents(examples, one.run.recipe)
    examples = whole(examples)
    say(f"{one.path}: measuring on {len(examples['test'])} pictures")
    classes = distinct(str(one.path), one.agreed.labels)
    if first:
        remark(examples["test"], classes)
    row, logits = measure(str(one.path), one.model, examples["test"], classes)
    if one.agreed.confidence:
        judge(row, one.agreed.confidence, logits, examples["test"].labels)
    return weigh(row, one.path.read_bytes()), np.array(classes)[logits.argmax(axis=1)]
