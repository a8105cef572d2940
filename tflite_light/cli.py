"""The command line. A command imports what it needs inside its function: help is instant."""

import atexit
import contextlib
import errno
import functools
import gc
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tflite_light import __version__
from tflite_light.describe import TOPICS, describe
from tflite_light.errors import UserError
from tflite_light.sockets import names

if TYPE_CHECKING:
    from tflite_light.evaluate import Measured

RUNS = Path("runs")


class Cli(click.Group):
    """Turns a UserError into its lines on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except OSError as error:
            if not error.filename and error.errno != errno.ENOSPC:
                raise
            where = error.filename or "the disk or device that is written to"
            click.echo(f"error: cannot use {where}: {error.strerror}.", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo(
                "\nstopped; what was finished is kept. A training goes on with: tflite-light train "
                "RECIPE --resume",
                err=True,
            )
            ctx.exit(130)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Train, compress and export lightweight image classifiers for phones."""
    atexit.register(gc.freeze)  # a last collection would cost 30 ms, after TensorFlow 700


def reports(command: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Gives a command --json: its result as one object on stdout instead of its text."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
    @functools.wraps(command)
    def wrapped(as_json: bool, **arguments: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext():
            result = command(**arguments)
        if as_json:
            click.echo(json.dumps(result))

    return wrapped


recipe_path = click.argument("recipe", type=click.Path(path_type=Path))
set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PLACE=VALUE",
    help="Change the recipe, e.g. train.epochs=5.",
)
runs_option = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=RUNS,
    show_default=True,
    help="Folder of the runs.",
)


@main.command()
@recipe_path
@set_option
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the newest unfinished run of RECIPE, or with the run RECIPE.",
)
@click.option("--name", help="Name of the run.  [default: the recipe's]")
@runs_option
@reports
def train(
    recipe: Path, changes: tuple[str, ...], resume: bool, name: str | None, runs: Path
) -> dict[str, Any]:
    """Train RECIPE, compress, export and measure; all of it goes into a new folder of --runs."""
    from tflite_light import recipe as recipes

    checked = recipes.load(recipe / "recipe.yaml" if recipe.is_dir() else recipe, changes)
    if not checked.train:
        raise UserError(
            f"{recipe} has no train:, so it is an import. Export it: tflite-light export {recipe} "
            "--out FOLDER, or add train: {} to train it by the defaults."
        )

    from tflite_light import folder as folders
    from tflite_light import report, run
    from tflite_light.data import _pipeline as pipeline
    from tflite_light.progress import say

    name = name or recipe.stem
    current = folders.to_resume(recipe, name, runs, checked) if resume else None
    data = pipeline.load(checked.source, checked.image)
    if not current:
        run.check(checked, len(data.classes))
        current = folders.create(checked, name, runs)
    say(
        f"{current.folder}: {len(data.train)} train, {len(data.val)} val, {len(data.test)} test "
        f"pictures"
    )
    rows = run.train(current, data)
    report.show(rows)
    _warn(rows)
    exports = [str(folders.export_path(current, mode.key)) for mode in current.recipe.export]
    click.echo(f"\n{current.folder} is ready. Next:")
    click.echo(f"  tflite-light predict {exports[-1]} photo.jpg")
    click.echo(f"  tflite-light evaluate {current.folder}")
    click.echo(f"  tflite-light export {current.folder} --int8 --out app")
    return {"run": str(current.folder), "exports": exports, "rows": [row.to_json() for row in rows]}


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


@main.command()
@click.argument("target", metavar="[RUN|RECIPE]", required=False, type=click.Path(path_type=Path))
@mode_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the files; a RECIPE needs one.  [default: the run's exports]",
)
@set_option
@runs_option
@reports
def export(
    target: Path | None, modes: list[str], out: Path | None, changes: tuple[str, ...], runs: Path
) -> dict[str, Any]:
    """Write .tflite files of RUN, of the newest run, or of a RECIPE without `train`.

    Without a kind, those that the recipe names.
    """
    from tflite_light import report

    if target and not target.is_dir() and target.suffix in (".yaml", ".yml"):
        from tflite_light import importing

        origin, rows = {"recipe": str(target)}, importing.export(target, changes, modes, out)
    else:
        from tflite_light import folder, run

        if changes:
            raise UserError(
                "--set goes with a RECIPE to import; a run keeps the one it was made by."
            )
        current = folder.open_run(target) if target else folder.newest(runs)
        origin, rows = {"run": str(current.folder)}, run.export(current, modes, out)
    report.show(list(rows.values()))
    _warn(list(rows.values()))
    for path in rows:
        click.echo(path)
    return origin | {
        "exports": [str(path) for path in rows],
        "rows": [row.to_json() for row in rows.values()],
    }


