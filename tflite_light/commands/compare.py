"""`tflite-light compare`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import reports, size_option


@click.command()
@click.argument(
    "targets",
    metavar="RECIPE|RUN|FILE.tflite...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@size_option
@reports
def command(targets: tuple[Path, ...], size: int | None) -> dict[str, Any]:
    """Put what several networks cost side by side, as `inspect` counts it."""
    from tflite_light.report import costs
    from tflite_light.runs.inspecting import inspect

    found = [inspect(target, size=size) for target in targets]
    costs.compare(found)
    return {"targets": [{"target": one.target, **one.totals()} for one in found]}
