"""A run's history.csv: a row for each epoch of each phase."""

import csv
import io
from pathlib import Path
from typing import Any

from tflite_light import files
from tflite_light.errors import UserError

FILE_ACCURACY = "file_accuracy"
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")  # that every epoch has
COLUMNS = (
    "phase",
    "epoch",
    *FIGURES,
    FILE_ACCURACY,
    "learning_rate",
    "seconds",
)

Row = dict[str, Any]


def read_history(path: Path) -> list[Row]:
    """A run's history, a row an epoch, figures as text; none where there is no file.

    Raises UserError where it is not as `write_history` leaves it: another program saved it, say.
    """
    if not path.exists():
        return []
    try:
        rows: list[Row] = [*csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
        for row in rows:
            _ = [float(row[name] or "nan") for name in ("epoch", *FIGURES)], row["phase"].lower()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(f"{path} is damaged.", "Restore it, or remove it.") from error
    return rows


def write_history(path: Path, rows: list[Row]) -> None:
    """Put one phase's rows into a run's history, after those of the phases before it."""
    before = [row for row in read_history(path) if row["phase"] != rows[0]["phase"]]
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore")  # as of a spreadsheet
    table.writeheader()
    table.writerows([*before, *rows])
    files.write(path, text.getvalue())
