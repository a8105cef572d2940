"""What was measured, for a person: a table, and warnings."""

from collections.abc import Callable
from typing import Any

from tflite_light.measure.accuracy import Measured
from tflite_light.wording import count

COLUMNS: dict[str, Callable[[Measured], str]] = {
    "": lambda row: _title(row),
    "top-1": lambda row: _share(row.top1),
    "agreement": lambda row: _share(row.agreement),
    "KiB": lambda row: _kib(row.size_bytes),
    "deflated": lambda row: _kib(row.deflated_bytes),
    "zeros": lambda row: _share(row.zeros),
    "latency_ms": lambda row: f"{row.latency_ms:.2f}",
    "time": lambda row: "" if row.seconds is None else f"{row.seconds:.0f} s",
}
ENOUGH = 0.98  # agreement below it deserves a word
FEW_PICTURES = 200  # more than these hardly change the ranges they set


def show(rows: list[Measured]) -> None:
    """Print the table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=f"on {rows[0].pictures} {rows[0].kind}",
    )
    for name in COLUMNS:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(cell(row) for cell in COLUMNS.values()))
    Console(width=100, highlight=False).print(table)


def warnings(rows: list[Measured]) -> list[str]:
    """What a person should not overlook."""
    return [
        f"warning: {row.name} answers as its Keras model on only {row.agreement:.3f} of the "
        f"pictures.{_advice(row.calibration_pictures)}"
        for row in rows
        if row.agreement is not None and row.agreement < ENOUGH
    ]


def _advice(calibration_pictures: int | None) -> str:
    """What would help a file whose ranges were set by so many pictures; 0 if they were trained."""
    if calibration_pictures is None:
        return ""
    if calibration_pictures == 0:
        return "\nhint: give the qat stage more epochs."
    qat = "train the network with a qat stage"
    if calibration_pictures >= FEW_PICTURES:
        return f"\nhint: {qat}."
    number = count(calibration_pictures, "picture")
    return f"\nhint: its ranges come from {number}; give more, or {qat}."


def _title(row: Measured) -> str:
    if row.size_bytes:
        return f"{row.name.removesuffix('.tflite')}.tflite"
    if row.name == "teacher":
        return row.name
    return f"{'float' if row.name == 'fit' else row.name} (Keras)"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _kib(value: Any) -> str:
    return "" if value is None else f"{value / 1024:.0f}"
