"""What runs there are, how far they came and what they reached."""

import contextlib
import datetime
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.recipe import Recipe
from tflite_light.runs.folder import FIT, FOLDERS, Run, is_locked, open_run

RECORD = "environment.json"  # which only a run has, and which is written last when one begins

State = Literal["finished", "running", "stopped", "broken"]


@dataclass(frozen=True)
class Overview:
    """A run in a line.

    `phase` is the one in which it is, or stopped, after `epoch` of `epochs`; none where only the
    export is left. `top1` is the fitted float network's, before any stage; `best_file` the exported
    file of the highest top-1, the smallest of equals, of those that are there. `size_bytes` is all
    that the folder holds, `age_seconds` the time since it was started. A broken run has a
    `problem`.
    """

    name: str
    folder: str
    state: State
    problem: str | None = None
    phase: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    network: str | None = None
    classes: int | None = None
    top1: float | None = None
    best_file: str | None = None
    best_top1: float | None = None
    best_bytes: int | None = None
    size_bytes: int = 0
    started: str | None = None
    age_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def is_run(folder: Path) -> bool:
    """Whether a run was begun in this very folder, whatever has become of it."""
    return os.path.isfile(folder / RECORD)


def overviews(runs: Path) -> list[Overview]:
    """Every run directly in a folder, the newest first. Raises UserError where it is none."""
    if runs.exists() and not runs.is_dir():
        raise UserError(f"{runs} is a file.", "Give `--runs` a folder of runs.")
    found = [overview(path) for path in sorted(runs.glob(FOLDERS)) if is_run(path)]
    return sorted(found, key=lambda one: one.started or "", reverse=True)


def overview(folder: Path) -> Overview:
    """One run, also a broken one."""
    started = _started(folder)
    always: dict[str, Any] = {
        "name": folder.resolve().name,
        "folder": str(folder),
        "size_bytes": _size(folder),
        "started": started.isoformat() if started else None,
        "age_seconds": (_now() - started).total_seconds() if started else None,
    }
    running: dict[str, Any] = {"state": "running"} if is_locked(folder) else {}
    try:
        run = open_run(folder)
        return Overview(**always | _reached(run) | running)
    except UserError as error:
        return Overview(**always | {"state": "broken", "problem": error.problem} | running)


def _reached(run: Run) -> dict[str, Any]:
    """Raises UserError where what the run has recorded is damaged."""
    known: dict[str, Any] = {"network": _network(run.recipe), "classes": len(run.classes)}
    if not run.finished:
        phase = run.current_phase
        trained = {"epoch": run.epochs_done(phase), "epochs": run.epochs(phase)} if phase else {}
        return known | {"state": "stopped", "phase": phase} | trained
    rows = run.measured()
    if not rows:
        raise UserError(f"{run.metrics_path} is damaged: it has no rows.", "Restore it.")
    there = [row for row in rows if row.size_bytes and run.export_path(row.name).exists()]
    exported = [row for row in there if row.top1 is not None]
    best = min(exported, key=lambda row: (-(row.top1 or 0), row.size_bytes or 0), default=None)
    return known | {
        "state": "finished",
        "top1": next((row.top1 for row in rows if row.name == FIT), None),
        "best_file": best.name if best else None,
        "best_top1": best.top1 if best else None,
        "best_bytes": best.size_bytes if best else None,
    }


def _size(folder: Path) -> int:
    """Bytes of all that it holds; what vanishes meanwhile, as a training's temporary files do, is
    none of it."""
    size = 0
    for there, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += Path(there, name).lstat().st_size
    return size


def _network(recipe: Recipe) -> str:
    """Such as `mobilenet_v2 alpha=0.35, 96 px`: what is not as by default."""
    chosen = recipe.model.model_dump(mode="json", exclude_defaults=True)
    return " ".join([recipe.model.key, *(f"{key}={value}" for key, value in chosen.items())]) + (
        f", {recipe.image.size} px"
    )


def _started(folder: Path) -> datetime.datetime | None:
    """None where that is damaged."""
    try:
        started = datetime.datetime.fromisoformat(files.read_json(folder / RECORD)["started"])
    except (UserError, TypeError, KeyError, ValueError):
        return None
    zone = started.tzinfo or datetime.UTC
    return started.replace(tzinfo=zone).astimezone(datetime.UTC)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
