"""Classes one by one, and which are taken for which, for a person."""

from typing import TYPE_CHECKING

from tflite_light.measure.confusion import Confusion, OfClass
from tflite_light.measure.significance import CONFIDENCE, wilson
from tflite_light.report.terminal import headed

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 20  # classes; of more, those that are found least. --json has them all
MISTAKES = 5


def show(console: "Console", name: str, confusion: Confusion) -> None:
    """Print the classes of the model `name`, and its most frequent mistakes."""
    classes, title = confusion.measured, f"\n{name} by class"
    if len(classes) > SHOWN:
        title = f"{title}: the {SHOWN} of {len(classes)} that it finds least; --json has all"
        classes = sorted(classes, key=lambda one: one.recall or 0.0)[:SHOWN]
    table = headed(["class", "pictures", "recall (95 %)", "precision", "F1"], ["class"])
    for one in classes:
        table.add_row(one.name, str(one.pictures), *_figures(one))
    console.print(title, soft_wrap=True)
    console.print(table)
    mistakes = confusion.mistakes
    for mistake in mistakes[:MISTAKES]:
        line = f"{mistake.name} taken for {mistake.taken_for}: {mistake.pictures} of {mistake.of}"
        console.print(line, soft_wrap=True)
    if len(mistakes) > MISTAKES:
        left = sum(mistake.pictures for mistake in mistakes[MISTAKES:])
        console.print(f"and {left} more of other pairs; --json has all", soft_wrap=True)


def missed(confusion: Confusion) -> list[OfClass]:
    """Classes that are found less than the accuracy says, with certainty: intervals lie apart.

    Theirs are wider the more classes there are (Bonferroni), as one of many is low by chance.
    """
    (low, _), classes = confusion.interval, confusion.measured
    confidence = 1 - (1 - CONFIDENCE) / len(classes)
    found = [one for one in classes if wilson(one.right, one.pictures, confidence)[1] < low]
    return sorted(found, key=lambda one: one.recall or 0.0)


def interval(found: tuple[float, float] | None) -> str:
    return "" if found is None else f"({found[0]:.3f}-{found[1]:.3f})"


def _figures(one: OfClass) -> list[str]:
    recall = "" if one.recall is None else f"{one.recall:.4f} {interval(one.recall_interval)}"
    others = ["" if value is None else f"{value:.4f}" for value in (one.precision, one.f1)]
    return [recall, *others]
