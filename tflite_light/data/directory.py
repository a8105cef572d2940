"""A folder of class folders, or `train/`, `val/`, `test/` of class folders."""

from pathlib import Path

from pydantic import Field

from tflite_light.data import Location, Scan, Source
from tflite_light.data._split import held_out, split_of
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Split, pictures_of

ALIKE = {*SPLITS, "training", "valid", "validation", "dev", "testing"}  # what others call parts


class Directory(Source):
    """JPEG, PNG, BMP or WebP files, one folder a class.

    Class folders alone are divided 70/10/20 by each picture's content. Folders named `train`, `val`
    and `test` are taken as they are; a missing `val` is taken out of `train` by content.
    """

    path: Location = Field(
        min_length=1, description="the folder; relative to where the command is typed"
    )

    def classes(self) -> list[str]:
        return _layout(Path(self.path))[0]

    def scan(self) -> Scan:
        folder = Path(self.path)
        classes, given = _layout(folder)
        files = _divided(folder, classes, given) if given else _by_content(_files(folder, classes))
        return classes, {name: pictures_of(files[name]) for name in SPLITS}


def labelled(folder: Path) -> list[tuple[Path, str]]:
    """Pictures of a folder of class folders with their class; where it is divided, of `test`."""
    folder = folder / "test" if (folder / "test").is_dir() else folder
    classes = _classes(folder)
    return [(path, classes[label]) for path, label in _files(folder, classes)]


def _layout(folder: Path) -> tuple[list[str], list[Split]]:
    """Class names, and the parts that the folder is divided into; none where it is not."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"data folder {folder} {what}. Set data.directory.path to a folder of class folders."
        )
    given = [name for name in SPLITS if (folder / name).is_dir()]
    divided = "train" in given and "test" in given
    alike = [name for name in _classes(folder) if name.casefold() in ALIKE]
    if len(alike) > 1 and alike != sorted(given):
        raise UserError(
            f"data folder {folder} has {' and '.join(alike)}. Rename them to train, val and test, "
            "which are the names of the parts."
        )
    if given and not divided and len(_classes(folder)) == len(given):
        raise UserError(
            f"data folder {folder} has {' and '.join(given)}, but train and test are both needed. "
            "Move some pictures there, or leave the class folders alone to have them divided."
        )
    classes = _classes(folder / "train" if divided else folder)
    if not classes:
        raise UserError(
            f"data folder {folder} has no class folders: it needs one for each class with its "
            "pictures inside."
        )
    return classes, given if divided else []


def _classes(folder: Path) -> list[str]:
    return sorted(
        child.name for child in folder.iterdir() if child.is_dir() and child.name[0] != "."
    )


def _files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and path.name[0] != "."
    ]


def _by_content(files: list[tuple[Path, int]]) -> dict[Split, list[tuple[Path, int]]]:
    parts: dict[Split, list[tuple[Path, int]]] = {name: [] for name in SPLITS}
    for path, label in files:
        parts[split_of(path.read_bytes())].append((path, label))
    return parts


def _divided(
    folder: Path, classes: list[str], found: list[Split]
) -> dict[Split, list[tuple[Path, int]]]:
    for name in found:
        strange = sorted(set(_classes(folder / name)) - set(classes))
        if strange:
            raise UserError(f"{folder / name}: class {strange[0]!r} is not in {folder / 'train'}.")
    parts: dict[Split, list[tuple[Path, int]]] = {
        name: _files(folder / name, classes) for name in found
    }
    if "val" not in parts:
        given = parts["train"]
        parts["val"] = [file for file in given if held_out(file[0].read_bytes())]
        held = set(parts["val"])
        parts["train"] = [file for file in given if file not in held]
    return parts
