"""`tflite-light unpack`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import reports
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
@reports
def command(path: Path, out: Path | None) -> dict[str, Any]:
    """Restore the .tflite that `pack` was given, checked to the bit."""
    from tflite_light import files
    from tflite_light.tflite import packed

    place = out or path.with_name(path.name.removesuffix(PACKED))
    content = packed.read(path)
    if not out:
        _require_free(place, content)
    files.write(place, content)
    click.echo(place)
    return {"unpacked": str(place), "size_bytes": len(content)}


def _require_free(place: Path, content: bytes) -> None:
    """Raises UserError where another file has the name that nobody chose."""
    if place.is_file() and place.read_bytes() != content:
        raise UserError(f"{place} exists and is another file.", "Name the new one by `-o`.")
