"""`tflite-light check`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import recipe_path, reports, set_option


@click.command()
@recipe_path
@set_option
@reports
def command(recipe: Path, changes: tuple[str, ...]) -> dict[str, Any]:
    """Find every mistake in RECIPE, and files it names that do not exist; nothing is trained.

    RECIPE is a file, or the name of one that the kit has, such as mobilenet_v2.
    """
    from tflite_light import recipe as recipes

    checked = recipes.check(recipe, changes)
    click.echo(f"{recipe} is valid:\n{recipes.to_yaml(checked)}", nl=False)
    return checked.model_dump(mode="json")
