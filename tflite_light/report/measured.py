"""What was measured, for a person: a table, and warnings."""

from collections.abc import Callable
from typing import Any

from tflite_light.measure.accuracy import Measured
from tflite_light.wording import count

COLUMNS: dict[str, Callable[[Measured], str]] = {
    "": lambda row: _title(row),
    "val": lambda row: _share(row.val_top1),
    "top-1": lambda row: _share(row.top1),
    "agreement": lambda row: _share(row.agreement),
    "zeros": lambda row: _share(row.zeros),
    "values": lambda row: "" if row.values is None else str(row.values),
    "KiB": lambda row: _kib(row.size_bytes),
    "deflated": lambda row: _kib(row.deflated_bytes),
    "mult-adds": lambda row: _millions(row.multiply_adds),
    "ms": lambda row: _ms(row.latency_ms),
    "time": lambda row: _time(row.seconds),
}
ENOUGH = 0.98  # agreement below it deserves a word
FEW_PICTURES = 200  # more than these hardly change the ranges they set


def show(rows: list[Measured]) -> None:
    """Print the table on stdout, without columns that no row has a figure in."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        title_justify="left",
        title=f"on {rows[0].pictures} {rows[0].kind}",
    )
    columns = {name: [text for row in rows for text in _cells(row, name)] for name in COLUMNS}
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    for name in columns:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    Console(width=200, highlight=False).print(table)  # as wide as it needs: no figure is cut off


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


def _cells(row: Measured, column: str) -> list[str]:
    """Of a row, and of a further one for its packed form."""
    packed = {"": "  packed", "KiB": _kib(row.packed_bytes)}
    return [COLUMNS[column](row), *([packed.get(column, "")] if row.packed_bytes else [])]


def _title(row: Measured) -> str:
    return f"{row.name.removesuffix('.tflite')}.tflite" if row.size_bytes else row.name


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _kib(value: Any) -> str:
    return "" if value is None else f"{value / 1024:.0f}"


def _millions(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.{0 if value >= 1e8 else 1}f} M"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.{0 if value >= 100 else 2}f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 10_000 else f"{seconds / 3600:.1f} h"
