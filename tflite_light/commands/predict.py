"""`tflite-light predict`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import reports


@click.command()
@click.argument("model", metavar="FILE.tflite", type=click.Path(path_type=Path))
@click.argument(
    "pictures", metavar="PICTURE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--top", default=1, show_default=True, type=click.IntRange(min=1), help="Labels a picture."
)
@reports
def command(model: Path, pictures: tuple[Path, ...], top: int) -> dict[str, Any]:
    """Name what is on each PICTURE, as an app that obeys the file's contract would."""
    from tflite_light.measure.predict import classify

    found = classify(model, pictures, top)
    for picture, answers in found.items():
        for answer in answers:
            click.echo(f"{picture}\t{answer['label']}\t{answer['probability']:.4f}")
    return {
        "pictures": [{"picture": picture, "answers": answers} for picture, answers in found.items()]
    }
