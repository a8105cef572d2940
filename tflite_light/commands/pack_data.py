"""`tflite-light pack-data`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import recipe_path, reports, set_option
from tflite_light.errors import UserError


@click.command()
@recipe_path
@set_option
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FOLDER",
    help="A new folder, on any path that TensorFlow opens.",
)
@reports
def command(recipe: Path, changes: tuple[str, ...], out: str) -> dict[str, Any]:
    """Write the pictures of RECIPE, sized once by its image:, as TFRecords to train from.

    RECIPE is a file, or the name of one that the kit has, such as mobilenet_v2.
    """
    from tflite_light import recipe as recipes

    checked = recipes.load(recipe, changes)
    if not checked.data:
        raise UserError(f"{recipe} has no data:.", "Name the pictures to pack there.")

    from tflite_light.recipe import yaml
    from tflite_light.runs import packing

    packed = packing.pack(checked, out)
    total = sum(packed.pictures.values())
    click.echo(
        f"{packed.folder}: {total} pictures in {packed.shards} files, "
        f"{packed.size_bytes / 1e6:.1f} MB. To train from them:\n"
        f"{yaml.dump({'data': packed.data})}",
        nl=False,
    )
    return {
        "folder": packed.folder,
        "pictures": packed.pictures,
        "shards": packed.shards,
        "size_bytes": packed.size_bytes,
        "data": packed.data,
    }
