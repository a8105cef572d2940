"""`tflite-light explain`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import (
    data_option,
    force_option,
    import_option,
    reports,
    require_file,
    require_free,
    require_recipe_name,
)
from tflite_light.errors import UserError


@click.command()
@click.argument("model", metavar="FILE.tflite", type=click.Path(path_type=Path))
@click.option(
    "--against",
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN|RECIPE",
    help="What the file was exported from.",
)
@import_option
@data_option
@click.option(
    "--fix",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="Keep layers in float until top-1 is at most POINTS below float's; write the recipe.",
)
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="RECIPE",
    help="Where to.  [default: FILE_fixed.yaml]",
)
@force_option
@reports
def command(
    model: Path,
    against: Path,
    changes: tuple[str, ...],
    data: Path | None,
    fix: float | None,
    out: Path | None,
    force: bool,
) -> dict[str, Any]:
    """Show which layers of a FILE lose what, beside the float network it came from.

    FILE is int8, int16x8 or dynamic_range.
    """
    from tflite_light.report import explained
    from tflite_light.runs.explaining import explain, fixed_path

    if out and fix is None:
        raise UserError("`-o` is where `--fix` writes to.", "Add `--fix POINTS`, or leave it out.")
    require_file(model)
    out = out or fixed_path(model)
    if fix is not None:
        require_recipe_name(out)
        require_free(out, force)
    found = explain(model, against, changes, fix, out, data)
    explained.show(found)
    return found.to_json()