@main.command()
@click.argument("target", metavar="RUN|FILE.tflite", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Class folders or a .csv table, for a FILE."
)
@reports
def evaluate(target: Path, data: Path | None) -> dict[str, Any]:
    """Measure all models of RUN on its test pictures, or FILE on the pictures of --data."""
    from tflite_light import report

    if target.is_dir():
        from tflite_light import folder, run

        if data:
            raise UserError(
                f"--data goes with a file, such as {target}/exports/int8.tflite; a run has its own."
            )
        rows = run.evaluate(folder.open_run(target))
    else:
        from tflite_light.evaluate import evaluate_file

        if not data:
            raise UserError(
                f"which pictures? tflite-light evaluate {target} --data FOLDER|LABELS.csv"
            )
        rows = [evaluate_file(target, data)]
    report.show(rows)
    _warn(rows)
    return {"rows": [row.to_json() for row in rows]}


@main.command()
@click.argument("model", metavar="FILE.tflite", type=click.Path(path_type=Path))
@click.argument(
    "pictures", metavar="PICTURE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--top", default=1, show_default=True, type=click.IntRange(min=1), help="Labels a picture."
)
@reports
def predict(model: Path, pictures: tuple[Path, ...], top: int) -> dict[str, Any]:
    """Name what is on each PICTURE, as an app that obeys the file's contract would."""
    from tflite_light.predict import classify

    found = classify(model, pictures, top)
    for picture, answers in found.items():
        for answer in answers:
            click.echo(f"{picture}\t{answer['label']}\t{answer['probability']:.4f}")
    return {
        "pictures": [{"picture": picture, "answers": answers} for picture, answers in found.items()]
    }


@main.command()
@click.argument("target", metavar="RECIPE|RUN|FILE.tflite", type=click.Path(path_type=Path))
@set_option
@reports
def inspect(target: Path, changes: tuple[str, ...]) -> dict[str, Any]:
    """Count what a network costs, layer by layer; nothing is trained or run."""
    from tflite_light import cost_report
    from tflite_light.inspect import inspect

    found = inspect(target, changes)
    cost_report.show(found)
    return found.to_json()


@main.command()
@click.argument(
    "targets",
    metavar="RECIPE|RUN|FILE.tflite...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@reports
def compare(targets: tuple[Path, ...]) -> dict[str, Any]:
    """Put what several networks cost side by side, as `inspect` counts it."""
    from tflite_light import cost_report
    from tflite_light.inspect import inspect

    found = [inspect(target) for target in targets]
    cost_report.compare(found)
    return {"targets": [{"target": one.target, **one.totals()} for one in found]}


@main.command()
@recipe_path
@set_option
@reports
def check(recipe: Path, changes: tuple[str, ...]) -> dict[str, Any]:
    """Find every mistake in RECIPE; nothing is loaded or trained."""
    from tflite_light import recipe as recipes

    checked = recipes.load(recipe, changes)
    click.echo(f"{recipe} is right:\n{recipes.to_yaml(checked)}", nl=False)
    return checked.model_dump(mode="json")


@main.command(name="list")
@click.argument("topics", metavar=f"[{'|'.join(TOPICS)}]", nargs=-1, type=click.Choice(TOPICS))
@reports
def list_parts(topics: tuple[str, ...]) -> dict[str, Any]:
    """Show all that a recipe can name: its sections, the parts, and their fields."""
    found = {topic: describe(topic) for topic in topics or TOPICS}
    for topic, parts in found.items():
        click.echo(click.style(topic, bold=True))
        for name, part in parts.items():
            click.echo(f"  {click.style(name, bold=True)}: {part['summary']}")
            for field, about in part["fields"].items():
                default = about["default"]
                given = "required" if default == "required" else f"default {json.dumps(default)}"
                kind = ", ".join(text for text in (about["type"], about["range"], given) if text)
                click.echo(f"    {field} ({kind}): {about['description']}")
    return found


def _warn(rows: "list[Measured]") -> None:
    from tflite_light import report

    for warning in report.warnings(rows):
        click.echo(warning, err=True)


if __name__ == "__main__":
    main()
