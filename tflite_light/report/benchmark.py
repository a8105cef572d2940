"""What the app measured on a phone, for a person, beside this computer.

`benchmark.json`, which the app writes (`Benchmark.kt`): the model's name and sha256, the phone, its
android, processor, temperature and memory, and `accelerators`, a row each: `accelerator` (cpu1,
cpu2, cpu4, gpu, gpu16, nnapi), `verdict` on its golden pictures (right, wrong, unused, failed,
unreadable where one of them is, or unchecked where there are none), `cold_start_ms`,
`warm_start_ms`, and of `runs` inferences `p50_ms`, `p90_ms` and `worst_ms`. What was not measured
is not there.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tflite_light.report.terminal import console, headed

COLUMNS = {
    "p50 ms": "p50_ms",
    "p90 ms": "p90_ms",
    "worst ms": "worst_ms",
    "cold start ms": "cold_start_ms",
    "warm start ms": "warm_start_ms",
}
Row = Mapping[str, Any]


def show(found: Mapping[str, Any], here: Iterable[Row]) -> None:
    """Print the table on stdout; `here` are rows of this computer, by the same keys."""
    title = f"{found['model']} on {found['phone']}, Android {found['android']}"
    table = headed(["accelerator", *COLUMNS, "golden pictures"], ["accelerator", "golden pictures"])
    table.title, table.title_justify = title, "left"
    for row in found["accelerators"]:
        table.add_row(row["accelerator"], *_figures(row), row["verdict"])
    for row in here:
        name = f"this computer, {row['accelerator']}"
        table.add_row(name, *_figures(row), row.get("verdict", ""))
    console(100).print(table)


def _figures(row: Row) -> list[str]:
    found = [row.get(key) for key in COLUMNS.values()]
    return ["" if value is None else f"{value:.2f}" for value in found]
