"""Making the folder of a new run, and finding older ones again."""

import contextlib
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.pipeline.examples import Examples
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs.folder import FOLDERS, Run, open_run
from tflite_light.runs.overview import is_run
from tflite_light.runs.record import changed_files, differences, own_digests, papers
from tflite_light.training import distribution


def create(
    recipe: Recipe,
    name: str,
    runs: Path,
    parts: Mapping[str, Examples],
    teacher: str | None = None,
    weights: str | None = None,
) -> Run:
    """A new folder `runs/name`, or `name-2`, `name-3` ... where older runs stand.

    `teacher` is a digest of its teacher's weights, `weights` of those that it starts from.
    """
    require_name(name)
    found = papers(recipe, parts, teacher, weights)  # which takes minutes of many pictures
    run = Run(_new_folder(name, runs), recipe.absolute())
    try:
        files.write_all({run.folder / name: content for name, content in found.items()})
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise
    return run


def require_name(name: str) -> None:
    """Raises UserError where a run cannot have this name."""
    plain = Path(name).name == name and name.isprintable()
    if not name or not plain or name.startswith((".", "-")):
        raise UserError(
            f"{name!r} cannot name a run.",
            "It becomes a folder: leave out slashes, line breaks, and . or - at its beginning.",
        )


def newest(runs: Path) -> Run:
    """The run that was started last. Raises UserError when there is none."""
    folders = [path.parent for path in runs.glob(f"{FOLDERS}/environment.json")]
    if not folders:
        raise UserError(f"no run in {runs} yet.", "Make one: `tflite-light train mobilenet_v2`")
    return open_run(max(folders, key=_started))


def owner(target: Path) -> Run | None:
    """The finished run that a target is, or among whose exports it lies; else None."""
    path = target if target.parent.name else target.absolute()  # typed among the exports
    exported = path.parent.name == "exports" and not target.is_dir()
    folder = path.parent.parent if exported else target
    finished = is_run(folder) and (folder / "metrics.json").exists()  # which others write, too
    return open_run(folder) if finished else None


def to_resume(target: Path, name: str, runs: Path, recipe: Recipe) -> Run:
    """The run `target`, or the newest unfinished one of the recipe `target`.

    Raises UserError when there is none, or `recipe`, as it is asked for, is not the run's.
    """
    if target.is_dir():
        run = open_run(target)
        require_unfinished(run)
    else:
        run = _unfinished(name, runs, recipe)
    require_same_recipe(run, recipe)
    return run


def require_unfinished(run: Run) -> None:
    if run.finished:
        there = shlex.quote(str(run.folder))
        raise UserError(
            f"{run.folder} is finished.", f"See it with `tflite-light evaluate {there}`."
        )


def require_same_recipe(run: Run, recipe: Recipe) -> None:
    """Raises UserError where a recipe, as it is asked for, is not the run's."""
    then, now = run.recipe.model_dump(mode="json"), recipe.absolute().model_dump(mode="json")
    changed = changed_files(own_digests(run.recipe), recipe)
    changes = "; ".join(differences(then, now))
    if changed or changes:
        raise UserError(
            f"{run.folder} was started with another {changed or f'recipe: {changes}'}.",
            f"Go on with its own: `{run.resume_command()}`",
        )


def _new_folder(name: str, runs: Path) -> Path:
    number = max(_numbers(name, runs), default=0) + 1
    while True:
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise UserError(
                    f"cannot make {folder}: a file has that name.",
                    "Choose another with `--name` or `--runs`.",
                ) from None
            number += 1  # another process was quicker
        except OSError as error:
            raise UserError(
                f"cannot make {folder}: {error.strerror}.",
                "Choose another with `--name` or `--runs`.",
            ) from error
        else:
            return folder


def _unfinished(name: str, runs: Path, recipe: Recipe) -> Run:
    """The newest unfinished run of a recipe that no process works on.

    Others of its name are skipped: those that cannot be read are named, and those of another recipe
    where there is none of this one.
    """
    others: list[UserError] = []
    for number in sorted(_numbers(name, runs), reverse=True):
        try:
            run = open_run(runs / (name if number == 1 else f"{name}-{number}"))
        except UserError as error:
            say(f"skipping a run: {error.problem}")
            continue
        if run.finished:
            continue
        try:
            require_same_recipe(run, recipe)
            if distribution.writes():  # of a cluster the first worker may hold it by now
                with run.locked():
                    pass
        except UserError as error:
            others.append(error)
        else:
            return run
    if others:
        raise others[0]
    hint = "Start one without `--resume`."
    if renamed := _of_recipe(runs, recipe):
        hint = f"{renamed.folder} is one of this recipe: `{renamed.resume_command()}`"
    raise UserError(f"nothing to resume: no unfinished run of {name} in {runs}.", hint)


def _of_recipe(runs: Path, recipe: Recipe) -> Run | None:
    """The newest unfinished run of a recipe, whatever its name."""
    folders = [path for path in runs.glob(FOLDERS) if is_run(path)]
    for folder in sorted(folders, key=_started, reverse=True):
        with contextlib.suppress(UserError):
            run = open_run(folder)
            require_unfinished(run)
            require_same_recipe(run, recipe)
            return run
    return None


def _numbers(name: str, runs: Path) -> list[int]:
    """Of a recipe's runs: `name` is 1, `name-2` is 2 ..."""
    pattern = re.compile(re.escape(name) + r"(?:-([1-9]\d*))?")
    found = [pattern.fullmatch(path.name) for path in runs.glob("*") if path.is_dir()]
    return [int(match[1] or 1) for match in found if match]


def _started(folder: Path) -> str:
    """When, in ISO 8601; nothing where that is damaged, so that the run counts as the oldest."""
    try:
        return str(files.read_json(folder / "environment.json")["started"])
    except (UserError, TypeError, KeyError):
        return ""
