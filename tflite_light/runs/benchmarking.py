"""Files timed side by side, and beside a yardstick."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tflite_light.errors import UserError
from tflite_light.measure import trial
from tflite_light.measure.footprint import peak_bytes
from tflite_light.measure.latency import RUNS, Latency, in_turn
from tflite_light.measure.profiling import Profile, profile
from tflite_light.measure.runners import TFLiteModel, runtime
from tflite_light.progress import say
from tflite_light.tflite import file as tflite


@dataclass(frozen=True)
class Timed:
    """Milliseconds for a picture: the median, and between which nine of ten inferences lie.

    `ratio` is the median over that of what all are compared with.
    """

    file: str
    threads: int
    ms: float
    p5_ms: float
    p95_ms: float
    ratio: float


@dataclass(frozen=True)
class Benchmark:
    """`against` says what times are compared with; `operators` are in the file, `peak_bytes` the
    most memory that it takes while it runs. Profiles only where they were asked for.
    """

    runtime: str
    against: str
    rows: list[Timed]
    operators: dict[str, int]
    peak_bytes: dict[str, int | None]
    profiles: dict[str, Profile]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def benchmark(
    paths: Sequence[Path],
    threads: Sequence[int],
    against: Path | None = None,
    profiled: bool = False,
    runs: int = RUNS,
) -> Benchmark:
    """Times of `.tflite` files, each inference of one followed by one of each other.

    Compared with the file `against`, or with a yardstick that is converted for it. Raises UserError
    where a file does not run.
    """
    contents = {str(path): _content(path) for path in [*paths, *([against] if against else [])]}
    name = str(against) if against else ""
    if not against:
        from tflite_light.measure import yardstick

        say(f"converting the yardstick: {yardstick.NAME}")
        name = yardstick.NAME
        contents[name] = yardstick.content()
    rows = []
    for number in threads:
        found = in_turn([*contents.values()], number, runs)
        rows += _rows(dict(zip(contents, found, strict=True)), number, name)
    files = [str(path) for path in paths]
    return Benchmark(
        runtime(),
        name,
        rows,
        {file: len(tflite.File(contents[file]).codes()) for file in files},
        {file: peak_bytes(Path(file)) for file in files},
        {file: profile(Path(file), threads[0]) for file in files} if profiled else {},
    )


def _content(path: Path) -> bytes:
    file = tflite.read(path)
    trial.run(path)
    try:
        TFLiteModel(file.content)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path} cannot be timed: {error}.", "Give classifiers.") from error
    (picture,) = file.graphs[0].inputs
    if -1 in file.graphs[0].sides_of(picture)[1:]:
        raise UserError(
            f"{path} cannot be timed: it leaves the size of its pictures open.",
            "Convert it for pictures of one size.",
        )
    return file.content


def _rows(found: dict[str, Latency], threads: int, against: str) -> list[Timed]:
    base = found[against].quantile(0.5)
    return [
        Timed(
            name,
            threads,
            one.quantile(0.5),
            one.quantile(0.05),
            one.quantile(0.95),
            one.quantile(0.5) / base,
        )
        for name, one in found.items()
    ]
