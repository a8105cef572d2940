"""`tflite-light inspect`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import reports, set_option, size_option


@click.command()
@click.argument("target", metavar="RECIPE|RUN|FILE.tflite", type=click.Path(path_type=Path))
@set_option
@size_option
@reports
def command(target: Path, changes: tuple[str, ...], size: int | None) -> dict[str, Any]:
    """Count what a network costs, layer by layer; nothing is trained."""
    from tflite_light.report import costs
    from tflite_light.runs.inspecting import inspect

    found = inspect(target, changes, size)
    costs.show(found)
    return found.to_json()
