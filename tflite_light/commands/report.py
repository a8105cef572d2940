"""`tflite-light report`"""

from pathlib import Path
from shlex import quote
from typing import Any

import click

from tflite_light.commands._options import (
    force_option,
    reports,
    require_free,
    require_other,
    require_there,
    strangers_option,
)
from tflite_light.errors import UserError


@click.command()
@click.argument("target", metavar="RUN|FILE.tflite", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Class folders, a .csv table or Parquet files, for a FILE; or where the pictures of a RUN "
    "are now.",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    metavar="PAGE.html",
    help="Where the page goes.  [default: report.html in the run, FILE.html beside a file]",
)
@strangers_option
@force_option
@reports
def command(
    target: Path, data: Path | None, out: Path | None, skip_strangers: bool, force: bool
) -> dict[str, Any]:
    """Measure RUN or FILE, as `evaluate` does, and write what is found as one page of HTML.

    It has accuracy by class, mistakes, learning curves and layers, and needs nothing beside itself.
    """
    require_there(target)
    own = target / "report.html" if target.is_dir() else target.with_suffix(".html")
    out = out or own
    _require_page(out, target)

    from tflite_light import files
    from tflite_light.report.html import html
    from tflite_light.runs import finished, folder, record, reporting
    from tflite_light.runs.evaluating import evaluate_file

    files.require_writable(out.parent)
    if target.is_dir():
        run = folder.open_run(target)
        source = finished.source_of(run, data, skip_strangers)
        same = data is None or run.origin.has_same_data(source)
        again = out.resolve() == own.resolve() and same
        require_free(out, force or again)
        record.environment(run.folder)  # a damaged one is refused before minutes of measuring
        page = reporting.of_run(run, finished.evaluate(run, data, skip_strangers), source)
    elif data:
        require_free(out, force)
        page = reporting.of_file(target, evaluate_file(target, data, skip_strangers), str(data))
    else:
        raise UserError(
            "missing option `--data`: the pictures to measure on.",
            f"`tflite-light report {quote(str(target))} --data FOLDER|LABELS.csv`",
        )
    files.write(out, html(page))
    click.echo(f"{out} is written: open it in a browser.")
    return {"page": str(out)}


def _require_page(out: Path, target: Path) -> None:
    """Raises UserError where a page would have the name of another kind of file, or be TARGET."""
    if out.suffix.lower() not in (".html", ".htm"):
        hint = f"Name it {out.with_suffix('.html')}." if out.name else "Name it page.html, say."
        raise UserError(f"{out} is no name for a page of HTML.", hint)
    require_other(out, target)
