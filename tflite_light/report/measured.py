"""What was measured, for a person: tables of answers and of costs, and warnings."""

from collections.abc import Callable, Sequence
from typing import Any

from tflite_light.measure.accuracy import Measured
from tflite_light.measure.confusion import Confusion
from tflite_light.measure.significance import Paired
from tflite_light.report import confused
from tflite_light.report.terminal import console, headed
from tflite_light.wording import count, some

Columns = dict[str, Callable[[Measured], str]]
ANSWERS: Columns = {
    "": lambda row: _title(row),
    "val (95 %)": lambda row: _accuracy(row.val_top1, row.val_interval),
    "top-1 (95 %)": lambda row: _accuracy(row.top1, row.top1_interval),
    "balanced": lambda row: _uneven(row.confusion, "balanced_accuracy"),
    "macro F1": lambda row: _uneven(row.confusion, "macro_f1"),
    "agreement": lambda row: share(row.agreement),
    "ECE": lambda row: share(row.calibration_error),
    "rejected": lambda row: share(row.rejected),
    "outliers rejected": lambda row: share(row.outliers_rejected),
    "worst class": lambda row: _worst(row.confusion),
}
COSTS: Columns = {
    "": lambda row: _title(row),
    "zeros": lambda row: share(row.zeros),
    "values": lambda row: "" if row.values is None else str(row.values),
    "KiB": lambda row: _kib(row.size_bytes),
    "deflated": lambda row: _kib(row.deflated_bytes),
    "mult-adds": lambda row: _millions(row.multiply_adds),
    "ms": lambda row: _ms(row.latency_ms),
    "time": lambda row: _time(row.seconds),
}
LEFT = ("", "worst class")
ENOUGH = 0.98  # agreement below it deserves a word
FEW_PICTURES = 200  # more than these hardly change the ranges they set


def show(rows: Sequence[Measured]) -> None:
    """Print on stdout what each answered and costs, without columns that no row has a figure in;
    then the last one's classes.
    """
    out = console(400)  # as wide as it needs: no figure is cut off
    out.print(heading(rows[0]), soft_wrap=True)
    for columns in (ANSWERS, COSTS):
        if table := _table(columns, rows):
            out.print(table)
    for line in comparisons(rows):
        out.print(line, soft_wrap=True)
    judged = _judged(rows)
    if judged and judged.confusion:
        confused.show(out, _title(judged), judged.confusion)


def warnings(rows: Sequence[Measured]) -> list[str]:
    """What a person should not overlook."""
    found = [
        f"warning: {row.name} answers as its Keras model on only {row.agreement:.3f} of the "
        f"pictures.{_advice(row.calibration_pictures)}"
        for row in rows
        if row.agreement is not None and row.agreement < ENOUGH
    ]
    judged = _judged(rows)
    if judged and judged.confusion and (missed := confused.missed(judged.confusion)):
        classes = [f"{one.name} ({one.right} of {one.pictures})" for one in missed]
        found.append(
            f"warning: {judged.name} finds far less of some classes than its top-1 of "
            f"{judged.confusion.accuracy:.4f} suggests: {some(classes)}."
        )
    return found


def comparisons(rows: Sequence[Measured]) -> list[str]:
    """Which files differ from the first, and which may not."""
    return [_compared(_title(row), row.paired) for row in rows if row.paired]


def _judged(rows: Sequence[Measured]) -> Measured | None:
    """The row whose classes are shown: the last, which is a file where there is one."""
    return next((row for row in reversed(rows) if row.confusion), None)


def heading(row: Measured) -> str:
    text = f"on {row.pictures} {row.kind}"
    if not row.confusion:
        return text
    balance = row.confusion.balance
    majority = f"the majority class, {balance.most}, has {balance.share:.4f} of them"
    classes = count(len(balance.pictures), "class", "classes")
    return f"{text} of {classes}; {majority}. (95 %): Wilson's interval"


def tabulated(columns: Columns, rows: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Names of columns and lines of cells, without those that have no figures."""
    cells = {
        name: [text for row in rows for text in _cells(row, name, cell)]
        for name, cell in columns.items()
    }
    cells = {name: found for name, found in cells.items() if any(found)}
    lines = [list(line) for line in zip(*cells.values(), strict=True) if any(line[1:])]
    return list(cells), lines


def _table(columns: Columns, rows: Sequence[Measured]) -> Any:
    """None where there are no figures."""
    names, lines = tabulated(columns, rows)
    table = headed(names, LEFT)
    for line in lines:
        table.add_row(*line)
    return table if lines else None


def _compared(name: str, paired: Paired) -> str:
    """Whether the difference between two files may be chance."""
    verdict = "differ by more than chance" if paired.told_apart else "cannot be told apart"
    return (
        f"{name} and {_file(paired.against)} {verdict} on {paired.pictures} pictures: "
        f"{paired.only_this} are right in the first alone, {paired.only_other} in the other alone "
        f"(McNemar's exact test, p = {paired.p_value:.2g})"
    )


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


def _cells(row: Measured, name: str, cell: Callable[[Measured], str]) -> list[str]:
    """Of a row, and of a further one for its packed form."""
    packed = {"": "  packed", "KiB": _kib(row.packed_bytes)}
    return [cell(row), *([packed.get(name, "")] if row.packed_bytes else [])]


def _title(row: Measured) -> str:
    return _file(row.name) if row.size_bytes else row.name


def _file(name: str) -> str:
    return f"{name.removesuffix('.tflite')}.tflite"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _accuracy(value: float | None, interval: tuple[float, float] | None) -> str:
    return f"{share(value)} {confused.interval(interval)}".strip()


def _uneven(confusion: Confusion | None, figure: str) -> str:
    """A figure that says more than the accuracy where classes are uneven."""
    return share(getattr(confusion, figure)) if confusion and confusion.balance.uneven else ""


def _worst(confusion: Confusion | None) -> str:
    return f"{share(confusion.worst.recall)} {confusion.worst.name}" if confusion else ""


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
