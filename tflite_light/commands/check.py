"""`tflite-light check`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import recipe_path, reports, set_option, show_remarks


@click.command()
@recipe_path
@set_option
@click.option(
    "--graph",
    is_flag=True,
    help="Build the network and plan its stages; name layers that would escape them.",
)
@reports
def command(recipe: Path, changes: tuple[str, ...], graph: bool) -> dict[str, Any]:
    """Find mistakes in RECIPE, or else files it names that do not exist; nothing is trained.

    RECIPE is a file, or the name of one that the kit has, such as mobilenet_v2.
    """
    from tflite_light import recipe as recipes

    if graph:
        return _graph(recipe, changes)
    checked = recipes.check(recipe, changes)
    show_remarks(checked)
    click.echo(f"{recipe} is valid:\n{recipes.to_yaml(checked)}", nl=False)
    return checked.shown()


def _graph(path: Path, changes: tuple[str, ...]) -> dict[str, Any]:
    """Files that are not here yet are no mistake for the network."""
    from tflite_light.report import planned
    from tflite_light.runs import planning

    recipe, rows = planning.lint(path, changes)
    show_remarks(recipe)
    click.echo(f"{path} is valid:")
    planned.show(rows)
    return recipe.shown() | {"stages": [row.to_json() for row in rows]}
