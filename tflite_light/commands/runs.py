"""`tflite-light runs`, and `show`, `rename` and `delete` below it."""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._group import Group
from tflite_light.commands._options import reports, runs_option

NAME = click.Path(readable=False)


@click.group(cls=Group, invoke_without_command=True)
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def command(context: click.Context, runs: Path, as_json: bool) -> None:
    """List the runs there are: how far each came, what it reached, how large and old it is."""
    below = {"runs": runs, "as_json": as_json}  # options before `show` hold for it, too
    context.default_map = dict.fromkeys(command.commands, below)
    if not context.invoked_subcommand:
        _list(runs=runs, as_json=as_json)


@reports
def _list(runs: Path) -> dict[str, Any]:
    from tflite_light.report import runs as report
    from tflite_light.runs.overview import overviews

    found = overviews(runs)
    if found:
        report.show(found)
    else:
        click.echo(f"no run in {runs} yet; make one: `tflite-light train mobilenet_v2`", err=True)
    for one in found:
        if one.problem:
            click.echo(f"{one.name} is broken: {one.problem}", err=True)
    return {"runs": [one.to_json() for one in found]}


@command.command()
@click.argument("name", type=NAME)
@runs_option
@reports
def show(name: str, runs: Path) -> dict[str, Any]:
    """Show all of one run: its phases, files and figures. NAME may also be its path."""
    from tflite_light.report import runs as report
    from tflite_light.runs.folder import open_run
    from tflite_light.runs.overview import overview
    from tflite_light.runs.tidying import named

    folder = named(name, runs)
    found = overview(folder)
    run = None if found.problem else open_run(folder)
    report.show_one(found, run)
    rows = run.measured() if run and run.finished else []
    return found.to_json() | {"rows": [row.to_json() for row in rows]}


@command.command()
@click.argument("old", type=NAME)
@click.argument("new")
@runs_option
@reports
def rename(old: str, new: str, runs: Path) -> dict[str, Any]:
    """Give the run OLD the name NEW. The files that it exported keep the names inside them."""
    from tflite_light.runs.tidying import rename as rename_run

    target = rename_run(old, new, runs)
    click.echo(f"{target} it is")
    return {"run": str(target)}


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=NAME)
@click.option("--yes", is_flag=True, help="Do not ask.")
@runs_option
@reports
def delete(names: tuple[str, ...], yes: bool, runs: Path) -> dict[str, Any]:
    """Delete runs with all that they hold: checkpoints, files, figures. It asks first.

    All of them or, where one cannot be deleted, none: one that trains, that holds files which are
    not a run's, or that an unfinished run needs.
    """
    from tflite_light.errors import UserError
    from tflite_light.report.runs import size, state
    from tflite_light.runs import tidying
    from tflite_light.runs.overview import overview

    found = [tidying.named(name, runs) for name in names]
    folders = list({(one.parent.resolve(), one.name): one for one in found}.values())
    tidying.require_deletable(folders)
    for one in map(overview, folders):
        click.echo(f"{one.folder}: {state(one)}, {size(one.size_bytes)}", err=True)
    try:
        if not (yes or click.confirm("Delete for good?", err=True)):
            click.echo("nothing was deleted", err=True)
            return {"deleted": []}
    except click.Abort:
        click.echo(err=True)  # behind the question
        raise UserError("nothing was deleted: there was no answer.", "Give `--yes`.") from None
    tidying.delete(folders)
    deleted = [str(folder) for folder in folders]
    for folder in deleted:
        click.echo(f"deleted {folder}")
    return {"deleted": deleted}
