"""Accuracy against size and time, drawn by Matplotlib, which is loaded for this alone."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.runs.comparing import Compared
from tflite_light.wording import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (".svg", ".png")
AXES: dict[str, Callable[[Compared], float]] = {
    "deflated size, KiB": lambda one: (one.row.deflated_bytes or 0) / 1024,
    "one inference on one thread, ms": lambda one: one.row.latency_ms or 0.0,
}


def require_drawable(path: Path) -> None:
    """Raises UserError where `path` cannot be drawn, before minutes of measuring."""
    if path.suffix.lower() not in KINDS:
        raise UserError(f"{path} is neither .svg nor .png.", "Write `--plot FILE.svg`.")
    files.require_writable(path.parent)


def draw(found: Sequence[Compared], path: Path) -> Path:
    """Write top-1 with its 95 % interval against each of `AXES`; equal figures, equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5 + len(found) / 4), layout="constrained")
    row = found[0].row
    figure.suptitle(f"{row.pictures} {row.kind}; bars: 95 % by Wilson")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, (name, figure_of) in zip(panels, AXES.items(), strict=True):
        bars = _panel(axes, name, [figure_of(one) for one in found], found)
    panels[0].set_ylabel("top-1")
    names = [f"{number}: {shown(one.row.name)}" for number, one in enumerate(found, 1)]
    for text in figure.legend(bars, names, loc="outside lower left").get_texts():
        text.set_parse_math(False)  # a $ in a name is a $
    content, kind = io.BytesIO(), path.suffix.lower()
    fixed: dict[str, Any] = {"metadata": {"Date": None}} if kind == ".svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "tflite-light", "svg.fonttype": "none"}):
        figure.savefig(content, format=kind[1:], **fixed)
    return files.write(path, content.getvalue())


def _panel(
    axes: "Axes", name: str, places: Sequence[float], found: Sequence[Compared]
) -> list[Any]:
    """Its error bars, in order, each with its number beside it."""
    bars = []
    for number, (place, one) in enumerate(zip(places, found, strict=True), 1):
        top1, (low, high) = one.row.top1 or 0.0, one.row.top1_interval or (0.0, 1.0)
        bars.append(axes.errorbar([place], [top1], [[top1 - low], [high - top1]], fmt="o"))
        axes.annotate(str(number), (place, top1), xytext=(6, 4), textcoords="offset points")
    axes.set_xlabel(name)
    axes.set_xlim(0, 1.1 * max(places))
    axes.grid(alpha=0.3)
    return bars
