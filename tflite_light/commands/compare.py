"""`tflite-light compare`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import (
    force_option,
    reports,
    require_free,
    size_option,
    strangers_option,
)
from tflite_light.errors import UserError
from tflite_light.progress import say
from tflite_light.wording import some


@click.command()
@click.argument(
    "targets",
    metavar="RECIPE|RUN|FILE.tflite...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Class folders, a .csv table or Parquet files to measure on.  "
    "[default: the runs' own test pictures]",
)
@strangers_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.svg|FILE.png",
    help="Draw accuracy against size and time.",
)
@size_option
@force_option
@reports
def command(
    targets: tuple[Path, ...],
    data: Path | None,
    skip_strangers: bool,
    plot: Path | None,
    size: int | None,
    force: bool,
) -> dict[str, Any]:
    """Put side by side what networks cost, as `inspect` counts it; of finished RUNs and their
    files, or with --data, also what they answer on the same pictures, and in what time.
    """
    from tflite_light.recipe import shipped
    from tflite_light.report import costs
    from tflite_light.runs.inspecting import inspect

    if plot:
        require_free(plot, force, option="--plot")
    unknown = [] if data or plot else _without_test_pictures(targets)
    if not unknown:
        return _measured(targets, data, skip_strangers, plot, size)
    if skip_strangers:
        raise UserError(
            "`--skip-strangers` is for accuracy, and costs are compared.", "Leave it out."
        )
    if not any(map(shipped.is_recipe, targets)):
        say(
            f"costs alone, as no test pictures of {some(unknown)} are known here; "
            "`--data FOLDER|LABELS.csv` compares accuracy, too"
        )
    found = [inspect(target, size=size) for target in targets]
    costs.compare(found)
    return {"targets": [{"target": one.target, **one.totals()} for one in found]}


def _without_test_pictures(targets: tuple[Path, ...]) -> list[Path]:
    from tflite_light.runs import comparing

    return [target for target in targets if not comparing.has_test_pictures(target)]


def _measured(
    targets: tuple[Path, ...],
    data: Path | None,
    skip_strangers: bool,
    plot: Path | None,
    size: int | None,
) -> dict[str, Any]:
    from tflite_light.recipe import shipped
    from tflite_light.report import compared
    from tflite_light.runs import comparing

    for target in filter(shipped.is_recipe, targets):
        raise UserError(
            f"{target} is a recipe, which has no accuracy before it is trained.",
            "Leave it out; or leave out `--data` and `--plot`, for costs alone.",
        )
    if size:
        raise UserError("`--size` is for costs alone.", "Leave it out.")
    if plot:
        from tflite_light.report import scatter

        scatter.require_drawable(plot)
    found = comparing.compare(targets, data, skip_strangers)
    compared.show(found)
    if plot:
        click.echo(scatter.draw(found, plot))
    return {
        "targets": [{"target": one.costs.target, **one.to_json()} for one in found],
        **({"plot": str(plot)} if plot else {}),
    }
