"""Datasets of the Hugging Face Hub, or a folder of such; needs `tflite-light[huggingface]`.

PyArrow alone reads the Parquet files. The library `datasets` would first copy all of them into its
own cache and decode pictures by itself.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from tflite_light.classes import plain
from tflite_light.data import ALL, Given, IsLocation, Scan, Source
from tflite_light.data._columns import (
    IMAGE,
    LABEL,
    Rows,
    described,
    groups,
    image_column,
    label_column,
    labelled,
)
from tflite_light.data._groups import GroupColumn
from tflite_light.data._hub import fetched
from tflite_light.data._parquet import Encoded, Features, Table
from tflite_light.data._repository import (
    CARD,
    Splits,
    features_of,
    is_parquet,
    is_repository,
    parquet_files,
    read_card,
    splits,
)
from tflite_light.data._split import NAMES
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.pipeline.walk import SKIP_BROKEN
from tflite_light.wording import absent, some

SET = "data.huggingface."  # what hints at the fields of a recipe say
TYPED = (
    "For `--data` name what leaves no choice: a folder below it, or one .parquet file. A recipe "
    "chooses by data.huggingface."
)


class HuggingFace(Source):
    """Parquet files with a column of encoded pictures and one of labels, by name or in a folder.

    Splits called train, validation (val, valid, dev) and test are taken; a single one is divided
    70/10/20 by content, and where one lacks it is made as of a folder's: without validation an
    eighth of train, without test validation is the test part and val comes out of train. Where any
    of `train`, `val` and `test` is set, only those that are. Classes come in the order of the
    labels' ClassLabel; labels without names are sorted.
    """

    name: str | None = Field(None, min_length=1, description="of the Hub: owner/name")
    path: Annotated[str | None, IsLocation] = Field(
        None,
        min_length=1,
        description="in place of a name, a folder: a clone of the Hub's, or Parquet files; "
        "relative to where the command is typed",
    )
    config: str | None = Field(None, description="configuration, where there are several")
    revision: str | None = Field(
        None, description="branch, tag or commit, of a name; a commit never changes"
    )
    train: str | None = Field(None, description="split to train on")
    val: str | None = Field(None, description="split to choose by")
    test: str | None = Field(None, description="split to measure on; may be `validation`")
    image: str | None = Field(
        None, description="column of the pictures; default the only one that holds some"
    )
    label: str | None = Field(
        None, description="column of the labels; default the only ClassLabel, or `label`"
    )
    group: GroupColumn = None
    skip_broken: bool = Field(False, description=SKIP_BROKEN)
    _typed: bool = PrivateAttr(False)  # as `--data`, so that no recipe sets its fields

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.name is None) == (self.path is None):
            raise ValueError("needs a name (of the Hub) or a path (of a folder), one of them")
        if self.path and self.revision:
            raise ValueError("a revision is of a name; check it out in the folder of a path")
        return self

    @classmethod
    def at(cls, path: Path, skip_strangers: bool = False) -> Self | None:
        if not is_repository(path):
            return None
        found = cls(path=str(path))
        found._typed = True
        return found

    @classmethod
    def example(cls, folder: Path) -> Self:
        _write_example(folder)
        return cls(path=str(folder / "signs"))

    @property
    def where(self) -> str:
        return f"data {self.name or self.path}"

    @property
    def shown(self) -> str:
        """What the names of its files begin with."""
        path = Path(self.path or "")
        return self.name or str(path.parent if path.is_file() else path)

    def located(self, where: Path, skip_strangers: bool = False) -> Self:
        if self.name:  # what was fetched by name may lie in a folder elsewhere
            there = self.changed({"name": None, "revision": None, "path": str(where)})
            return there.located(where)
        return super().located(where, skip_strangers)

    def relative(self, names: list[str]) -> list[str]:
        """Of a name as of a clone of it, so that the one may stand for the other."""
        if self.name:
            return [plain(name.removeprefix(f"{self.name}/")) for name in names]
        return super().relative(names)

    def scan(self) -> Scan:
        try:
            return self._scan()
        except UserError as error:
            if self._typed and SET in error.hint:
                raise UserError(error.problem, TYPED) from error
            raise

    def _scan(self) -> Scan:
        root, found, by_card = _found(self)
        parts = {
            part: Rows([Table.at(root / file, f"{self.shown}/{file}") for file in found[split]])
            for part, split in _chosen(self, found).items()
        }
        every = [table for part in parts.values() for table in part.tables]
        features = described(every, by_card)
        image = image_column(self.where, self.image, every, features)
        label = label_column(self.where, self.label, every, features)
        classes, labels = labelled(self.where, parts, label, features.get(label, {}))
        return classes, {
            name: part.pictures(
                # files that a fetched dataset names are not this machine's
                Encoded(part.tables, image, linked=not self.name),
                labels[name],
                groups(part, self.group),
            )
            for name, part in parts.items()
        }


def _found(source: HuggingFace) -> tuple[Path, Splits, Features]:
    """The folder of a dataset, the files of its splits, and what its card says of the columns."""
    if source.name:
        root = fetched(source.name, source.revision, lambda *named: _wanted(source, *named))
    else:
        root = Path(source.path or "")
    if not os.path.exists(root):
        raise UserError(
            f"data folder {absent(root)}.",
            "Set data.huggingface.path to a folder of Parquet files, or name to one of the Hub.",
        )
    if root.is_file():
        return root.parent, splits(source.where, [root.name], {}, source.config)[1], {}
    card = read_card(root / CARD)
    config, found = splits(
        source.where, parquet_files(root), card, source.config, _given(source).values()
    )
    return root, found, features_of(source.where, card, config)


def _wanted(source: HuggingFace, files: list[str], card: dict[str, Any]) -> list[str]:
    """Of a repository's files those to fetch."""
    parquet = sorted(filter(is_parquet, files))
    _, found = splits(source.where, parquet, card, source.config, _given(source).values())
    return [file for split in _chosen(source, found).values() for file in found[split]]


