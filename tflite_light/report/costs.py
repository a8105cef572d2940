"""What a network costs, for a person: layer by layer, or several networks side by side."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tflite_light.cost.guidelines import Guideline
from tflite_light.cost.inspection import SIZED, Inspected
from tflite_light.cost.network import Network, Operator
from tflite_light.report.terminal import console, headed

Cell = Callable[[Operator], str]
OPEN = "open"  # a figure that depends on a size that the file leaves open
SHOWN = 3  # layers that a guideline names; --json has them all
COLUMNS: dict[str, Cell] = {
    "layer": lambda row: row.name,
    "kind": lambda row: f"{row.kind} /{row.groups}" if _is_grouped(row) else row.kind,
    "output": lambda row: _shape(row.output.shape[1:]) if row.outputs else "",
    "parameters": lambda row: _count(row.parameters),
    "multiply-adds": lambda row: OPEN if row.is_open else _count(row.multiply_adds),
    "float32 KiB": lambda row: OPEN if row.is_open else _kib(row.float32_bytes),
    "int8 KiB": lambda row: OPEN if row.is_open else _kib(row.int8_bytes),
}
FILE_COLUMNS: dict[str, Cell] = {
    "op": lambda row: f"{row.stored.op} {row.stored.version}" if row.stored else "",
    "types": lambda row: " ".join(dict.fromkeys(row.stored.types)) if row.stored else "",
    "zeros": lambda row: _share(row),
    "values": lambda row: _count(row.stored.distinct_values or 0) if row.stored else "",
}
LEFT = ("graph", "layer", "kind", "op", "types", "")


def show(found: Inspected) -> None:
    """Print the layers, the totals and the guidelines on stdout."""
    columns = COLUMNS | FILE_COLUMNS if found.file else COLUMNS
    if len(found.graphs) > 1:
        columns = {"graph": lambda row: row.graph} | columns
    table = headed([*columns, "live KiB"], LEFT)
    for row, live in zip(found.network.operators, found.network.live, strict=True):
        held = OPEN if found.network.is_open else _kib(live)
        table.add_row(*(cell(row) for cell in columns.values()), held)
    out = console(170, soft_wrap=True)
    out.print(table)
    out.print(_summary(found))
    for guideline in found.guidelines:
        out.print(_lines(guideline))


def compare(found: list[Inspected], above: Mapping[str, list[str]] | None = None) -> None:
    """Print a column for each target, with ratios to the first, on stdout; `above` is on top."""
    totals = [one.totals() for one in found]
    every = [one for target in found for one in target.guidelines]
    titles = {one.name: f"{one.name} {one.title}" for one in every}
    table = headed(["", *(one.target for one in found)], [""], folded=True)
    for name, cells in (above or {}).items():
        table.add_row(name, *cells)
    for key in totals[0]:
        values = [one[key] for one in totals]
        if key in SIZED or any(value is not None for value in values):
            cells = [_compared(value, values[0]) for value in values]
            if key in SIZED:
                opens = [one.network.is_open for one in found]
                cells = [OPEN if left else cell for cell, left in zip(cells, opens, strict=True)]
            table.add_row(titles.get(key, key.replace("_", " ")), *cells)
    out = console(60 + 30 * len(found))
    out.print(table)
    for one in found:
        for line in _left_open(one):
            out.print(line, soft_wrap=True)


def _summary(found: Inspected) -> str:
    network = found.network
    size = f", {len(found.file.content):,} bytes" if found.file else ""
    lines = [
        f"\n{found.target}: {found.title}{size}",
        _line("parameters", f"{network.parameters:,}"),
        *([] if network.is_open else _sizes(network)),
        *_graphs(found),
        *_runtime(found),
        *_metadata(found),
        *_left_open(found),
        *_published(found),
    ]
    return "\n".join([*lines, ""])


def _sizes(network: Network) -> list[str]:
    """What depends on the size of the pictures."""
    peak = network.peak_operator
    return [
        _line("multiply-adds", f"{network.multiply_adds:,}"),
        _line("memory access", f"{network.int8_bytes:,}")
        + f" bytes as int8, {network.float32_bytes:,} as float32",
        _line("live activation", f"{network.peak:,}")
        + f" bytes as int8, {4 * network.peak:,} as float32"
        + (f", at {peak.name}" if peak else ""),
    ]


def _graphs(found: Inspected) -> list[str]:
    if len(found.graphs) < 2:
        return []
    lines = [_line("graphs", f"{len(found.graphs)}") + ", all of them in these figures"]
    for one in found.graphs:
        products = OPEN if one["multiply_adds"] is None else f"{one['multiply_adds']:,}"
        lines.append(
            f"    {one['name']}: {one['parameters']:,} parameters that no graph above has,"
        )
        lines[-1] += f" {products} multiply-adds"
    return lines


def _left_open(found: Inspected) -> list[str]:
    """What the figures leave out, in words."""
    lines = []
    if found.network.is_open:
        shape = _shape(found.network.input_shape)
        lines.append(
            f"  open sizes in {found.target} (input {shape}): what depends on them is not counted; "
            "`--size 224` counts it for pictures of that side"
        )
    if found.repeating_operators:
        ops = ", ".join(found.repeating_operators)
        lines.append(
            f"  graphs in {found.target} that {ops} runs are counted once each; how often they run "
            "is not known"
        )
    return lines


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


def _metadata(found: Inspected) -> list[str]:
    if not found.file:
        return []
    stated = found.metadata
    if not stated:
        return [f"  {'metadata':<16}none: other tools must be told of pixels and labels"]
    if "damage" in stated:
        return [f"  {'metadata':<16}cannot be read: {stated['damage']}"]
    parts = [f"{key} {_plain(value)}" for key, value in stated.items() if value is not None]
    return [f"  {'metadata':<16}{', '.join(parts)}"]


def _plain(value: Any) -> str:
    """A figure by channel once where all are equal."""
    if not isinstance(value, list):
        return str(value)
    numbers = [f"{number:g}" for number in value]
    return numbers[0] if len(set(numbers)) == 1 else f"[{', '.join(numbers)}]"


def _published(found: Inspected) -> list[str]:
    published = found.published
    if not published or published.top1 is None:
        return []
    where = f" on ImageNet with 1000 classes ({published.source})"
    return [_line("published top-1", f"{published.top1:.4f}") + where]


def _lines(guideline: Guideline) -> str:
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
        return _shape(value[1:])
    if not isinstance(value, int | float):
        return "" if value is None else str(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
    whole = isinstance(value, int) and isinstance(first, int) and first and value != first
    return f"{text} ({value / first:.2f}x)" if whole else text


def _is_grouped(row: Operator) -> bool:
    return row.kind == "conv" and row.groups > 1


def _share(row: Operator) -> str:
    zeros = row.stored.zero_weights if row.stored else None
    return "" if zeros is None or not row.weights else f"{zeros / row.weights:.4f}"


def _shape(sides: Iterable[int | None]) -> str:
    return "x".join("?" if side is None or side < 0 else str(side) for side in sides)


def _count(value: int) -> str:
    return f"{value:,}" if value else ""


def _kib(value: int) -> str:
    return f"{value / 1024:,.1f}"
