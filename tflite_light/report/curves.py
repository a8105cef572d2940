"""Learning curves of all phases of a run, as SVG that takes its colours from the page around it."""

import io
import re
from collections.abc import Sequence
from typing import Any

from tflite_light.runs.page import Epoch

# Placeholders, which matplotlib writes as they are: the page has a light and a dark form.
_COLOURS = {"#000001": "var(--ink)", "#000002": "var(--line)", "#000003": "var(--first)"}
_COLOURS |= {"#000004": "var(--second)", "#000005": "var(--third)"}
_INK, _LINE, _FIRST, _SECOND, _THIRD = _COLOURS


def svg(epochs: Sequence[Epoch]) -> str:
    """Loss, on a logarithmic scale, over accuracy; epochs of all phases one after the other."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "curves",  # the same page for the same run
        "font.family": "sans-serif",
        "font.size": 11,
        "axes.edgecolor": _LINE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": _LINE,
        "grid.linewidth": 0.5,
    }
    style |= {f"{part}.color": _INK for part in ("text", "xtick", "ytick")}
    style |= {"axes.labelcolor": _INK}
    with mpl.rc_context(style):
        figure = Figure(figsize=(9, 5), layout="constrained")
        loss, accuracy = figure.subplots(2, 1, sharex=True)
        _draw(loss, epochs, "loss")
        loss.set_yscale("log")
        _draw(accuracy, epochs, "accuracy")
        accuracy.set_xlabel("epoch")
        accuracy.set_xlim(0.5, len(epochs) + 0.5)
        accuracy.xaxis.get_major_locator().set_params(integer=True)
        handles, names = accuracy.get_legend_handles_labels()
        once = dict(zip(names, handles, strict=True))
        accuracy.legend(once.values(), once, frameon=False, loc="lower right", ncols=3)
        _name_phases((loss, accuracy), epochs)
        content = io.StringIO()
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return _inline(content.getvalue())


def _draw(axes: Any, epochs: Sequence[Epoch], figure: str) -> None:
    """A line for each phase: the first epoch of one does not follow from the one before."""
    for begin, end in _phases(epochs):
        numbers = range(begin + 1, end + 1)
        marker = "o" if len(numbers) == 1 else ""
        train, val = (
            [getattr(one, name) for one in epochs[begin:end]] for name in (figure, f"val_{figure}")
        )
        axes.plot(numbers, train, "--", color=_FIRST, marker=marker, label="training")
        axes.plot(numbers, val, color=_SECOND, marker=marker, label="validation")
    files = ((at, one.file_accuracy) for at, one in enumerate(epochs, 1))
    known = [(at, accuracy) for at, accuracy in files if accuracy is not None]
    if figure == "accuracy" and known:
        axes.plot(*zip(*known, strict=True), "o", color=_THIRD, label="file, validation")
    axes.set_ylabel(figure)


def _phases(epochs: Sequence[Epoch]) -> list[tuple[int, int]]:
    """The places from which and up to which each phase goes."""
    begins = [at for at, one in enumerate(epochs) if not at or epochs[at - 1].phase != one.phase]
    return list(zip(begins, [*begins[1:], len(epochs)], strict=True))


def _name_phases(axes: Any, epochs: Sequence[Epoch]) -> None:
    """Each phase's name above where it begins, and a line between two."""
    for begin, _ in _phases(epochs):
        if begin:
            for each in axes:
                each.axvline(begin + 0.5, color=_INK, linewidth=0.8)
        above = axes[0].get_xaxis_transform()
        axes[0].text(begin + 0.6, 1.02, epochs[begin].phase, transform=above, va="bottom")


def _inline(document: str) -> str:
    """The element alone, as wide as its place, in the page's colours."""
    element = document[document.index("<svg ") :]
    for placeholder, colour in _COLOURS.items():
        element = element.replace(placeholder, colour)
    label = (
        "Loss and accuracy of each epoch, of training and validation; history.csv has the figures"
    )
    opened = rf'<svg viewBox="\1" role="img" aria-label="{label}">'
    return re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', opened, element)
