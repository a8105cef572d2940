"""The network's part of a file: converted, checked, and rewritten for where it runs."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import files, own
from tflite_light.errors import Unmade, UserError
from tflite_light.export import Mode
from tflite_light.graph.naming import by_kernels
from tflite_light.graph.quantised import unquantised
from tflite_light.lowering import lowered
from tflite_light.lowering.acceptance import refused
from tflite_light.measure.goldens import FLOAT_SHARE, INTEGER_SHARE
from tflite_light.measure.runners import TFLiteModel
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.tflite import BROKEN
from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Damage
from tflite_light.tflite.moved import breaker
from tflite_light.tflite.promises import Promise
from tflite_light.wording import first_line

_COMPARED = 16  # pictures on which a rewritten file must answer as before
_OWN = "It is code of yours: correct it for the next training; a run keeps it as it was."


def make(mode: Mode, model: Any, data: Data, promises: Sequence[Promise], path: Path) -> bytes:
    """Raises Unmade as `deliver` does, and then keeps the file at `broken(path)`."""
    content = converted(mode, model, data.train)
    pictures = data.train if len(data.train) else data.test  # an import may have none to train on
    batches = list(pictures.inputs(pictures.sample(_COMPARED)))
    with blamed(mode), _kept_if_broken(content, path):
        mode.check(File(content), by_kernels(unquantised(model)))
        _require_kept(promises, File(content), path)
        answers = runnable(content, path.name).logits(batches)
        if mode.file and answers.shape[1] != len(data.classes):
            raise UserError(
                f"{path.name} answers with {answers.shape[1]} numbers, not one for each of the "
                f"{len(data.classes)} classes.",
                "Convert the whole network.",
            )

    told = set[str]()
    broken_by = breaker(promises, content, fills=mode.target in ("gpu", "nnapi"))

    def keeps(content: bytes) -> bool:
        if name := broken_by(File(content)):
            if name not in told:
                say(f"{mode.stem}: rewrites that would break promised {name} are left out")
            told.add(name)
            return False
        alike = _answers(content, batches, answers)
        if not alike:
            say(f"warning: {mode.stem}: a rewrite for its target would change answers; left out")
        return alike

    made = lowered(content, mode.target, keeps)
    with _kept_if_broken(made, path):
        Mode.check(mode, File(made))
        if lack := refused(File(made), mode.target):
            raise UserError(
                f"{path.name}: {lack}.",
                f"Leave out `export.{mode.key}.target`, or choose another mode or network.",
            )
    return made


def converted(mode: Mode, model: Any, examples: Examples) -> bytes:
    """A mode's file, not looked into. Raises Unmade where one of users' own gives none."""
    with blamed(mode):
        content = mode.convert(model, examples)
    if not mode.file:
        return content
    if not isinstance(content, bytes | bytearray | memoryview):
        found = type(content).__name__
        raise Unmade(f"{mode.stem}: its `convert` gives {found}, not the bytes of a file.", _OWN)
    try:
        File(bytes(content)).check()
    except Damage as error:
        problem = f"{mode.stem}: what its `convert` gives is no TFLite file, or damaged: {error}."
        raise Unmade(problem, _OWN) from error
    return bytes(content)


@contextlib.contextmanager
def blamed(mode: Mode) -> Iterator[None]:
    """Whatever goes wrong in a mode of users' own becomes Unmade: it costs its own file alone."""
    try:
        yield
    except Exception as error:
        if not mode.file or isinstance(error, Unmade):
            raise
        if isinstance(error, UserError):
            raise Unmade(error.problem, error.hint) from error
        place = own.blame(error) or f"{mode.stem}: {first_line(error)}"
        raise Unmade(f"{place}.", _OWN) from error


def broken(path: Path) -> Path:
    """Where a file is kept that is not good enough for `path`; no command takes it for that."""
    return path.with_suffix(BROKEN)


@contextlib.contextmanager
def _kept_if_broken(content: bytes, path: Path) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        kept = files.write(broken(path), content)
        raise Unmade(error.problem, f"{error.hint} It is kept as {kept}.") from error


def _require_kept(promises: Sequence[Promise], file: File, path: Path) -> None:
    """Raises UserError where a file is not what the stages promise."""
    for promise in promises:
        try:
            lack = promise.shortfall(file)
        except Exception as error:
            if place := own.blame(error):
                raise UserError(f"{place}.", _OWN) from error
            raise
        if lack:
            raise UserError(f"{path.name} {lack.problem}", lack.hint)


def runnable(content: bytes, name: str) -> TFLiteModel:
    """Raises UserError where no interpreter is made of a file."""
    try:
        return TFLiteModel(content)
    except RuntimeError as error:  # XNNPACK rescales an operator's sums by less than 256
        raise UserError(
            f"{name} was converted but does not run: {' '.join(str(error).split())} The usual "
            "cause is a network whose training diverged, so that a layer's values are out of all "
            "proportion to its inputs.",
            "Look at val_loss in history.csv, and lower learning_rate.",
        ) from error


def _answers(content: bytes, batches: Sequence[Floats], old: Floats) -> bool:
    """Whether a file gives them: integers to the step, floats to what the order of sums makes."""
    try:
        made = TFLiteModel(content)
        off = float(np.abs(made.logits(batches) - old).max())
    except (RuntimeError, UserError):  # it cannot be prepared, or stops while it runs
        return False
    if made.output.scale:
        return off <= 1.01 * made.output.scale
    share = INTEGER_SHARE if made.in_integers else FLOAT_SHARE
    return off <= share * float(np.abs(old).max())
