"""`tflite-light export`"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tflite_light.commands._options import (
    data_option,
    import_option,
    mode_options,
    reports,
    runs_option,
    show_measured,
    shown_of,
)
from tflite_light.errors import UserError

if TYPE_CHECKING:
    from tflite_light.measure.accuracy import Measured


@click.command()
@click.argument("target", metavar="[RUN|RECIPE]", required=False, type=click.Path(path_type=Path))
@mode_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the files; a RECIPE needs one.  [default: the run's exports]",
)
@data_option
@import_option
@runs_option
@reports
def command(
    target: Path | None,
    modes: list[str],
    out: Path | None,
    data: Path | None,
    changes: tuple[str, ...],
    runs: Path,
) -> dict[str, Any]:
    """Write .tflite files of RUN, of the newest run, or of a RECIPE without `train`.

    Without a kind, those that the recipe names.
    """
    from tflite_light.recipe import shipped

    if target and shipped.is_recipe(target):
        from tflite_light.runs import importing

        if data:
            raise UserError(
                f"`--data` goes with a run, and {target} is a recipe to import.",
                "Name its pictures by `--set data.pictures.path=FOLDER`.",
            )
        origin = {"recipe": str(target)}
        write = partial(importing.export, target, changes, modes, out)
    else:
        from tflite_light.runs import finding, finished, folder

        if changes:
            raise UserError(
                "`--set` goes with a RECIPE to import; a run keeps the one it was made by.",
                "Train the changed recipe, or leave out `--set`.",
            )
        current = folder.open_run(target) if target else finding.newest(runs)
        origin = {"run": str(current.folder)}
        write = partial(finished.export, current, modes, out, data)
    return shown_of(write, lambda rows: origin | _shown(rows))


def _shown(rows: "dict[Path, Measured]") -> dict[str, Any]:
    show_measured(list(rows.values()))
    for path in rows:
        click.echo(path)
    return {
        "exports": [str(path) for path in rows],
        "rows": [row.to_json() for row in rows.values()],
    }
