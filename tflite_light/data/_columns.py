"""Columns of Parquet files that hold a dataset's pictures, classes and groups, and their values."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tflite_light.classes import distinct, plain
from tflite_light.data import Given
from tflite_light.data._parquet import Encoded, Features, Table, holds_pictures
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import Pictures
from tflite_light.wording import count, some

IMAGE, LABEL = "Image", "ClassLabel"  # what `datasets` calls the types of columns


@dataclass(frozen=True)
class Rows:
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


def described(tables: Sequence[Table], by_card: Features) -> Features:
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


def image_column(
    where: str, chosen: str | None, tables: Sequence[Table], features: Features
) -> str:
    """The column of the pictures. Raises UserError where there is none, or one of several."""
    found = [name for name in features if features[name].get("_type") == IMAGE]
    column = _only(where, "image", chosen, "a column of pictures", found, tables)
    for table in tables:
        if not holds_pictures(table.schema.field(column).type):
            raise UserError(
                f"{table.name}: column {column} holds {table.schema.field(column).type}, not "
                "encoded pictures.",
                "Set data.huggingface.image to a column of pictures' bytes.",
            )
    return column


def label_column(
    where: str, chosen: str | None, tables: Sequence[Table], features: Features
) -> str:
    from pyarrow import types

    found = [name for name in features if features[name].get("_type") == LABEL]
    named = [name for name in ("label",) if name in tables[0].schema.names]
    column = _only(where, "label", chosen, "a column of labels", found or named, tables)
    text: list[bool] = []
    for table in tables:
        kind = table.schema.field(column).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        words = types.is_string, types.is_large_string, types.is_string_view
        if not any(one(kind) for one in (types.is_integer, types.is_boolean, *words)):
            raise UserError(
                f"{table.name}: column {column} holds {kind}, not one class a picture.",
                "Set data.huggingface.label to a column of whole numbers or text.",
            )
        text.append(any(one(kind) for one in words))
        if text[-1] != text[0]:
            first = tables[0].schema.field(column).type
            raise UserError(
                f"{table.name}: column {column} holds {kind}, but {first} in {tables[0].name}.",
                "Write the labels of all files as numbers, or all as text.",
            )
    return column


def _only(
    where: str,
    key: str,
    column: str | None,
    what: str,
    found: Sequence[str],
    tables: Sequence[Table],
) -> str:
    """The column that the recipe's `key` sets, or the one that was found."""
    columns = tables[0].schema.names
    hint = f"Set data.huggingface.{key} to one of them."
    if column is None and len(found) != 1:
        has = f"{len(found)} of them: {some(found)}" if found else f"none; it has {some(columns)}"
        raise UserError(f"{where} needs {what}, and has {has}.", hint)
    column = column or found[0]
    for table in tables:
        _require_column(table, column, hint)
    return column


def _require_column(table: Table, column: str, hint: str) -> None:
    if column not in table.schema.names:
        columns = some(table.schema.names, 10)
        raise UserError(f"{table.name} has no column {column!r}; it has {columns}.", hint)


def labelled(
    where: str, parts: dict[Given, Rows], column: str, feature: dict[str, Any]
) -> tuple[list[str], dict[Given, list[int]]]:
    """Class names, and each part's labels. Raises UserError where a picture has none."""
    found = {name: [*map(_plain, part.column(column))] for name, part in parts.items()}
    listed = feature.get("names")
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
    """As tables of text are read: without blanks around it."""
    return plain(value.strip()) if isinstance(value, str) else value


def _sorted(found: dict[Given, list[Any]]) -> list[Any]:
    """The values that are classes; -1 is how datasets mark pictures without one."""
    return sorted({value for mine in found.values() for value in mine} - {None, -1, ""})


def groups(part: Rows, column: str | None) -> list[str] | None:
    """Whom each picture shows. Raises UserError where that is not said of one."""
    if column is None:
        return None
    for table in part.tables:
        _require_column(table, column, "Set data.huggingface.group to one of them.")
    values = [*map(_group, part.column(column))]
    lost = [part.names[row] for row, value in enumerate(values) if value is None]
    if lost:
        raise UserError(
            f"{count(len(lost), 'picture')} without a {column}, which is the column of the "
            f"groups: {some(lost, 3, '; ')}.",
            "Write one; a picture of its own gets a name of its own.",
        )
    return [str(value) for value in values]


def _group(value: Any) -> Any:
    """A number is the same in every file, 1 and 1.0; None where there is none, as pandas' NaN."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return _plain(value) or None if isinstance(value, str) else value
