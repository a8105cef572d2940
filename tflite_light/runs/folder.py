"""The folder of a run: the only place that knows its paths, and what it was made by.

recipe.yaml       the resolved recipe, absolute data paths
NAME.py ...       copies of its parts outside the package, by which the run is opened
environment.json  versions (the kit's own too), machine, seed, the recipe once more, and
                  SHA-256 of these copies
data.json         class names in the order of the logits; digests and counts of the pictures,
                  digests of a teacher's weights and of those that it started from
history.csv, tensorboard/, checkpoints/, exports/, metrics.json, report.html
"""

import contextlib
import fcntl
import shlex
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tflite_light import files
from tflite_light import recipe as recipes
from tflite_light.compress import Plan, Stage
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured
from tflite_light.recipe import Recipe
from tflite_light.runs.origin import Origin
from tflite_light.runs.record import require_unchanged
from tflite_light.training.history import read_history
from tflite_light.training.places import Places

LOCK = ".lock"
FOLDERS = "[!.]*"  # of runs; a hidden one is what is left of a run that was deleted
_ASKED_SECONDS = 1  # in which those who ask whether a run is locked, and hold it to know, are done
CLASSIFIER_PHASE = "classifier"  # the first phase of fine-tuning: all else is frozen
FIT = "fit"  # the phase that trains the network; those after it are named after their stage
OWN = (  # all that a run holds, besides copies of parts
    *("recipe.yaml", "environment.json", "data.json", "history.csv", "metrics.json"),
    *("report.html", LOCK, "tensorboard", "checkpoints", "exports"),
    *("tensorboard/**/events.out.tfevents.*", "checkpoints/*.npz", "checkpoints/*.plan.json"),
    *("exports/*.tflite", "exports/*.tflite.packed", "exports/*.json"),
    "exports/*_golden/[0-9].png",
)


Rows = Mapping[str, dict[str, Any]]  # of metrics.json, by name


