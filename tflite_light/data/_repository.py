"""Which Parquet files of a dataset's folder belong to which configuration and split.

Its card (`README.md`) says so, or the names of its files, as the Hub reads them.
"""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from tflite_light.data._numbered import NUMBERED, lacking
from tflite_light.data._split import NAMES
from tflite_light.errors import UserError
from tflite_light.pipeline import formats
from tflite_light.wording import count, some

SUFFIX = ".parquet"
CARD = "README.md"
DEFAULT = "default"  # the configuration of files in no folder of their own
DEPTH = 2  # folders in which a dataset's files lie, to know it by: config/split/0000.parquet
DEEPEST = 10  # folders that a card may name files in
CONVERTED = "refs/convert/parquet"  # the revision in which the Hub keeps what it converted

Splits = dict[str, list[str]]  # files of each split, relative to the folder, with /


def is_repository(path: Path) -> bool:
    """Whether it is a Parquet file, or a folder of some and not of class folders of pictures."""
    if path.is_file():
        return path.suffix.lower() == SUFFIX
    if not any(is_parquet(name) for name in _files(path, DEPTH)):
        return False
    folders = {
        str(PurePosixPath(name).parent)
        for name in _files(path, DEPTH)
        if PurePosixPath(name).suffix.lower() in formats.SUFFIXES
    }
    return len(folders) < 2  # a card's illustrations lie in one


def parquet_files(folder: Path) -> list[str]:
    """Relative to the folder, with `/`, sorted."""
    return sorted(filter(is_parquet, _files(folder, DEEPEST)))


def is_parquet(name: str) -> bool:
    return name.lower().endswith(SUFFIX)


def _files(folder: Path, depth: int) -> Iterator[str]:
    """All but hidden ones, such as those of Git and of the Hub's programs."""
    for there, folders, names in os.walk(folder, followlinks=True):
        here = Path(there)
        below = here.relative_to(folder)
        folders[:] = sorted(
            name
            for name in folders
            if name[0] != "." and len(below.parts) < depth and not _leads_back(folder, below, name)
        )
        yield from ((below / name).as_posix() for name in names if name[0] != ".")


def _leads_back(root: Path, below: Path, name: str) -> bool:
    """Whether a folder is a link to one that holds it, by the path that leads to it."""
    there = (root / below / name).resolve()
    path = (root / one for one in (below, *below.parents))
    return any(one.resolve().is_relative_to(there) for one in path)


