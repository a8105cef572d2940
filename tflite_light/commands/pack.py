"""`tflite-light pack`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import (
    force_option,
    reports,
    require_file,
    require_free,
    require_other,
)
from tflite_light.tflite import PACKED


@click.command()
@click.argument("path", metavar="FILE.tflite", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The packed file.  [default: FILE.tflite.packed]",
)
@force_option
@reports
def command(path: Path, out: Path | None, force: bool) -> dict[str, Any]:
    """Make a .tflite smaller for its download; `unpack` restores it to the bit."""
    from tflite_light import files
    from tflite_light.report import packing
    from tflite_light.tflite import file, packed
    from tflite_light.tflite.packed.rivals import rivals

    require_file(path)
    out = out or path.with_name(path.name + PACKED)
    require_other(out, path)
    content = file.read(path)
    made = packed.pack(content)
    sizes = {"size_bytes": len(content.content), "packed_bytes": len(made)} | rivals(content)
    require_free(out, force, made)
    files.write(out, made)
    packing.show(sizes)
    click.echo(out)
    return {"packed": str(out), "ratio": sizes["size_bytes"] / sizes["packed_bytes"]} | sizes
