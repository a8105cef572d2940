"""A folder of class folders, or `train/`, `val/`, `test/` of class folders."""

import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from tflite_light.classes import plain
from tflite_light.data import ALL, Location, Scan, Source
from tflite_light.data._repository import is_repository
from tflite_light.data._split import NAMES
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures, Split, pictures_of
from tflite_light.pipeline.walk import LEAVE_OUT, SKIP, SKIP_BROKEN, Walk
from tflite_light.wording import absent, count, some

ByClass = dict[str, list[Path]]


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(
            f"needs one group in parentheses, not {groups}, as in '(.+)_'; others are (?:...)"
        )
    return pattern


Pattern = Annotated[str, AfterValidator(_one_group)]


class Directory(Source):
    """Pictures of any format, one folder a class.

    Class folders alone are divided 70/10/20 by each picture's content. `train` beside `val` or
    `test` (or `valid`, `validation`, `testing` ...) is taken as divided, where they hold class
    folders: without `val` an eighth of `train` is; without `test` (ImageNet, Ultralytics) `val` is
    the test part, and `val` comes out of `train`. `pipeline/walk.py` says which files are pictures.
    """

    path: Location = Field(
        min_length=1, description="the folder; relative to where the command is typed"
    )
    skip_strangers: bool = Field(False, description=SKIP)
    leave_out: list[str] = Field([], description=LEAVE_OUT)
    group: Pattern | None = Field(
        None,
        description="regular expression with one group, searched in a picture's path below its "
        "class folder: whom it shows. One person, patient or video lies in one part alone",
    )
    skip_broken: bool = Field(False, description=SKIP_BROKEN)

    @classmethod
    def at(cls, path: Path, skip_strangers: bool = False) -> Self | None:
        if not path.is_dir() or is_repository(path):
            return None
        return cls(path=str(path), skip_strangers=skip_strangers)

    @classmethod
    def example(cls, folder: Path) -> Self:
        from tflite_light.data._examples import write_photographs

        return cls(path=str(write_photographs(folder / "photos")))

    def scan(self) -> Scan:
        folder = Path(self.path)
        if not os.path.isdir(folder):
            found = f"{folder} is a file" if os.path.exists(folder) else absent(folder)
            raise UserError(
                f"data folder {found}.",
                "Set data.directory.path to a folder of class folders.",
            )
        walk = Walk(folder, self.leave_out)
        parts, whole = _find(walk, folder)
        classes = sorted({name for part in (whole, *parts.values()) for name in part if part[name]})
        walk.empty = [path for name, path in walk.classes.items() if name not in classes]
        walk.conclude(self.where, "data.directory", self.skip_strangers)
        if not classes:
            raise UserError(
                f"data folder {folder} has no class folders.",
                "It needs one for each class, with its pictures inside.",
            )
        if "train" in parts:
            _require_trained(folder, parts)
        if not parts:
            return classes, {ALL: self._pictures(whole, classes, depth=1)}
        return classes, {name: self._pictures(parts[name], classes, depth=2) for name in parts}

    def _pictures(self, by_class: ByClass, classes: list[str], depth: int) -> Pictures:
        """Pictures of class folders that lie `depth` folders below the source's."""
        files = _labelled(by_class, classes)
        if not self.group:
            return pictures_of(files)
        below = [Path(*path.relative_to(self.path).parts[depth:]).as_posix() for path, _ in files]
        found = [re.search(self.group, plain(name)) for name in below]
        groups = [one[1] if one else None for one in found]
        if lost := [path for (path, _), group in zip(files, groups, strict=True) if not group]:
            raise UserError(
                f"{self.where}: {count(len(lost), 'picture')} in no group, since "
                f"{self.group!r} does not match: {some(lost, 3)}.",
                "Correct `data.directory.group`, or rename them.",
            )
        return pictures_of(files, [group for group in groups if group])


def _find(walk: Walk, folder: Path) -> tuple[dict[Split, ByClass], ByClass]:
    """Pictures by class: of each part, or of the whole folder where it is not divided."""
    top = walk.folders(folder)
    parts = _parts(folder, top)
    if not parts:
        _require_classes(folder, top)
        return {}, _by_class(walk, top)
    other = Walk(folder, walk.leave_out)  # what else lies beside the parts may hold any files
    beside = [path for path in top.values() if path not in parts.values()]
    walk.outside += [picture for path in beside for picture in other.pictures(path)]
    walk.broken += other.broken
    walk.left_out |= other.left_out
    return {name: _by_class(walk, walk.folders(path)) for name, path in parts.items()}, {}


def _parts(folder: Path, top: dict[str, Path]) -> dict[Split, Path]:
    """The parts that a folder is divided into; none where all its folders are classes.

    It is divided where `train` stands beside another part, or parts are all there is. Raises
    UserError where that cannot be told from classes of these names.
    """
    alike = [name for name in top if name.casefold() in NAMES]
    named = [NAMES[name.casefold()] for name in alike]
    if not alike or not (len(alike) == len(top) or ("train" in named and len(set(named)) > 1)):
        return {}
    flat = [name for name in alike if _holds_pictures(top[name])]
    if flat == alike and len(top) > len(alike):
        return {}
    why = "so one part twice" if len(set(named)) < len(named) else ""
    if flat:
        why = f"which may be parts or classes: pictures lie directly in {' and '.join(flat)}"
    if why:
        raise UserError(
            f"data folder {folder} has {' and '.join(alike)}, {why}.",
            "Parts hold class folders and are called train, val and test. Rename what is a class.",
        )
    return {part: top[name] for part in SPLITS for name in alike if NAMES[name.casefold()] == part}


def _require_classes(folder: Path, top: dict[str, Path]) -> None:
    """Raises UserError where folders such as `training_set` hold the classes instead of being some.

    They hold folders alone, of names that stand beside them or in another such folder, too.
    """
    inside = {
        name: set(Walk(folder).folders(path))
        for name, path in top.items()
        if name.casefold().startswith(("train", "val", "test")) and not _holds_pictures(path)
    }
    for name, found in inside.items():
        elsewhere = set(top).union(*(inside[other] for other in inside if other != name))
        if twice := sorted(found & elsewhere):
            raise UserError(
                f"data folder {folder}: {name} holds class folders, such as {twice[0]}, which also "
                "stands elsewhere, so it looks like a part and not like a class.",
                "Parts are called train, val and test, and lie beside no classes. Rename or move "
                "it; or name the folder of the classes.",
            )


def _holds_pictures(folder: Path) -> bool:
    """Whether pictures lie directly in a folder, as they do in a class folder."""
    walk = Walk(folder)
    walk.folders(folder)
    return bool(walk.outside)


def _require_trained(folder: Path, parts: dict[Split, ByClass]) -> None:
    """Raises UserError where a class to choose by or to measure on has no pictures in train."""
    for part, by_class in parts.items():
        found = [name for name in by_class if by_class[name]]
        strange = [name for name in found if not parts["train"].get(name)]
        if strange:
            raise UserError(
                f"{folder}: class {strange[0]!r} of {part} is not in train.",
                "Add pictures of it there, or remove it here.",
            )


def _by_class(walk: Walk, folders: dict[str, Path]) -> ByClass:
    walk.classes |= folders
    return {name: walk.pictures(path) for name, path in folders.items()}


def _labelled(by_class: ByClass, classes: list[str]) -> list[tuple[Path, int]]:
    return [(path, label) for label, name in enumerate(classes) for path in by_class.get(name, [])]