def read_card(path: Path) -> dict[str, Any]:
    """What a dataset's card says at its head; nothing where it has none that can be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8-sig")
        head = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", text, re.DOTALL)
        found = YAML(typ="safe").load(head[1]) if head else None
    except (OSError, UnicodeDecodeError, YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def features_of(where: str, card: dict[str, Any], config: str) -> dict[str, dict[str, Any]]:
    """What a card says of a configuration's columns, as `datasets` writes it into files.

    Raises UserError where it does not number the classes from 0.
    """
    about = card.get("dataset_info")
    every = _list([about] if isinstance(about, dict) else about)
    mine = [one for one in every if len(every) == 1 or one.get("config_name") == config]
    found: dict[str, dict[str, Any]] = {}
    for column in _list(mine[0].get("features") if mine else None):
        kind, name = column.get("dtype"), str(column.get("name"))
        if kind == "image":
            found[name] = {"_type": "Image"}
        elif isinstance(kind, dict) and isinstance(kind.get("class_label"), dict):
            names = kind["class_label"].get("names")
            listed = _numbered(where, name, names) if isinstance(names, dict) else names
            found[name] = {"_type": "ClassLabel", "names": listed}
    return found


def _numbered(where: str, column: str, names: dict[Any, Any]) -> list[Any]:
    """Class names of `{'0': name, '1': name, ...}`, which may come sorted as text: 0, 1, 10, 2."""
    by_number = {str(key): name for key, name in names.items()}
    numbers = [str(number) for number in range(len(names))]
    if lost := [number for number in numbers if number not in by_number]:
        raise UserError(
            f"the card of {where} ({CARD}) has no name for class {some(lost, 3)} of column "
            f"{column}; it names {some([*by_number], 10)}.",
            f"Number the {count(len(names), 'class', 'classes')} from 0 there.",
        )
    return [by_number[number] for number in numbers]


def splits(
    where: str,
    files: list[str],
    card: dict[str, Any],
    config: str | None,
    asked: Collection[str] = (),
) -> tuple[str, Splits]:
    """A configuration, and the files of its splits: where none is asked for, the only or default.

    Raises UserError where there is no such one, or several and no default; and where files are
    missing of the splits that are `asked` for, or of any.
    """
    found, lost = _by_card(files, card)
    found = found or _by_names(files)
    if not found:
        raise UserError(
            f"{where} holds no {SUFFIX} file.",
            "It needs such as data/train-00000-of-00001.parquet. `Dataset.to_parquet` writes what "
            f"`save_to_disk` saved; of most datasets on the Hub `revision: {CONVERTED}` has them.",
        )
    chosen = config or (next(iter(found)) if len(found) == 1 else _default(found, card))
    if chosen not in found:
        problem = f"no configuration {config!r}; it has" if config else "several configurations:"
        raise UserError(
            f"{where} has {problem} {some(sorted(found), 10)}.",
            "Set data.huggingface.config to one of them.",
        )
    missing = lost.get(chosen, {})
    if named := [f"{split} ({missing[split]})" for split in missing if not asked or split in asked]:
        raise UserError(
            f"{where} holds no file of {some(named)}, which its card ({CARD}) names.",
            "Fetch the rest, or set data.huggingface.train, val and test to splits that are there.",
        )
    for mine in found[chosen].values():
        if lacks := lacking(mine):
            raise UserError(f"{where} {lacks}.", "Fetch the rest.")
    return chosen, found[chosen]


def _default(found: Collection[str], card: dict[str, Any]) -> str:
    every = _list(card.get("configs"))
    marked = [str(one.get("config_name")) for one in every if one.get("default")]
    named = [str(one.get("config_name", DEFAULT)) for one in every]
    return next((name for name in [*marked, DEFAULT] if name in found and name in named), "")


def _by_card(
    files: list[str], card: dict[str, Any]
) -> tuple[dict[str, Splits], dict[str, dict[str, str]]]:
    """Configurations of which there are files, and of each the splits with a pattern of none."""
    found: dict[str, Splits] = {}
    lost: dict[str, dict[str, str]] = {}
    for one in _list(card.get("configs")):
        splits: Splits = {}
        missing: dict[str, str] = {}
        if one.get("data_dir") and not one.get("data_files"):
            splits = _below(posixpath.normpath(str(one["data_dir"])), files)
        for split, pattern in _patterns(one.get("data_files")):
            parts = pattern.removeprefix("./").split("/")
            mine = [file for file in files if _fits(file.split("/"), parts)]
            if not mine:
                missing.setdefault(split, pattern)
            splits[split] = sorted({*splits.get(split, []), *mine})
        if any(splits.values()):
            name = str(one.get("config_name", DEFAULT))
            found[name] = {split: mine for split, mine in splits.items() if mine}
            lost[name] = missing
    return found, lost


def _below(folder: str, files: list[str]) -> Splits:
    """The splits of all files in a folder, `.` the dataset's own, at any depth, by their names."""
    splits: Splits = defaultdict(list)
    prefix = "" if folder == "." else f"{folder}/"
    for file in sorted(file for file in files if file.startswith(prefix)):
        splits[_named(file.removeprefix(prefix))[1]].append(file)
    return dict(splits)


def _fits(file: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path is of a pattern, both by folders: `**` is any number of them, as on the Hub,
    and `*` stays within one."""
    if not file or not pattern:
        return not file and not pattern
    if pattern[0] == "**":
        rest = pattern[1:] or ["*"]
        return any(_fits(file[start:], rest) for start in range(len(file)))
    return fnmatchcase(file[0], pattern[0]) and _fits(file[1:], pattern[1:])


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _patterns(data_files: Any) -> Iterator[tuple[str, str]]:
    """Splits and patterns of their files: a pattern, a list of them, or `{split, path}` each."""
    for one in data_files if isinstance(data_files, list) else [data_files]:
        if isinstance(one, str):
            yield "train", one
        elif isinstance(one, dict):
            paths = one.get("path")
            for path in paths if isinstance(paths, list) else [paths]:
                if isinstance(path, str):
                    yield str(one.get("split", "train")), path


def _by_names(files: list[str]) -> dict[str, Splits]:
    found: dict[str, Splits] = defaultdict(lambda: defaultdict(list))
    for name in files:
        config, split = _named(name)
        found[config][split].append(name)
    return found


def _named(file: str) -> tuple[str, str]:
    """The configuration and the split of `data/train-00000-of-00001.parquet`,
    `config/train/0000.parquet`, `train/any.parquet`, `my_train.parquet`; others are train."""
    *folders, stem = PurePosixPath(file).with_suffix("").parts
    shard = NUMBERED.fullmatch(stem)
    words = [word for word in re.split(r"[\W\d_]+", stem.casefold()) if word in NAMES]
    if folders and folders[-1].casefold() in NAMES:
        split = folders.pop()
    elif shard:
        split = shard["stem"]
    elif stem.isdigit() and folders and folders[-1] != "data":
        split = folders.pop()
    else:
        split = words[0] if words else "train"
    return "/".join(one for one in folders if one != "data") or DEFAULT, split
