"""A table of pictures: a path and a label a row, and perhaps the part each belongs to."""

import csv
from pathlib import Path

from pydantic import Field

from tflite_light.data import Location, Scan, Source
from tflite_light.data._split import split_of
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures, Split, pictures_of

Row = tuple[Path, str, str]  # picture, class name, part ("" where the table has no such column)


class CSV(Source):
    """Columns `path`, `label` and optionally `split` (train, val, test), named in the first row.

    Paths are relative to the table. Without a split column pictures are divided 70/10/20 by
    content.
    """

    path: Location = Field(
        min_length=1, description="the table; relative to where the command is typed"
    )

    def scan(self) -> Scan:
        return _scan(Path(self.path))


def labelled(table: Path) -> list[tuple[Path, str]]:
    """All pictures of a table with their class, those of `test` where it has a split column."""
    return [(picture, label) for picture, label, part in _rows(table) if part in ("", "test")]


def _scan(path: Path) -> Scan:
    rows = _rows(path)
    classes = sorted({label for _, label, _ in rows})
    files: dict[str, list[tuple[Path, int]]] = {name: [] for name in SPLITS}
    for picture, label, part in rows:
        files[part or split_of(picture.read_bytes())].append((picture, classes.index(label)))
    parts: dict[Split, Pictures] = {name: pictures_of(files[name]) for name in SPLITS}
    return classes, parts


def _rows(table: Path) -> list[Row]:
    """The rows of a table. Raises UserError that names the line of the first mistake."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if "path" not in columns or "label" not in columns:
                raise UserError(
                    f"{table}: the first row must name the columns path and label (and perhaps "
                    f"split)."
                )
            rows = [_row(table, reader.line_num, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a table: {error}.") from error
    if not rows:
        raise UserError(f"{table} has no rows: it needs a path and a label for each picture.")
    return rows


def _row(table: Path, line: int, cells: dict[str, str | None]) -> Row:
    path, label, part = ((cells.get(column) or "").strip() for column in ("path", "label", "split"))
    if not path or not label:
        raise UserError(f"{table}, line {line}: path and label are both needed.")
    picture = table.parent / path
    if not picture.is_file():
        raise UserError(
            f"{table}, line {line}: {picture} does not exist. Paths are relative to the table."
        )
    if "split" in cells and part not in SPLITS:
        raise UserError(f"{table}, line {line}: split must be train, val or test, not {part!r}.")
    return picture, label, part
