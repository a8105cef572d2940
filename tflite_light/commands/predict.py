"""`tflite-light predict`"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import reports


@click.command()
@click.argument("model", metavar="FILE.tflite|RUN", type=click.Path(path_type=Path))
@click.argument(
    "pictures", metavar="PICTURE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--top", default=1, show_default=True, type=click.IntRange(min=1), help="Labels a picture."
)
@reports
def command(model: Path, pictures: tuple[Path, ...], top: int) -> dict[str, Any]:
    """Name what is on each PICTURE, as an app that obeys the file's contract would.

    Of a RUN, its int8 file answers, or its only one.
    """
    from tflite_light.measure.predict import Predictor
    from tflite_light.runs.predicting import file_of

    file = file_of(model)
    if file != model:
        click.echo(f"{file} answers", err=True)
    predictor = Predictor(file)
    found = list(zip(pictures, predictor.predict_files(pictures, top), strict=True))
    for picture, answers in found:
        for answer in answers:
            click.echo(f"{picture}\t{predictor.title(answer)}\t{answer.probability:.4f}")
    return {
        "pictures": [
            {"picture": str(picture), "answers": [asdict(answer) for answer in answers]}
            for picture, answers in found
        ],
    }
