"""What the app measured on a phone, for a person, beside this computer."""

from typing import Any

COLUMNS = {
    "p50 ms": "p50_ms",
    "p90 ms": "p90_ms",
    "worst ms": "worst_ms",
    "cold start ms": "cold_start_ms",
    "warm start ms": "warm_start_ms",
}


def show(found: dict[str, Any], here_ms: float | None) -> None:
    """Print the table on stdout; `here_ms` is the file's median on this computer, one thread."""
    from rich.console import Console
    from rich.table import Table

    title = f"{found['model']} on {found['phone']}, Android {found['android']}"
    table = Table(box=None, pad_edge=False, title_justify="left", title=title)
    for name in ("accelerator", *COLUMNS, "golden pictures"):
        left = name in ("accelerator", "golden pictures")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for row in found["accelerators"]:
        figures = (_figure(row.get(key)) for key in COLUMNS.values())
        table.add_row(row["accelerator"], *figures, row["verdict"])
    if here_ms is not None:
        table.add_row("this computer, cpu 1", _figure(here_ms), *[""] * (len(COLUMNS) - 1), "right")
    Console(width=100, highlight=False).print(table)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
