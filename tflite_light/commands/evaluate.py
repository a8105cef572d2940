"""`tflite-light evaluate`"""

from pathlib import Path
from shlex import quote
from typing import Any

import click

from tflite_light.commands._options import (
    reports,
    require_there,
    show_measured,
    strangers_option,
)
from tflite_light.errors import UserError


@click.command()
@click.argument("target", metavar="RUN|FILE.tflite", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Class folders, a .csv table or Parquet files; or where the pictures of a RUN are now.",
)
@strangers_option
@click.option(
    "--outliers",
    type=click.Path(path_type=Path),
    help="A folder of pictures that show none of the classes, of which files should reject many.",
)
@reports
def command(
    target: Path, data: Path | None, skip_strangers: bool, outliers: Path | None
) -> dict[str, Any]:
    """Measure all models of RUN on its test pictures, or FILE on the pictures of --data."""
    require_there(target)
    if target.is_dir():
        from tflite_light.runs import finished, folder

        rows = finished.evaluate(folder.open_run(target), data, skip_strangers, outliers)
    else:
        from tflite_light.runs.evaluating import evaluate_file

        if not data:
            raise UserError(
                "missing option `--data`: the pictures to measure on.",
                f"`tflite-light evaluate {quote(str(target))} --data FOLDER|LABELS.csv`",
            )
        rows = [evaluate_file(target, data, skip_strangers, outliers)]
    show_measured(rows)
    return {"rows": [row.to_json() for row in rows]}