def _given(source: HuggingFace) -> dict[Given, str]:
    """The parts that the recipe sets, and their splits."""
    return {name: value for name in SPLITS if (value := getattr(source, name))}


def _chosen(source: HuggingFace, found: Splits) -> dict[Given, str]:
    """The split that is each part. Raises UserError where one would be left out unsaid."""
    hint = "Set data.huggingface.train, val and test to those that are to be used."
    given = _given(source)
    if lost := [split for split in given.values() if split not in found]:
        raise UserError(f"{source.where} has no split {lost[0]!r}; it has {some([*found])}.", hint)
    if given:
        return {ALL: given["train"]} if [*given] == ["train"] else given
    known = {split: NAMES[split.casefold()] for split in found if split.casefold() in NAMES}
    if len(found) == 1 and {*known.values()} <= {"train"}:
        return {ALL: next(iter(found))}
    if others := [split for split in found if split not in known]:
        raise UserError(f"{source.where}: {some(others)} may be any part.", hint)
    if len({*known.values()}) < len(known):
        raise UserError(f"{source.where} has {some([*known])}, so one part twice.", hint)
    return {part: split for part in SPLITS for split in known if known[split] == part}


def _write_example(folder: Path) -> None:
    """Photographs of three classes as `datasets` writes them, in the parts train and test."""
    import json

    import pyarrow

    from tflite_light.data._examples import CLASSES, write_photographs
    from tflite_light.data._parquet import library

    paths = sorted(write_photographs(folder / "photos").rglob("*.jpg"))
    names = [f"sign{label}" for label in range(CLASSES)]
    features = {"image": {"_type": IMAGE}, "label": {"names": names, "_type": LABEL}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    (folder / "signs" / "data").mkdir(parents=True)
    for part, turns in {"train": (0, 1, 2, 3), "test": (4,)}.items():
        mine = [path for number, path in enumerate(paths) if number % 5 in turns]
        columns = {
            "image": [{"bytes": path.read_bytes(), "path": path.name} for path in mine],
            "label": [names.index(path.parent.name) for path in mine],
        }
        table = pyarrow.table(columns).replace_schema_metadata(about)
        file = folder / "signs" / "data" / f"{part}-00000-of-00001.parquet"
        library().write_table(table, file, compression="none", use_dictionary=["label"])
