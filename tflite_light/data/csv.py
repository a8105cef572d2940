"""A table of pictures: a path and a label a row, and perhaps the part each belongs to."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from tflite_light.classes import plain
from tflite_light.data import ALL, Location, Scan, Source
from tflite_light.data._groups import GroupColumn
from tflite_light.data._repository import is_repository
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, pictures_of
from tflite_light.pipeline.walk import SHOWN, SKIP_BROKEN, require_read
from tflite_light.progress import say
from tflite_light.wording import count, some

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
COLUMNS = ("path", "label", "split")


@dataclass(frozen=True)
class _Row:
    """One picture of a table; `part` and `group` are empty where the table has no such column."""

    line: int
    path: Path
    label: str
    part: str
    group: str = ""


class CSV(Source):
    """Columns `path`, `label` and optionally `split` (train, val, test), named in the first row.

    Cells are separated by commas, semicolons or tabs; other columns are ignored. Paths are relative
    to the table, with `/` or `\\`. Without a split column pictures are divided 70/10/20 by
    content. Rows that contradict each other are refused; equal ones count once.
    """

    path: Location = Field(
        min_length=1,
        description="the table; relative to where the command is typed, its rows to itself",
    )
    group: GroupColumn = None
    skip_broken: bool = Field(False, description=SKIP_BROKEN)

    @classmethod
    def at(cls, path: Path, skip_strangers: bool = False) -> Self | None:
        return cls(path=str(path)) if path.is_file() and not is_repository(path) else None

    @classmethod
    def example(cls, folder: Path) -> Self:
        from tflite_light.data._examples import write_photographs

        photographs = sorted(write_photographs(folder / "photos").rglob("*.jpg"))
        rows = [f"{path.relative_to(folder)},{path.parent.name}\n" for path in photographs]
        (folder / "labels.csv").write_text("".join(["path,label\n", *rows]), encoding="utf-8")
        return cls(path=str(folder / "labels.csv"))

    def scan(self) -> Scan:
        rows = _once(self.where, Path(self.path), list(_rows(Path(self.path), self.group)))
        require_read(self.where, [problem for row in rows if (problem := _problem(row))])
        classes = sorted({row.label for row in rows})
        labels = {name: label for label, name in enumerate(classes)}
        parts: dict[str, list[_Row]] = {}
        for row in sorted(rows, key=lambda row: row.path):  # a table may be sorted meanwhile
            parts.setdefault(row.part, []).append(row)
        pictures = {
            part: pictures_of(
                [(row.path, labels[row.label]) for row in mine],
                [row.group for row in mine] if self.group else None,
            )
            for part, mine in parts.items()
        }
        if "" in pictures:
            return classes, {ALL: pictures[""]}
        return classes, {name: pictures[name] for name in SPLITS if name in pictures}


def _rows(table: Path, group: str | None) -> Iterator[_Row]:
    """The rows of a table. Raises UserError that names the line of the first mistake."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        separator, columns = _header(table, text)
        names = COLUMNS if group is None else (*COLUMNS, _column(group))
        _require_once(table, columns, names)
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
        )
        [_, *lines] = _lines(table, reader)
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{table} cannot be read as a table: {reason}.", "Give a .csv table in UTF-8."
        ) from error
    rows = [_row(table, line, columns, names, cells) for line, cells in lines]
    if not rows:
        raise UserError(f"{table} has no rows.", "It needs a path and a label for each picture.")
    yield from rows


def _lines(table: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that has any, and its number: the last one, where quotes go on."""
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"{table}, line {first} cannot be read: {error}.",
                'Close its quotes; write those that belong to a cell twice, as "".',
            ) from error
        if cells is None:
            return
        if any(cells):
            yield reader.line_num, cells


def _header(table: Path, text: str) -> tuple[str, list[str]]:
    """The separator, and the columns' names in lower case without blanks."""
    first = text.split("\n", 1)[0]
    found = {}
    for separator in SEPARATORS:
        cells = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        columns = [_column(cell) for cell in cells]
        if {"path", "label"} <= set(columns):
            found[separator] = columns
    if not found:
        raise UserError(
            f"{table}, line 1 is {first.strip()[:80]!r}, which does not name the columns path and "
            "label.",
            "Name them there, separated by commas, semicolons or tabs; a column split may follow.",
        )
    return found.popitem()


def _column(cell: str) -> str:
    return plain(cell).strip().casefold()


def _require_once(table: Path, columns: list[str], names: Sequence[str]) -> None:
    """Raises UserError where a column stands twice, or that of the groups is not there."""
    if twice := [name for name in names if columns.count(name) > 1]:
        raise UserError(f"{table}, line 1 names the column {twice[0]} twice.", "Keep one of them.")
    if absent := [name for name in names[len(COLUMNS) :] if name not in columns]:
        raise UserError(
            f"{table}, line 1 names no column {absent[0]}; they are {', '.join(columns)}.",
            "Set `data.csv.group` to the column of the groups.",
        )


def _row(
    table: Path, line: int, columns: list[str], names: Sequence[str], cells: list[str]
) -> _Row:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise UserError(
            f"{table}, line {line} has {len(cells)} cells, line 1 names {len(columns)} columns.",
            "Put a label that holds the separator in double quotes.",
        )
    named = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    path, label, part, *group = (named.get(column, "") for column in names)
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
    if group == [""]:
        raise UserError(
            f"{table}, line {line} has no {names[-1]}, which is the column of the groups.",
            "Write one; a picture of its own gets a name of its own.",
        )
    return _Row(line, _there(table.parent, path), plain(label), part, *map(plain, group))


def _there(folder: Path, path: str) -> Path:
    """The picture; tables written on Windows have backslashes, which file names may hold too."""
    if "\\" in path and not os.path.lexists(folder / path):
        return folder / path.replace("\\", "/")
    return folder / path


def _once(where: str, table: Path, rows: list[_Row]) -> list[_Row]:
    """Each picture once. Raises UserError where two rows contradict each other."""
    first: dict[Path, _Row] = {}
    again = []
    folders: dict[Path, Path] = {}
    for row in rows:
        other = first.setdefault(_place(row.path, folders), row)
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
        if row.group != other.group:
            raise UserError(
                f"{table}, line {row.line}: {row.path} is of group {row.group}, but of "
                f"{other.group} in line {other.line}.",
                "Keep one of the rows.",
            )
        if row is not other:
            again.append(row.line)
    if again:
        number, lines = count(len(again), "row"), "line" if len(again) == 1 else "lines"
        say(f"{where}: {number} repeated, counted once: {lines} {some(again, SHOWN)}")
    return list(first.values())


def _place(path: Path, folders: dict[Path, Path]) -> Path:
    """Where a picture really lies, whatever links or `..` lead to it; `folders` are known ones."""
    try:
        if path.is_symlink():
            return Path(os.path.realpath(path))
        if path.parent not in folders:
            folders[path.parent] = Path(os.path.realpath(path.parent))
    except (OSError, ValueError):  # a name that is too long, or has NUL in it
        return path
    return folders[path.parent] / path.name


def _problem(row: _Row) -> str | None:
    """Why a picture cannot be read, if it is not there."""
    try:
        row.path.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL in a name
        return f"{row.path} of line {row.line} ({getattr(error, 'strerror', error)})"
    return None if row.path.is_file() else f"{row.path} of line {row.line} (not a file)"
