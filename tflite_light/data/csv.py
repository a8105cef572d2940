"""A table of pictures: a path and a label a row, and perhaps the part each belongs to."""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from tflite_light.classes import plain
from tflite_light.data import ALL, Location, Scan, Source
from tflite_light.data._files import SHOWN, SKIP_BROKEN, require_read
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, pictures_of
from tflite_light.progress import say
from tflite_light.wording import count, some

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
COLUMNS = ("path", "label", "split")


@dataclass(frozen=True)
class _Row:
    """One picture of a table; `part` is empty where the table has no column `split`."""

    line: int
    path: Path
    label: str
    part: str


class CSV(Source):
    """Columns `path`, `label` and optionally `split` (train, val, test), named in the first row.

    Cells are separated by commas, semicolons or tabs; other columns are ignored. Paths are relative
    to the table, with `/` or `\\`. Without a split column pictures are divided 70/10/20 by
    content. Rows that contradict each other are refused; equal ones count once.
    """

    path: Location = Field(
        min_length=1, description="the table; relative to where the command is typed"
    )
    skip_broken: bool = Field(False, description=SKIP_BROKEN)

    @classmethod
    def at(cls, path: Path, skip_strangers: bool = False) -> Self | None:
        return cls(path=str(path)) if path.is_file() else None

    @classmethod
    def example(cls, folder: Path) -> Self:
        from tflite_light.data._examples import write_photographs

        photographs = sorted(write_photographs(folder / "photos").rglob("*.jpg"))
        rows = [f"{path.relative_to(folder)},{path.parent.name}\n" for path in photographs]
        (folder / "labels.csv").write_text("".join(["path,label\n", *rows]), encoding="utf-8")
        return cls(path=str(folder / "labels.csv"))

    def scan(self) -> Scan:
        rows = _once(self.where, Path(self.path), list(_rows(Path(self.path))))
        require_read(self.where, [problem for row in rows if (problem := _problem(row))])
        classes = sorted({row.label for row in rows})
        labels = {name: label for label, name in enumerate(classes)}
        files: dict[str, list[tuple[Path, int]]] = {}
        for row in rows:
            files.setdefault(row.part, []).append((row.path, labels[row.label]))
        if "" in files:
            return classes, {ALL: pictures_of(files[""])}
        return classes, {name: pictures_of(files[name]) for name in SPLITS if name in files}


def _rows(table: Path) -> Iterator[_Row]:
    """The rows of a table. Raises UserError that names the line of the first mistake."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        separator, columns = _header(table, text)
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
        )
        next(reader)
        rows = [_row(table, reader.line_num, columns, cells) for cells in reader if any(cells)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{table} cannot be read as a table: {reason}.", "Give a .csv table in UTF-8."
        ) from error
    if not rows:
        raise UserError(f"{table} has no rows.", "It needs a path and a label for each picture.")
    yield from rows


def _header(table: Path, text: str) -> tuple[str, list[str]]:
    """The separator, and the columns' names in lower case without blanks."""
    first = text.split("\n", 1)[0]
    found = {}
    for separator in SEPARATORS:
        cells = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        columns = [cell.strip().casefold() for cell in cells]
        if {"path", "label"} <= set(columns):
            found[separator] = columns
    if not found:
        raise UserError(
            f"{table}, line 1 is {first.strip()[:80]!r}, which does not name the columns path and "
            "label.",
            "Name them there, separated by commas, semicolons or tabs; a column split may follow.",
        )
    separator, columns = found.popitem()
    twice = [name for name in COLUMNS if columns.count(name) > 1]
    if twice:
        raise UserError(f"{table}, line 1 names the column {twice[0]} twice.", "Keep one of them.")
    return separator, columns


def _row(table: Path, line: int, columns: list[str], cells: list[str]) -> _Row:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise UserError(
            f"{table}, line {line} has {len(cells)} cells, line 1 names {len(columns)} columns.",
            "Put a label that holds the separator in double quotes.",
        )
    named = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    path, label, part = (named.get(column, "") for column in COLUMNS)
    part = part.casefold()
    if not path or not label:
        lack, found = "label" if path else "path", ", ".join(cells)[:80]
        raise UserError(
            f"{table}, line {line} has no {lack}: {found!r}.",
            "A row needs both.",
        )
    if "split" in columns and part not in SPLITS:
        raise UserError(
            f"{table}, line {line}: split must be train, val or test, not {part!r}.",
            "Write one of these.",
        )
    return _Row(line, _there(table.parent, path), plain(label), part)


def _there(folder: Path, path: str) -> Path:
    """The picture; tables written on Windows have backslashes, which file names may hold too."""
    if "\\" in path and not os.path.lexists(folder / path):
        return folder / path.replace("\\", "/")
    return folder / path


def _once(where: str, table: Path, rows: list[_Row]) -> list[_Row]:
    """Each picture once. Raises UserError where two rows contradict each other."""
    first: dict[str, _Row] = {}
    again = []
    for row in rows:
        other = first.setdefault(os.path.normpath(row.path), row)
        if row.label != other.label:
            raise UserError(
                f"{table}, line {row.line}: {row.path} is {row.label!r}, but {other.label!r} in "
                f"line {other.line}.",
                "Keep one of the rows.",
            )
        if row.part != other.part:
            raise UserError(
                f"{table}, line {row.line}: {row.path} is in both {other.part} and {row.part}.",
                "Keep it in one.",
            )
        if row is not other:
            again.append(row.line)
    if again:
        number = count(len(again), "row")
        say(f"{where}: {number} repeated, counted once: lines {some(again, SHOWN)}")
    return list(first.values())


def _problem(row: _Row) -> str | None:
    """Why a picture cannot be read, if it is not there."""
    try:
        row.path.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL in a name
        return f"{row.path} of line {row.line} ({getattr(error, 'strerror', error)})"
    return None if row.path.is_file() else f"{row.path} of line {row.line} (not a file)"
