"""The folder of a run: its recipe, what came of it, and finding it again."""

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflite_light import files
from tflite_light import recipe as recipes
from tflite_light.compress import Stage
from tflite_light.errors import UserError
from tflite_light.recipe import Recipe

CLASSIFIER_PHASE = "classifier"  # the first phase of fine-tuning: all else is frozen
FIT = "fit"  # the phase that trains the network; those after it are named after their stage
PACKAGES = (
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "keras-cv",
    "ai-edge-litert",
    "numpy",
    "pillow",
)


@dataclass(frozen=True)
class Run:
    """A folder that holds a recipe and what came of it."""

    folder: Path
    recipe: Recipe

    @property
    def finished(self) -> bool:
        return (self.folder / "metrics.json").exists()

    @property
    def stages(self) -> dict[str, Stage]:
        return {stage.key: stage for stage in self.recipe.compress}

    @property
    def phases(self) -> list[str]:
        first = [CLASSIFIER_PHASE, FIT] if self.recipe.training.freeze else [FIT]
        return [*first, *self.stages]

    @property
    def promised_zeros(self) -> float:
        return max((stage.promised_zeros() for stage in self.recipe.compress), default=0.0)

    def weights_path(self, phase: str) -> Path:
        return self.folder / "checkpoints" / f"{phase}.npz"

    def export_path(self, mode: str, out: Path | None = None) -> Path:
        """Where a mode's file goes: into the run, or into `out` under the run's name."""
        if out:
            return out / f"{self.folder.name}_{mode}.tflite"
        return self.folder / "exports" / f"{mode}.tflite"

    def progress(self) -> str:
        """How far an unfinished run came, for a person."""
        for phase in self.phases:
            if not self.weights_path(phase).exists():
                return f"it stopped in phase {phase}"
        return "it stopped at the export"


def create(recipe: Recipe, name: str, runs: Path) -> Run:
    """A new folder `runs/name`, or `name-2`, `name-3` ... where older runs stand."""
    if Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UserError(f"{name!r} cannot name a run. Give --name letters, digits, - and _.")
    taken = [run.folder.name for run in _named(name, runs)]
    folder = runs / (name if not (runs / name).exists() else f"{name}-{_number(taken, name) + 1}")
    try:
        folder.mkdir(parents=True)
        files.write(folder / "recipe.yaml", recipes.to_yaml(recipe))
        files.write_json(folder / "environment.json", _environment(recipe))
    except OSError as error:
        raise UserError(
            f"cannot make {folder}: {error.strerror}. Choose another folder with --runs."
        ) from error
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Run(folder, recipe)


def open_run(folder: Path) -> Run:
    """Raises UserError when `folder` is not a run."""
    if folder.is_file():
        raise UserError(
            f"{folder} is neither the folder of a run nor a recipe (.yaml). Weights are exported "
            "by a recipe that names them at weights:."
        )
    if not (folder / "recipe.yaml").exists():
        raise UserError(
            f"{folder} is not a run: it has no recipe.yaml. Runs are made by `tflite-light train`."
        )
    recipe = recipes.load(folder / "recipe.yaml")
    if not recipe.train:
        raise UserError(f"{folder / 'recipe.yaml'} has no train:. Restore it, or train anew.")
    return Run(folder, recipe)


def newest(runs: Path) -> Run:
    """The run that was started last. Raises UserError when there is none."""
    folders = [path.parent for path in runs.glob("*/environment.json")]
    if not folders:
        raise UserError(
            f"no run in {runs} yet. Make one: tflite-light train recipes/mobilenet_v2.yaml"
        )
    return open_run(max(folders, key=_started))


def to_resume(target: Path, name: str, runs: Path, recipe: Recipe) -> Run:
    """The run `target`, or the newest unfinished one of the recipe `target`.

    Raises UserError when there is none, or its recipe is another by now.
    """
    if target.is_dir():
        run = open_run(target)
        if run.finished:
            raise UserError(f"{target} is finished. See it: tflite-light evaluate {target}")
    else:
        run = _unfinished(name, runs)
    if run.recipe != recipe:
        changed = ", ".join(_differences(run.recipe.model_dump(), recipe.model_dump()))
        raise UserError(
            f"{run.folder} was started with another recipe; {changed} differ. "
            f"Go on with its own: tflite-light train {run.folder} --resume"
        )
    return run


def require_finished(run: Run) -> None:
    if not run.finished:
        raise UserError(
            f"{run.folder} is unfinished: {run.progress()}. Finish it: tflite-light train "
            f"{run.folder} --resume"
        )


def _unfinished(name: str, runs: Path) -> Run:
    candidates = [run for run in _named(name, runs) if not run.finished]
    if not candidates:
        raise UserError(
            f"nothing to resume: no unfinished run of {name} in {runs}. Start one without --resume."
        )
    return candidates[-1]


def _named(name: str, runs: Path) -> list[Run]:
    """Runs of one recipe, oldest first."""
    pattern = re.compile(re.escape(name) + r"(-\d+)?")
    folders = [
        path.parent for path in runs.glob("*/recipe.yaml") if pattern.fullmatch(path.parent.name)
    ]
    return [
        open_run(folder)
        for folder in sorted(folders, key=lambda folder: _number([folder.name], name))
    ]


def _started(folder: Path) -> str:
    """When, in ISO 8601; nothing where that is damaged, so that the run counts as the oldest."""
    try:
        return str(files.read_json(folder / "environment.json")["started"])
    except (UserError, TypeError, KeyError):
        return ""


def _number(taken: list[str], name: str) -> int:
    return max([int(folder.removeprefix(name).lstrip("-") or 1) for folder in taken], default=1)


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in one if one[key] != other[key]]


def _environment(recipe: Recipe) -> dict[str, Any]:
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "seed": recipe.seed,
        "python": sys.version.split()[0],
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": {
            "system": platform.platform(),
            "cpu": platform.machine(),
            "cores": os.cpu_count(),
        },
    }
