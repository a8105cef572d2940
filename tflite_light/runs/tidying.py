"""Renaming and deleting runs, and nothing but runs that nobody works on."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.own import is_path
from tflite_light.pipeline.walk import is_litter
from tflite_light.runs.finding import require_name
from tflite_light.runs.folder import FOLDERS, OWN, Run, is_locked, locked, open_run
from tflite_light.runs.overview import RECORD, is_run
from tflite_light.wording import some

_GOING = ".deleted."  # begins the names of runs that are being removed; they never clash


def named(name: str, runs: Path) -> Path:
    """The run of this name in `runs`, or at this path. Raises UserError where there is none."""
    found = next((path for path in (runs / name, Path(name)) if is_run(path)), None)
    if found is None:
        there = os.path.lexists(runs / name) or os.path.lexists(name)
        problem = "is not a run: it has no environment.json" if there else "does not exist"
        hint = f"`tflite-light runs --runs {quote(str(runs))}` lists them."
        raise UserError(f"run {name} {problem}.", hint)
    return found


def rename(name: str, new: str, runs: Path) -> Path:
    """Give a run another name in its folder; the new path. Files that it exported keep theirs.

    Raises UserError where another process works on it, an unfinished run needs it, or the name is
    taken.
    """
    require_name(new)
    folder = named(name, runs)
    target = folder.parent / new
    _require_unneeded([folder])
    with locked(folder):
        try:
            target.mkdir()  # alone, a rename would swallow the empty folder of a run that begins
            folder.rename(target)
        except FileExistsError:
            hint = "Choose another name, or rename that first."
            raise UserError(f"{target} exists.", hint) from None
        except OSError as error:
            with contextlib.suppress(OSError):
                target.rmdir()
            raise _refused("rename", folder, error) from error
    return target


def require_deletable(folders: Sequence[Path]) -> None:
    """Raises UserError where one of them is to stay: nothing is deleted then.

    That is a link, a run that holds files that are not a run's, that another process works on, or
    that an unfinished one needs.
    """
    for folder in folders:
        if folder.is_symlink() or Path.cwd().is_relative_to(folder.resolve()):
            what = "a link to a run" if folder.is_symlink() else "the folder you are in"
            raise UserError(f"{folder} is {what}.", "Delete the run by its own path, from outside.")
        with locked(folder):  # which removes what a killed process left half-written
            strange = _strange(folder)
        if strange:
            raise UserError(
                f"{folder} holds what is not a run's: {some(strange)}.",
                "Move it elsewhere first.",
            )
    _require_unneeded(folders)


def delete(folders: Sequence[Path]) -> None:
    """Remove runs with all that they hold, or none of them; what cannot be removed is named.

    All vanish from the list before the first is removed. What a killed process left of others goes,
    too.
    """
    require_deletable(folders)
    with contextlib.ExitStack() as held:
        for folder in folders:
            held.enter_context(locked(folder))
        going = _set_aside(folders)
        for place in {one for folder in folders for one in folder.parent.glob(f"{_GOING}*")}:
            if place not in going.values() and not is_locked(place):
                shutil.rmtree(place, ignore_errors=True)
        left = [one for folder, place in going.items() if (one := _removed(folder, place))]
    if left:
        raise left[0]


def _set_aside(folders: Sequence[Path]) -> dict[Path, Path]:
    """Give all of them names that no list shows, or none of them."""
    going: dict[Path, Path] = {}
    for folder in folders:
        place = folder.with_name(f"{_GOING}{secrets.token_hex(4)}")
        try:
            folder.rename(place)
        except OSError as error:
            for before, after in going.items():
                after.rename(before)
            raise _refused("delete", folder, error) from error
        going[folder] = place
    return going


def _removed(folder: Path, place: Path) -> UserError | None:
    """What keeps a run that was set aside from being removed."""
    try:
        shutil.rmtree(place)
    except OSError as error:
        return UserError(
            f"cannot delete all of {folder}: {error.filename}: {error.strerror}.",
            f"What is left lies in {place}.",
        )
    return None


def _refused(what: str, folder: Path, error: OSError) -> UserError:
    return UserError(f"cannot {what} {folder}: {error.strerror}.", "Nothing was changed.")


def _require_unneeded(folders: Sequence[Path]) -> None:
    """Raises UserError where an unfinished run beside them names one of them in its recipe."""
    going = {folder.resolve(): folder for folder in folders}
    beside = {path for folder in folders for path in folder.parent.glob(FOLDERS)}
    others = sorted(path for path in beside if path.resolve() not in going)
    for run in filter(None, map(_unfinished, others)):
        texts = _texts(run.recipe.model_dump(mode="json"))
        paths = [path.resolve() for path in map(Path, texts) if path.is_absolute()]
        for place, folder in going.items():
            if any(path.is_relative_to(place) for path in paths):
                raise UserError(
                    f"{run.folder} is unfinished and needs {folder}: its recipe names it.",
                    f"Finish it with `{run.resume_command()}`; or delete both.",
                )


def _strange(folder: Path) -> list[str]:
    """What lies in a run and is neither its own nor left behind by a system."""
    own = {path for pattern in OWN for path in folder.glob(pattern)} | _own_parts(folder)
    found = {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    names = sorted(path.relative_to(folder) for path in found - own)
    return [str(name) for name in names if not any(map(is_litter, name.parts))]


def _own_parts(folder: Path) -> set[Path]:
    """The copies of parts outside the package, by the run's record: they may have been changed."""
    try:
        recorded = files.read_json(folder / RECORD)["parts"]
        return {folder / name for name in recorded if is_path(name)}
    except (UserError, TypeError, KeyError):
        return set()


def _unfinished(folder: Path) -> Run | None:
    try:
        run = open_run(folder)
    except UserError:
        return None
    return None if run.finished else run


def _texts(value: Any) -> Iterator[str]:
    """Every text in a recipe, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
