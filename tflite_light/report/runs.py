"""Runs, for a person: a line each, or all of one."""

from collections.abc import Callable

from tflite_light.report import measured
from tflite_light.report.terminal import console, headed
from tflite_light.runs.folder import Run
from tflite_light.runs.overview import Overview
from tflite_light.runs.predicting import exported

COLUMNS: dict[str, Callable[[Overview], str]] = {
    "run": lambda one: one.name,
    "state": lambda one: state(one),
    "network": lambda one: one.network or "",
    "float": lambda one: _share(one.top1),
    "best file": lambda one: one.best_file or "",
    "top-1": lambda one: _share(one.best_top1),
    "KiB": lambda one: "" if one.best_bytes is None else f"{one.best_bytes / 1024:.0f}",
    "on disk": lambda one: size(one.size_bytes),
    "age": lambda one: _age(one.age_seconds),
}
LEFT = ("run", "state", "network", "best file")  # which are words


def show(found: list[Overview]) -> None:
    """Print a table on stdout."""
    table = headed(COLUMNS, LEFT)
    for one in found:
        table.add_row(*(cell(one) for cell in COLUMNS.values()))
    console(400).print(table)  # so wide that no name is cut off


def show_one(found: Overview, run: Run | None) -> None:
    """Print what is known of a run, line by line; `run` is None where it is broken."""
    lines = {
        "run": found.folder,
        "state": state(found),
        "started": _time(found.started, found.age_seconds) if found.started else "unknown",
        "on disk": size(found.size_bytes),
    }
    if found.problem:
        lines["problem"] = found.problem
    if run:
        trained = [f"{one} {run.epochs_done(one)}/{run.epochs(one)}" for one in run.phases]
        lines |= {
            "network": f"{found.network}, {len(run.classes)} classes",
            "pictures": run.recipe.source.where,
            "phases": ", ".join(trained),
            "files": ", ".join(path.name for path in exported(run.folder)),
        }
    rows = run.measured() if run and found.state == "finished" else []
    written = [run.export_path(row.name) for row in rows if run and row.size_bytes]
    if gone := [path.name for path in written if not path.exists()]:
        lines["missing"] = ", ".join(gone)
    for name, text in lines.items():
        print(f"{name:<9} {text}".rstrip())
    if rows:
        print()
        measured.show(rows)


def state(one: Overview) -> str:
    """Such as `stopped in qat, epoch 3 of 5`."""
    if one.state not in ("running", "stopped") or one.problem:
        return one.state
    if one.phase is None:
        return f"{one.state} at the export" if one.state == "stopped" else one.state
    return f"{one.state} in {one.phase}, epoch {one.epoch} of {one.epochs}"


def size(number: int) -> str:
    return f"{number / 1e6:.1f} MB"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _time(started: str, age_seconds: float | None) -> str:
    """Of a time in UTC, without its fractions."""
    return f"{started[:19].replace('T', ' ')} UTC, {_age(age_seconds)} ago"


def _age(seconds: float | None) -> str:
    """To one figure of the unit that fits: 5 min, 3 h, 12 d."""
    if seconds is None:
        return ""
    units = (("d", 86_400), ("h", 3_600), ("min", 60))
    unit, length = next(((name, one) for name, one in units if seconds >= 2 * one), ("min", 60))
    return f"{seconds / length:.0f} {unit}"