@dataclass(frozen=True)
class Run:
    """A folder that holds a recipe and what came of it."""

    folder: Path
    recipe: Recipe

    @property
    def finished(self) -> bool:
        return self.metrics_path.exists()

    @property
    def stages(self) -> dict[str, Stage]:
        return {stage.key: stage for stage in self.recipe.compress}

    @property
    def phases(self) -> list[str]:
        first = [CLASSIFIER_PHASE, FIT] if self.recipe.training.freeze else [FIT]
        return [*first, *self.stages]

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.json"

    def weights_path(self, phase: str) -> Path:
        """What a phase ended with."""
        return self.folder / "checkpoints" / f"{phase}.npz"

    def plan_path(self, phase: str) -> Path:
        """What a stage decided before it was trained."""
        return self.folder / "checkpoints" / f"{phase}.plan.json"

    def places(self, phase: str) -> Places:
        """Where a phase writes while it is trained."""
        return Places(
            state=self.folder / "checkpoints" / f"{phase}.state.npz",
            history=self.folder / "history.csv",
            tensorboard=self.folder / "tensorboard" / phase,
        )

    def epochs(self, phase: str) -> int:
        """As many as a phase is to be trained for."""
        settings = self.recipe.training
        if phase == CLASSIFIER_PHASE and settings.freeze:
            return settings.freeze.epochs
        return self.stages[phase].epochs if phase in self.stages else settings.epochs

    def epochs_done(self, phase: str) -> int:
        """As many as a phase has been trained for, by the history."""
        rows = read_history(self.places(phase).history)
        return sum(row["phase"] == phase for row in rows)

    @property
    def current_phase(self) -> str | None:
        """The first phase that is not trained to its end; None where only the export is left."""
        return next((one for one in self.phases if not self.weights_path(one).exists()), None)

    def begun(self, phase: str) -> bool:
        return self.weights_path(phase).exists() or self.places(phase).state.exists()

    def export_path(self, mode: str, out: Path | None = None) -> Path:
        """Where a mode's file goes: into the run, or into `out` under the run's name."""
        if out:
            return out / f"{self.folder.resolve().name}_{mode}.tflite"
        return self.folder / "exports" / f"{mode}.tflite"

    def read_plan(self, phase: str) -> Plan:
        """Raises UserError when it is missing or damaged."""
        plan = files.read_json(self.plan_path(phase))
        if not isinstance(plan, dict):
            raise UserError(f"{self.plan_path(phase)} is damaged.", "Train the recipe again.")
        return plan

    @cached_property
    def origin(self) -> Origin:
        """What it was started on. Raises UserError as `Origin.read` does."""
        return Origin.read(self.folder)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the logits, as they were when the run was started."""
        return self.origin.classes

    def recipe_at(self, data: str | Path | None, skip_strangers: bool = False) -> Recipe:
        """The recipe, with its pictures at `data` where that is given."""
        source = self.recipe.source
        if data is not None:
            source = source.located(Path(data), skip_strangers)
            if not self.origin.has_same_data(source):
                source = source.bare()
        elif skip_strangers:
            source = source.changed(source.skipping)
        return self.recipe.model_copy(update={"data": source})

    def write_rows(self, rows: list[Measured]) -> None:
        """Keep metrics.json true of the files in `exports/`, after some were written again."""
        metrics, kept = self._metrics()
        new = {row.name: row.to_json() for row in rows}
        found = kept | new
        for name, row in found.items():
            if row.get("size_bytes"):
                row["paired"] = _paired(name, found, kept, new)
        files.write_json(self.metrics_path, {**metrics, "rows": list(found.values())})

    def exported(self) -> dict[str, str | None]:
        """Of each row of metrics.json, the SHA-256 of its file's network, if known."""
        return {name: row.get("sha256") for name, row in self._metrics()[1].items()}

    def measured(self) -> list[Measured]:
        """The rows of metrics.json."""
        rows = self._metrics()[1].values()
        try:
            return [Measured.from_json(row) for row in rows]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise self._damaged from error

    def _metrics(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What metrics.json holds, and its rows by name."""
        found = files.read_json(self.metrics_path)
        try:
            return found, {row["name"]: dict(row) for row in found["rows"]}
        except (TypeError, KeyError, ValueError) as error:
            raise self._damaged from error

    @property
    def _damaged(self) -> UserError:
        return UserError(
            f"{self.metrics_path} is damaged.",
            f"Restore it; or remove it, then write it anew with `{self.resume_command()}`.",
        )

    def progress(self) -> str:
        """How far an unfinished run came, for a person."""
        phase = self.current_phase
        return f"it stopped in phase {phase}" if phase else "it stopped at the export"

    def resume_command(self, data: str | Path | None = None) -> str:
        """What to type in order to finish it, with its pictures at `data` if they were moved."""
        given = ["--data", str(data)] if data else []
        return shlex.join(["tflite-light", "train", str(self.folder), "--resume", *given])

    def locked(self) -> AbstractContextManager[None]:
        return locked(self.folder)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a run for this process; what a killed one left half-written is removed.

    The system frees the lock when its process ends, however it ends. Raises UserError where another
    process works on the run.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=_ASKED_SECONDS, poll_interval=0.02)
    except Timeout:
        raise UserError(
            f"{folder} is being written by another process.",
            "Wait until it has finished, or stop it first.",
        ) from None
    try:
        files.remove_unfinished(folder)
        yield
    finally:
        lock.release()


def _paired(name: str, found: Rows, kept: Rows, new: Rows) -> Any:
    """How a file compares with the first of its run, where both are still what was compared."""
    first = next(one for one, row in found.items() if row.get("size_bytes"))
    changed = {one for one in new if kept.get(one, {}).get("sha256") != new[one].get("sha256")}
    before = None if changed & {name, first} else kept.get(name, {}).get("paired")
    pairs = [pair for pair in (new.get(name, {}).get("paired"), before) if pair]
    return next((pair for pair in pairs if name != first == pair["against"]), None)


def is_locked(folder: Path) -> bool:
    """Whether a process works on the run; nothing is written, so that anyone may ask."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no process has worked on it, or none that this user may know of
        return False
    return False


def open_run(folder: str | Path | Run) -> Run:
    """The run in a folder; an open one as it is.

    Raises UserError when `folder` is not a run, or its recipe was changed since it was made.
    """
    if isinstance(folder, Run):
        return folder
    folder = Path(folder)
    if folder.is_file():
        raise UserError(
            f"{folder} is neither the folder of a run nor a recipe (.yaml).",
            "Weights are exported by a recipe that names them at weights:.",
        )
    if not (folder / "recipe.yaml").exists():
        found = "is not a run: it has no recipe.yaml" if folder.exists() else "does not exist"
        raise UserError(
            f"{folder} {found}.",
            "Runs are made by `tflite-light train`.",
        )
    recipe = recipes.load(folder / "recipe.yaml")
    if not recipe.train:
        raise UserError(f"{folder / 'recipe.yaml'} has no train:.", "Restore it, or train again.")
    require_unchanged(folder, recipe)
    return Run(folder, recipe)


def require_finished(run: Run) -> None:
    if run.finished:
        return
    if is_locked(run.folder):
        raise UserError(f"{run.folder} is being trained.", "Wait until it has finished.")
    raise UserError(
        f"{run.folder} is unfinished: {run.progress()}.",
        f"Finish it with `{run.resume_command()}`.",
    )
