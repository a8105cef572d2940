"""`tflite-light verify`"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tflite_light.commands._options import reports
from tflite_light.errors import Refuted
from tflite_light.wording import count

if TYPE_CHECKING:
    from tflite_light.runs.verifying import Verification

_COPY = "Copy the golden pictures that were written beside the file, or export it again."
_FAILURES = {  # by verdict, the first first -> problem, hint
    "missing": ("{} are missing.", _COPY),
    "picture": ("{} cannot be read.", _COPY),
    "input": (
        "the input differs for {}.",
        "Repair what makes the input; where it differs, no output was compared.",
    ),
    "output": (
        "the output differs for {}.",
        "The inputs are right to the bit, so the runtime computes otherwise: use another version "
        "of it.",
    ),
}


@click.command()
@click.argument("model", metavar="FILE.tflite|RUN", type=click.Path(path_type=Path))
@click.option(
    "--runtime",
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Run the file by the TFLite runtime of another environment, ENV/bin/python.",
)
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Compare inputs that an app made of the golden pictures N.png: N.npy or N.bin.",
)
@reports
def command(model: Path, runtime: Path | None, inputs: Path | None) -> dict[str, Any]:
    """Prove that a FILE answers its golden pictures as when it was exported: first the input made
    of each, bit for bit, then the output.

    Of a RUN, its int8 file is verified, or its only one.
    """
    from tflite_light.runs.predicting import file_of
    from tflite_light.runs.verifying import verify

    found = verify(file_of(model), runtime, inputs)
    click.echo(f"{found.file} on {found.runtime}")
    for one in found.pictures:
        click.echo(f"{one.picture}\t{one.verdict}\t{one.text or _off(found, one.off)}")
    if found.failed:
        raise _refuted(found)
    return found.to_json()


def _off(found: "Verification", off: float | None) -> str:
    if not off:
        return "equal to the bit"
    if found.unit == "steps":
        return f"{count(round(off), 'step')} off, as another runtime's rounding may be"
    return f"{off:.1e} of the largest output off, as rounding may be"


def _refuted(found: "Verification") -> Refuted:
    verdicts = [one.verdict for one in found.failed]
    first = next(verdict for verdict in _FAILURES if verdict in verdicts)
    problem, hint = _FAILURES[first]
    number = f"{verdicts.count(first)} of {count(len(found.pictures), 'golden picture')}"
    cause = f" {found.cause}" if first == "input" else ""
    return Refuted(f"{found.file}: {problem.format(number)}{cause}", hint, found.to_json())
