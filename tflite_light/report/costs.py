"""What a network costs, for a person: layer by layer, or several networks side by side."""

from collections.abc import Callable
from typing import Any

from tflite_light.cost.guidelines import Guideline
from tflite_light.cost.inspection import Inspected
from tflite_light.cost.network import Operator

Cell = Callable[[Operator], str]
SHOWN = 3  # layers that a guideline names; --json has them all
COLUMNS: dict[str, Cell] = {
    "layer": lambda row: row.name,
    "kind": lambda row: f"{row.kind} /{row.groups}" if _is_grouped(row) else row.kind,
    "output": lambda row: "x".join(map(str, row.output.shape[1:])),
    "parameters": lambda row: _count(row.parameters),
    "multiply-adds": lambda row: _count(row.multiply_adds),
    "float32 KiB": lambda row: _kib(row.float32_bytes),
    "int8 KiB": lambda row: _kib(row.int8_bytes),
}
FILE_COLUMNS: dict[str, Cell] = {
    "op": lambda row: f"{row.stored.op} {row.stored.version}" if row.stored else "",
    "types": lambda row: " ".join(dict.fromkeys(row.stored.types)) if row.stored else "",
    "zeros": lambda row: _share(row),
    "values": lambda row: _count(row.stored.distinct_values or 0) if row.stored else "",
}
LEFT = ("layer", "kind", "op", "types", "")


def show(found: Inspected) -> None:
    """Print the layers, the totals and the guidelines on stdout."""
    from rich.console import Console
    from rich.table import Table

    columns = COLUMNS | FILE_COLUMNS if found.file else COLUMNS
    table = Table(box=None, pad_edge=False)
    for name in (*columns, "live KiB"):
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for row, live in zip(found.network.operators, found.network.live, strict=True):
        table.add_row(*(cell(row) for cell in columns.values()), _kib(live))
    console = Console(width=170, highlight=False, soft_wrap=True)
    console.print(table)
    console.print(_summary(found))
    for guideline in found.guidelines:
        console.print(_told(guideline))


def compare(found: list[Inspected]) -> None:
    """Print a column for each target, with its ratio to the first, on stdout."""
    from rich.console import Console
    from rich.table import Table

    totals = [one.totals() for one in found]
    titles = {one.name: f"{one.name} {one.title}" for one in found[0].guidelines}
    table = Table(box=None, pad_edge=False)
    for name in ("", *(one.target for one in found)):
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    for key in totals[0]:
        values = [one[key] for one in totals]
        if any(value is not None for value in values):
            cells = (_compared(value, values[0]) for value in values)
            table.add_row(titles.get(key, key.replace("_", " ")), *cells)
    Console(width=60 + 30 * len(found), highlight=False).print(table)


def _summary(found: Inspected) -> str:
    network = found.network
    size = f", {len(found.file.content):,} bytes" if found.file else ""
    lines = [
        f"\n{found.target}: {found.title}{size}",
        _line("parameters", f"{network.parameters:,}"),
        _line("multiply-adds", f"{network.multiply_adds:,}"),
        _line("memory access", f"{network.int8_bytes:,}")
        + f" bytes as int8, {network.float32_bytes:,} as float32",
        _line("live activation", f"{network.peak:,}")
        + f" bytes as int8, {4 * network.peak:,} as float32, at {network.peak_operator.name}",
    ]
    return "\n".join([*lines, *_runtime(found), *_published(found), ""])


def _line(name: str, value: str) -> str:
    return f"  {name:<16}{value:>15}"


def _runtime(found: Inspected) -> list[str]:
    lines = []
    if found.min_runtime:
        newest = [op for op, runtime in found.runtimes.items() if runtime == found.min_runtime]
        needs = ", ".join(newest)
        lines.append(_line("oldest runtime", found.min_runtime) + f" of TFLite, for {needs}")
    if found.unknown_operators:
        lines.append(f"  of unknown runtime: {', '.join(found.unknown_operators)}")
    if found.uncounted_operators:
        lines.append(f"  not among the multiply-adds: {', '.join(found.uncounted_operators)}")
    return lines


def _published(found: Inspected) -> list[str]:
    published = found.published
    if not published or published.top1 is None:
        return []
    told = f" on ImageNet with 1000 classes ({published.source})"
    return [_line("published top-1", f"{published.top1:.4f}") + told]


def _told(guideline: Guideline) -> str:
    lines = [
        f"{guideline.name} {guideline.figure:.3f}  {guideline.rule}",
        f"   {guideline.meaning}",
    ]
    for finding in guideline.findings[:SHOWN]:
        lines.append(f"   {finding.figure:6.3f}  {finding.layer}: {finding.why}")
    if len(guideline.findings) > SHOWN:
        lines.append(f"   and {len(guideline.findings) - SHOWN} more")
    return "\n".join(lines)


def _compared(value: Any, first: Any) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value[1:]))
    if not isinstance(value, int | float):
        return "" if value is None else str(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
    whole = isinstance(value, int) and isinstance(first, int) and first and value != first
    return f"{text} ({value / first:.2f}x)" if whole else text


def _is_grouped(row: Operator) -> bool:
    return row.kind == "conv" and row.groups > 1


def _share(row: Operator) -> str:
    zeros = row.stored.zero_weights if row.stored else None
    return "" if zeros is None else f"{zeros / row.weights:.4f}"


def _count(value: int) -> str:
    return f"{value:,}" if value else ""


def _kib(value: int) -> str:
    return f"{value / 1024:,.1f}"
