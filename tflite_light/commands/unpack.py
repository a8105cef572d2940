"""`tflite-light unpack`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import force_option, reports, require_free, require_other
from tflite_light.errors import UserError
from tflite_light.tflite import PACKED


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The .tflite.  [default: FILE without .packed]",
)
@force_option
@reports
def command(path: Path, out: Path | None, force: bool) -> dict[str, Any]:
    """Restore the .tflite that `pack` was given, checked to the bit."""
    from tflite_light import files
    from tflite_light.tflite import packed

    place = out or path.with_name(path.name.removesuffix(PACKED))
    if not out and place == path:
        raise UserError(f"{path} does not end in {PACKED}.", "Name the .tflite by `-o`.")
    require_other(place, path)
    content = packed.read(path)
    require_free(place, force, content)
    files.write(place, content)
    click.echo(place)
    return {"unpacked": str(place), "size_bytes": len(content)}
