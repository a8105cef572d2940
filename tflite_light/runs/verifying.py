"""Whether a file answers its golden pictures as when it was exported, here or elsewhere."""

import os.path
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tflite_light import contract
from tflite_light.contract import Contract, Golden
from tflite_light.errors import UserError
from tflite_light.measure import elsewhere
from tflite_light.measure.differing import Differing, differing, explain
from tflite_light.measure.dumps import read_dumps
from tflite_light.measure.goldens import Prepared, Values, output_off, prepare
from tflite_light.measure.predict import opened
from tflite_light.measure.runners import TFLiteModel, runtime
from tflite_light.tflite import file as tflite
from tflite_light.tflite.runtimes import newest_of, oldest
from tflite_light.wording import some

Verdict = Literal["pass", "missing", "picture", "input", "output"]


@dataclass(frozen=True)
class Verified:
    """What came of one golden picture; `off` is how far its output is off, in the report's unit."""

    picture: str
    verdict: Verdict
    text: str = ""
    off: float | None = None


@dataclass(frozen=True)
class Verification:
    """What came of all. `runtime` ran the file; `unit` is that of `off`, steps of the output or a
    share of its largest; `cause` says why inputs differ.
    """

    file: str
    runtime: str
    unit: Literal["steps", "share"]
    pictures: list[Verified]
    cause: str = ""

    @property
    def failed(self) -> list[Verified]:
        return [one for one in self.pictures if one.verdict != "pass"]

    def to_json(self) -> dict[str, Any]:
        return {"passed": not self.failed, **asdict(self)}


def verify(
    path: str | Path, python: str | Path | None = None, inputs: str | Path | None = None
) -> Verification:
    """Compare what a `.tflite` answers to its golden pictures with what it answered at its export:
    the input made of each, bit for bit, and then its output.

    It is run here, or by the TFLite runtime of the interpreter `python`. `inputs` is a folder with
    what a consumer made of the pictures, which is compared, too. Raises UserError where the file
    has no golden pictures, or does not run.
    """
    path = Path(path)
    model, agreed = opened(path)
    _require_goldens(agreed, path)
    given = read_dumps(Path(inputs), agreed) if inputs else {}
    found = [_found(one, path.parent, agreed, given.get(one.picture)) for one in agreed.golden]
    wrong = [one for one in found if isinstance(one, Differing)]
    right = [one for one in found if isinstance(one, Prepared)]
    cause, texts = explain(wrong, agreed)
    here, answers = _elsewhere(python, path, right, agreed) if python else _here(model, right)
    rows = [one for one in found if isinstance(one, Verified)]
    rows += [
        Verified(one.prepared.golden.picture, "input", text)
        for one, text in zip(wrong, texts, strict=True)
    ]
    rows += [
        _compared(one.golden, output_off(answer, one.golden, agreed, model, here))
        for one, answer in zip(right, answers, strict=True)
    ]
    order = [one.picture for one in agreed.golden]
    rows.sort(key=lambda row: order.index(row.picture))
    return Verification(str(path), here, "steps" if agreed.output.scale else "share", rows, cause)


def _compared(one: Golden, off: tuple[float, str]) -> Verified:
    return Verified(one.picture, "output" if off[1] else "pass", off[1], off[0])


def _require_goldens(agreed: Contract, path: Path) -> None:
    there = [one for one in agreed.golden if os.path.isfile(path.parent / one.picture)]
    if there:
        return
    beside = contract.beside(path)
    lacking = f"{beside} lists none"
    if not beside.is_file():
        lacking = f"{beside}, which lists them, is missing"
    elif agreed.golden:
        lacking = f"{path.parent / agreed.golden[0].picture} and the others are missing"
    raise UserError(
        f"{path} has no golden pictures to verify it by: {lacking}.",
        "Copy NAME.json and NAME_golden/ from where NAME.tflite was exported, or export it again.",
    )


def _found(
    one: Golden, folder: Path, agreed: Contract, given: Values | None
) -> Verified | Differing | Prepared:
    """A golden picture with its input, if that is right."""
    if not os.path.isfile(folder / one.picture):
        return Verified(one.picture, "missing", "the picture is missing")
    try:
        prepared = prepare(one, folder, agreed)
    except (OSError, ValueError) as error:
        return Verified(one.picture, "picture", f"the picture cannot be read: {error}")
    return differing(prepared, given) or prepared


def _here(model: TFLiteModel, right: Sequence[Prepared]) -> tuple[str, list[Values]]:
    return runtime(), [model.answer(one.values) for one in right]


def _elsewhere(
    python: str | Path, path: Path, right: Sequence[Prepared], agreed: Contract
) -> tuple[str, list[Values]]:
    """Raises UserError where the runtime refuses the file."""
    inputs = [one.values for one in right]
    replayed = elsewhere.replay(Path(python), path, inputs, agreed.output)
    if replayed.problem:
        said = " ".join(replayed.problem.split())
        raise UserError(f"{path} does not run on {replayed.runtime}: {said}", _needs(path))
    return replayed.runtime, replayed.answers


def _needs(path: Path) -> str:
    """The oldest runtime that knows all of a file's operators, and those that need it."""
    codes = {code: oldest(*code) for code in sorted(set(tflite.read(path).codes()))}
    needed = newest_of([runtime for runtime in codes.values() if runtime] or ["1.5"])
    newest = [
        f"{op} version {version}" for (op, version), runtime in codes.items() if runtime == needed
    ]
    return f"Its operators need TFLite {needed} or newer, for {some(newest)}."
