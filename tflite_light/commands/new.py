"""`tflite-light new`"""

import shlex
from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import force_option, reports, require_free, require_recipe_name


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="RECIPE",
    help="Where to.  [default: PHOTOS.yaml, here]",
)
@force_option
@reports
def command(photos: Path, out: Path | None, force: bool) -> dict[str, Any]:
    """Look at a folder of PHOTOS and write a recipe for it, with the reason of each choice.

    PHOTOS has a folder of pictures for each class, or train, val and test of such folders, or
    Parquet files. Every picture is decoded once: broken ones, and those that are in two classes or
    two parts, are left out by the recipe, by name.
    """
    name = photos.resolve().name.lstrip(".-") or "photos"  # a run must be able to have it
    out = out or Path(f"{name}.yaml")
    require_recipe_name(out)
    require_free(out, force)

    from tflite_light import files
    from tflite_light.report import surveyed
    from tflite_light.runs.proposing import propose
    from tflite_light.runs.surveying import look_at

    files.require_writable(out.parent)
    survey = look_at(photos)
    files.write(out, propose(survey, out))
    surveyed.show(survey)
    click.echo(f"\n{out} is ready. Next:")
    click.echo(f"  tflite-light show {shlex.quote(str(out))}")
    click.echo(f"  tflite-light train {shlex.quote(str(out))}")
    return {"recipe": str(out), **survey.to_json()}
