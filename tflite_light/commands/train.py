"""`tflite-light train`"""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tflite_light.commands._options import (
    RUNS,
    recipe_path,
    reports,
    runs_option,
    set_option,
    show_measured,
    show_remarks,
    shown_of,
)
from tflite_light.errors import UserError

if TYPE_CHECKING:
    from tflite_light.measure.accuracy import Measured
    from tflite_light.runs.folder import Run


@click.command()
@recipe_path
@set_option
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the newest unfinished run of RECIPE, or with the run RECIPE.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="With --resume: where the pictures are now.  [default: where they were]",
)
@click.option("--name", help="Name of the run.  [default: the recipe's]")
@runs_option
@reports
def command(
    recipe: Path,
    changes: tuple[str, ...],
    resume: bool,
    data: Path | None,
    name: str | None,
    runs: Path,
) -> dict[str, Any]:
    """Train RECIPE, compress, export and measure; all of it goes into a new folder of --runs.

    RECIPE is a file, or the name of one that the kit has, such as mobilenet_v2.
    """
    from tflite_light import recipe as recipes

    checked = recipes.load(recipe / "recipe.yaml" if recipe.is_dir() else recipe, changes)
    if not checked.train:
        raise UserError(
            f"{recipe} has no train:, so it is an import.",
            f"Export it with `tflite-light export {recipe} --out FOLDER`, or add train: {{}} to "
            "train it by the defaults.",
        )

    from tflite_light.training import distribution

    distribution.join()
    from tflite_light.runs import conductor, finding

    _require_effect(recipe, resume, data, name, runs)
    show_remarks(checked)
    if name is None:
        name = recipe.name if recipe.is_dir() else recipe.stem
    if resume:
        train = partial(conductor.resume, finding.to_resume(recipe, name, runs, checked), data)
    else:
        train = partial(conductor.start, checked, name, runs)
    return shown_of(train, lambda made: _shown(*made, data))


def _shown(run: "Run", rows: "list[Measured]", data: Path | None) -> dict[str, Any]:
    """The page, the table and what comes next; the JSON of it."""
    from tflite_light.report.html import html
    from tflite_light.runs import predicting, reporting
    from tflite_light.training import distribution

    paths = [run.export_path(mode.stem) for mode in run.recipe.export]
    exports = [str(path) for path in paths if path.exists()]
    if not distribution.writes():
        return {"run": str(run.folder), "exports": exports, "rows": []}
    page = _write_page(run, html(reporting.of_run(run, rows, run.recipe_at(data).source)))
    show_measured(rows)
    click.echo(f"\n{run.folder} is ready; {page} shows it. Next:")
    first = run.export_path(predicting.FIRST_CHOICE)
    folder = shlex.quote(str(run.folder))
    if exports:
        answers = str(first) if str(first) in exports else exports[-1]
        click.echo(f"  tflite-light predict {shlex.quote(answers)} photo.jpg")
    click.echo(f"  tflite-light evaluate {folder}")
    click.echo(f"  tflite-light export {folder} --int8 --out app")
    return {"run": str(run.folder), "exports": exports, "rows": [row.to_json() for row in rows]}


def _require_effect(
    recipe: Path, resume: bool, data: Path | None, name: str | None, runs: Path
) -> None:
    """Raises UserError where an option would be ignored."""
    if data and not resume:
        raise UserError(
            "`--data` goes with `--resume`, for pictures that were moved.",
            "Set the data of a new run in its recipe, or by `--set data.directory.path=FOLDER`.",
        )
    if resume and recipe.is_dir() and (name is not None or runs != RUNS):
        raise UserError(
            f"{recipe} is the run that goes on: `--name` and `--runs` would be ignored.",
            "Leave them out; or give the recipe's file, for its newest unfinished run of a name.",
        )


def _write_page(run: "Run", page: str) -> Path:
    from tflite_light import files

    try:
        return files.write(run.folder / "report.html", page)
    except UserError as error:
        again = f"`tflite-light report {shlex.quote(str(run.folder))}`"
        raise UserError(
            error.problem, f"The run is finished. Free some space, then {again} writes its page."
        ) from error
