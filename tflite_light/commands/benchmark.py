"""`tflite-light benchmark`"""

from pathlib import Path
from typing import Any

import click

from tflite_light.commands._options import reports, require_file
from tflite_light.errors import UserError

RUNS = 100


def _numbers(_context: Any, _option: Any, text: str) -> list[int]:
    known = {str(number): number for number in range(1, 65)}
    parts = [part.strip() for part in text.split(",")]
    if not known.keys() >= set(parts):
        problem = f"--threads: {text!r} is not a list of numbers from 1 to 64."
        raise UserError(problem, "Write `--threads 1,2`.")
    return list(dict.fromkeys(known[part] for part in parts))


@click.command()
@click.argument(
    "models", metavar="FILE.tflite ...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--threads", default="1", show_default=True, callback=_numbers, help="Such as 1,2.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What times are compared with.  [default: float32 MobileNetV2 1.0, converted for it]",
)
@click.option("--profile", "profiled", is_flag=True, help="Show what each kernel takes.")
@click.option(
    "--runs",
    default=RUNS,
    show_default=True,
    type=click.IntRange(10, 10_000),
    help="How often each file is timed.",
)
@reports
def command(
    models: tuple[Path, ...], threads: list[int], against: Path | None, profiled: bool, runs: int
) -> dict[str, Any]:
    """Time FILEs on this computer's CPU, in turn, by LiteRT with XNNPACK: inference alone."""
    from tflite_light.report import timed
    from tflite_light.runs.benchmarking import benchmark

    for path in (*models, *([against] if against else [])):
        require_file(path)
    found = benchmark(models, threads, against, profiled, runs)
    timed.show(found)
    return found.to_json()
