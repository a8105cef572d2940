"""`tflite-light predict`"""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tflite_light.errors import UserError

if TYPE_CHECKING:
    from tflite_light.measure.predict import Prediction, Predictor

    Show = Callable[[Prediction], None]

COLUMNS = ("picture", "label", "index", "probability", "none_of_these", "error")
NONE = "none of these"
PICTURE = click.Path(readable=False)  # those that cannot be read are named, each by itself


@click.command()
@click.argument("model", metavar="FILE.tflite|RUN", type=click.Path(path_type=Path))
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True, type=PICTURE)
@click.option(
    "--top", default=1, show_default=True, type=click.IntRange(min=1), help="Labels a picture."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print a table, a row a label, instead.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a picture instead.")
def command(model: Path, pictures: tuple[str, ...], top: int, as_csv: bool, as_json: bool) -> None:
    """Name what is on each PICTURE, as an app that obeys the file's contract would.

    A PICTURE is a file, a folder, a pattern such as 'photos/**/*.jpg', or - for a list of files and
    folders on stdin. Of a RUN, its int8 file answers, or its only one. A picture below the file's
    threshold is "none of these"; --csv and --json have its likeliest labels all the same. Answers
    come one by one, in the order given; pictures that cannot be read are named, and end it with
    exit code 2.
    """
    if as_csv and as_json:
        raise UserError("`--csv` and `--json` are two forms of one answer.", "Choose one.")

    from tflite_light.measure.predict import Predictor
    from tflite_light.pipeline.listing import listed
    from tflite_light.runs.predicting import file_of

    file = file_of(model)
    if file != model:
        click.echo(f"{file} answers", err=True)
    predictor = Predictor(file)
    show = (_table if as_csv else _lines if as_json else _text)(predictor)
    total = failed = 0
    for found in predictor.stream(listed(pictures, sys.stdin.buffer), top):
        total += 1
        if found.problem:
            failed += 1
            click.echo(f"{found.picture} cannot be read: {found.problem}", err=True)
        show(found)
    if failed:
        raise UserError(
            f"{failed:,} of {total:,} pictures cannot be read; each is named above.",
            "Repair or remove them. The others are answered.",
        )


def _text(predictor: "Predictor") -> "Show":
    def show(found: "Prediction") -> None:
        if found.none_of_these:
            click.echo(f"{found.picture}\t{NONE}\t")
            return
        for one in found.answers:
            click.echo(f"{found.picture}\t{predictor.title(one)}\t{one.probability:.4f}")

    return show


def _lines(_: "Predictor") -> "Show":
    def show(found: "Prediction") -> None:
        said: dict[str, Any] = {"error": found.problem}
        if not found.problem:
            answers = [asdict(answer) for answer in found.answers]
            said = {"none_of_these": found.none_of_these, "answers": answers}
        click.echo(json.dumps({"picture": found.picture, **said}))

    return show


def _table(_: "Predictor") -> "Show":
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)

    def show(found: "Prediction") -> None:
        none = "" if found.none_of_these is None else json.dumps(found.none_of_these)
        for one in found.answers:
            table.writerow((found.picture, one.label, one.index, one.probability, none, ""))
        if found.problem:
            table.writerow((found.picture, "", "", "", "", found.problem))
        sys.stdout.flush()

    return show
