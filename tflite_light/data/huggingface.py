"""Datasets of the Hugging Face Hub, or a folder of such; needs `tflite-light[huggingface]`.

PyArrow alone reads the Parquet files. The library `datasets` would first copy all of them into its
own cache and decode pictures by itself.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from tflite_light.classes import distinct, plain
from tflite_light.data import ALL, Given, IsLocation, Scan, Source
from tflite_light.data._groups import GroupColumn
from tflite_light.data._hub import fetched
from tflite_light.data._parquet import Encoded, Features, Table, holds_pictures
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
from tflite_light.pipeline.pictures import SPLITS, Pictures
from tflite_light.pipeline.walk import SKIP_BROKEN
from tflite_light.wording import count, some

SET = "data.huggingface."  # what hints at the fields of a recipe say
TYPED = (
    "For `--data` name what leaves no choice: a folder below it, or one .parquet file. A recipe "
    "chooses by data.huggingface."
)
IMAGE, LABEL = "Image", "ClassLabel"  # what `datasets` calls the types of columns


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
            there = self._with({"name": None, "revision": None, "path": str(where)})
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
            part: _Part([Table.at(root / file, f"{self.shown}/{file}") for file in found[split]])
            for part, split in _chosen(self, found).items()
        }
        every = [table for part in parts.values() for table in part.tables]
        described = _described(every, by_card)
        image, label = _image(self, every, described), _label(self, every, described)
        classes, labels = _labelled(self.where, parts, label, described.get(label, {}))
        return classes, {
            name: part.pictures(
                # files that a fetched dataset names are not this machine's
                Encoded(part.tables, image, linked=not self.name),
                labels[name],
                _groups(part, self.group),
            )
            for name, part in parts.items()
        }


@dataclass(frozen=True)
class _Part:
    """The files of one split, in their order."""

    tables: list[Table]

    @cached_property
    def names(self) -> list[str]:
        rows = ((table.name, table.footer.num_rows) for table in self.tables)
        return [f"{name}, row {row}" for name, count in rows for row in range(1, count + 1)]

    def column(self, name: str) -> list[Any]:
        return [value for table in self.tables for value in table.column(name)]

    def pictures(self, encoded: Encoded, labels: list[int], groups: list[str] | None) -> Pictures:
        return Pictures(
            self.names,
            labels,
            encoded.read,
            encoded.stamps,
            groups=groups,
            open=lambda index: io.BytesIO(encoded.read(index)),
        )


def _found(source: HuggingFace) -> tuple[Path, Splits, Features]:
    """The folder of a dataset, the files of its splits, and what its card says of the columns."""
    if source.name:
        root = fetched(source.name, source.revision, lambda *named: _wanted(source, *named))
    else:
        root = Path(source.path or "")
    if not os.path.exists(root):
        raise UserError(
            f"data folder {root} does not exist.",
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


def _described(tables: Sequence[Table], by_card: Features) -> Features:
    """What is known of the columns: by the files, else by the card, else by what they hold.

    Raises UserError where the classes of two files differ.
    """
    described: Features = {}
    for table in tables:
        for column, kind in table.features.items():
            if described.setdefault(column, kind).get("names") != kind.get("names"):
                raise UserError(
                    f"{table.name}: column {column} has other classes than in {tables[0].name}.",
                    "Write the files with the same ClassLabel.",
                )
    schema = tables[0].schema
    held = {
        name: {"_type": IMAGE} for name in schema.names if holds_pictures(schema.field(name).type)
    }
    return held | by_card | described


def _image(source: HuggingFace, tables: Sequence[Table], described: Features) -> str:
    """The column of the pictures. Raises UserError where there is none, or one of several."""
    found = [name for name in described if described[name].get("_type") == IMAGE]
    column = _only(source, "image", "a column of pictures", found, tables)
    for table in tables:
        if not holds_pictures(table.schema.field(column).type):
            raise UserError(
                f"{table.name}: column {column} holds {table.schema.field(column).type}, not "
                "encoded pictures.",
                "Set data.huggingface.image to a column of pictures' bytes.",
            )
    return column


def _label(source: HuggingFace, tables: Sequence[Table], described: Features) -> str:
    from pyarrow import types

    found = [name for name in described if described[name].get("_type") == LABEL]
    named = [name for name in ("label",) if name in tables[0].schema.names]
    column = _only(source, "label", "a column of labels", found or named, tables)
    text: list[bool] = []
    for table in tables:
        kind = table.schema.field(column).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        fits = (types.is_integer, types.is_string, types.is_large_string, types.is_boolean)
        if not any(one(kind) for one in fits):
            raise UserError(
                f"{table.name}: column {column} holds {kind}, not one class a picture.",
                "Set data.huggingface.label to a column of whole numbers or text.",
            )
        text.append(types.is_string(kind) or types.is_large_string(kind))
        if text[-1] != text[0]:
            first = tables[0].schema.field(column).type
            raise UserError(
                f"{table.name}: column {column} holds {kind}, but {first} in {tables[0].name}.",
                "Write the labels of all files as numbers, or all as text.",
            )
    return column


def _only(
    source: HuggingFace, key: str, what: str, found: Sequence[str], tables: Sequence[Table]
) -> str:
    """The column that the recipe sets, or the one that was found."""
    column: str | None = getattr(source, key)
    columns = tables[0].schema.names
    hint = f"Set data.huggingface.{key} to one of them."
    if column is None and len(found) != 1:
        has = f"{len(found)} of them: {some(found)}" if found else f"none; it has {some(columns)}"
        raise UserError(f"{source.where} needs {what}, and has {has}.", hint)
    column = column or found[0]
    for table in tables:
        _require_column(table, column, hint)
    return column


def _require_column(table: Table, column: str, hint: str) -> None:
    if column not in table.schema.names:
        columns = some(table.schema.names, 10)
        raise UserError(f"{table.name} has no column {column!r}; it has {columns}.", hint)


def _labelled(
    where: str, parts: dict[Given, _Part], column: str, described: dict[str, Any]
) -> tuple[list[str], dict[Given, list[int]]]:
    """Class names, and each part's labels. Raises UserError where a picture has none."""
    found = {name: [*map(_plain, part.column(column))] for name, part in parts.items()}
    listed = described.get("names")
    names = listed if isinstance(listed, list) else None
    values = range(len(names)) if names else _sorted(found)
    numbers = {value: number for number, value in enumerate(values)}
    odd = [
        f"{part.names[row]} ({value})"
        for name, part in parts.items()
        for row, value in enumerate(found[name])
        if value not in numbers
    ]
    if odd:
        raise UserError(
            f"{where}: {count(len(odd), 'picture')} without a class by column {column}: "
            f"{some(odd, 3, '; ')}.",
            "Of a split without labels set data.huggingface.train, val and test to the others; "
            "else correct or remove the rows.",
        )
    classes = distinct(where, [str(name) for name in names or values])
    return classes, {name: [numbers[value] for value in mine] for name, mine in found.items()}


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value


def _sorted(found: dict[Given, list[Any]]) -> list[Any]:
    """The values that are classes; -1 is how datasets mark pictures without one."""
    return sorted({value for mine in found.values() for value in mine} - {None, -1, ""})


def _groups(part: _Part, column: str | None) -> list[str] | None:
    """Whom each picture shows. Raises UserError where that is not said of one."""
    if column is None:
        return None
    for table in part.tables:
        _require_column(table, column, "Set data.huggingface.group to one of them.")
    values = part.column(column)
    lost = [part.names[row] for row, value in enumerate(values) if value in (None, "")]
    if lost:
        raise UserError(
            f"{count(len(lost), 'picture')} without a {column}, which is the column of the "
            f"groups: {some(lost, 3, '; ')}.",
            "Write one; a picture of its own gets a name of its own.",
        )
    return [plain(str(value)) for value in values]


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
