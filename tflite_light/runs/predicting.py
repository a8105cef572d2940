"""The file that answers for a run."""

from pathlib import Path
from shlex import quote

from tflite_light.errors import UserError
from tflite_light.runs.folder import open_run, require_finished
from tflite_light.runs.overview import is_run
from tflite_light.tflite import BROKEN
from tflite_light.weights import SUFFIXES

FIRST_CHOICE = "int8"  # of a run's files, the one that phones run fastest


def file_of(target: Path) -> Path:
    """`target`, or where it is the folder of a run, its int8 file, else its only one.

    Raises UserError where there is none, or several and none of them int8, or `target` is a
    checkpoint.
    """
    if target.is_dir():
        return _chosen(target)
    if target.suffix.lower() in SUFFIXES:
        raise UserError(
            f"{target} holds weights, not a network.",
            "Give a run, or a .tflite file that was exported from it: "
            "`tflite-light predict RUN PICTURE`",
        )
    return target


def exported(run: Path) -> list[Path]:
    """The files in a run's folder, without those that are not what was promised."""
    found = sorted((run / "exports").glob("*.tflite"))
    return [path for path in found if not path.name.endswith(BROKEN)]


def _chosen(run: Path) -> Path:
    files = exported(run)
    chosen = [path for path in files if path.stem == FIRST_CHOICE] or files
    if not chosen and is_run(run):
        require_finished(open_run(run))
    if not chosen:
        raise UserError(
            f"{run} is not a run with exported files.",
            f"Give a .tflite file, or the folder of a run; write its files with "
            f"`tflite-light export {quote(str(run))}`.",
        )
    if len(chosen) > 1:
        names = ", ".join(str(path) for path in chosen)
        raise UserError(f"{run} has several exported files and none is int8.", f"Name one: {names}")
    return chosen[0]
