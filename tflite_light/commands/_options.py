"""Arguments and options that several commands share."""

import contextlib
import functools
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tflite_light.errors import Refuted, Unmade, UserError
from tflite_light.progress import say
from tflite_light.sockets import names
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.measure.accuracy import Measured
    from tflite_light.recipe import Recipe

RUNS = Path("runs")
Made = TypeVar("Made")


def reports(command: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Gives a command --json: its result as one object on stdout instead of its text, also where
    the command says that something does not hold.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
    @functools.wraps(command)
    def wrapped(as_json: bool, **arguments: Any) -> None:
        refuted = None
        with contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext():
            try:
                result = command(**arguments)
            except Refuted as error:
                result, refuted = error.report, error
        if as_json:
            click.echo(json.dumps(result))
        if refuted:
            raise refuted

    return wrapped


def show_remarks(recipe: "Recipe") -> None:
    """On stderr, what of a recipe that is valid may not be meant so."""
    for remark in recipe.remarks():
        say(f"note: {remark}")


def shown_of(made: Callable[[], Made], show: Callable[[Made], dict[str, Any]]) -> dict[str, Any]:
    """What is shown of what was made, also where one of its files cannot be made."""
    try:
        return show(made())
    except Unmade as error:
        if not error.made:
            raise
        raise Refuted(error.problem, error.hint, show(error.made)) from error


recipe_path = click.argument("recipe", type=click.Path(path_type=Path))
set_option, import_option = (
    click.option("--set", "changes", multiple=True, metavar="PLACE=VALUE", help=text)
    for text in (
        "Change the recipe, e.g. train.epochs=5.",
        "Change the RECIPE, e.g. image.size=128; not of a RUN.",
    )
)
size_option = click.option(
    "--size",
    type=click.IntRange(1, 2048),
    metavar="SIDE",
    help="Side of the pictures, where a .tflite leaves it open.",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Where the pictures of a run are now.  [default: where they were]",
)
runs_option = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=RUNS,
    show_default=True,
    help="Folder of the runs.",
)


strangers_option = click.option(
    "--skip-strangers", is_flag=True, help="Leave out other files among the pictures of --data."
)
force_option = click.option("--force", is_flag=True, help="Write over a file that is there.")


def require_there(target: Path) -> None:
    """Raises UserError where there is neither a run nor a file."""
    if not target.exists():
        raise UserError(f"{target} does not exist.", "Give the folder of a run, or a .tflite file.")


def require_file(path: Path) -> None:
    """Raises UserError where a folder is given for a file, with the files of a run in it."""
    if path.is_dir():
        from tflite_light.runs.predicting import exported

        found = exported(path)
        raise UserError(
            f"{path} is a folder.",
            f"Name one of its files: {some(found)}" if found else "Give a .tflite file.",
        )


def require_recipe_name(out: Path) -> None:
    """Raises UserError where a recipe would have a name by which it is not known for one."""
    if out.suffix not in (".yaml", ".yml"):
        hint = f"Name it {out.with_suffix('.yaml')}." if out.name else "Name it photos.yaml, say."
        raise UserError(f"{out} is no name for a recipe.", hint)


def require_free(path: Path, force: bool, content: bytes | None = None, option: str = "-o") -> None:
    """Raises UserError where a file would be written over, but by the same `content`. `option` is
    the one that names it."""
    same = content is not None and path.is_file() and path.read_bytes() == content
    if os.path.lexists(path) and not force and not same:
        raise UserError(
            f"{path} exists already.",
            f"Name another file by `{option}`, or write over it by `--force`.",
        )


def require_other(out: Path, given: Path) -> None:
    """Raises UserError where what a command makes of a file would be written over that file."""
    if out.resolve() == given.resolve():
        raise UserError(f"{out} is the file that is read.", "Name another file by `-o`.")


def mode_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One flag for each part of the export socket; the function gets `modes`, the chosen keys."""
    keys = names("export")

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> Any:
        return command(modes=[key for key in keys if arguments.pop(key)], **arguments)

    for key in reversed(keys):
        wrapped = click.option(f"--{key}", key, is_flag=True, help=f"Write the {key} file.")(
            wrapped
        )
    return wrapped


def show_measured(rows: "list[Measured]") -> None:
    """The table on stdout, what a person should not overlook on stderr."""
    from tflite_light.report import measured

    measured.show(rows)
    for warning in measured.warnings(rows):
        click.echo(warning, err=True)
