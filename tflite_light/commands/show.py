"""`tflite-light show`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import (
    force_option,
    recipe_path,
    reports,
    require_free,
    set_option,
)
from tflite_light.errors import UserError


@click.command()
@recipe_path
@set_option
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Where to.  [default: RECIPE.png, here]",
)
@force_option
@reports
def command(
    recipe: Path, changes: tuple[str, ...], out: Path | None, force: bool
) -> dict[str, Any]:
    """Draw what training by RECIPE will see: pictures of each class and altered views of them.

    They go through training's own steps; nothing is trained.
    """
    out = out or Path(f"{recipe.stem}.png")
    if out.suffix.lower() != ".png":
        hint = f"Name it {out.with_suffix('.png')}." if out.name else "Name it seen.png, say."
        raise UserError(f"{out} is no name for a PNG file.", hint)
    require_free(out, force)

    from tflite_light import files
    from tflite_light import recipe as recipes
    from tflite_light.report import shown
    from tflite_light.runs.showing import show

    checked = recipes.check(recipe, changes)
    files.require_writable(out.parent)
    rows = show(checked)
    files.write(out, shown.png(rows))
    for row in rows:
        click.echo(f"{row.label}: {row.name}")
    click.echo(out)
    return {
        "png": str(out),
        "pictures": [{"name": row.name, "class": row.label, "views": row.labels} for row in rows],
    }
