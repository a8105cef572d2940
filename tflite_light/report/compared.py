"""Files side by side, for a person: what they answer, their size and time, what they cost."""

from collections.abc import Sequence

from tflite_light.report import costs, measured
from tflite_light.runs.comparing import Compared

ANSWERS = ("top-1 (95 %)", "balanced", "macro F1", "worst class")


def show(found: Sequence[Compared]) -> None:
    """Print a column for each file, and which of them cannot be told apart, on stdout."""
    rows = [one.row for one in found]
    above = {name: [measured.ANSWERS[name](row) for row in rows] for name in ANSWERS}
    above["agreement with the first"] = [measured.share(row.agreement) for row in rows]
    above["deflated bytes"] = _ratios([row.deflated_bytes or 0 for row in rows], ",")
    above["ms, one thread"] = _ratios([row.latency_ms or 0 for row in rows], ".3f")
    print(measured.heading(rows[0]))
    shown = {name: cells for name, cells in above.items() if any(cells)}
    costs.compare([one.costs for one in found], shown)
    for line in measured.comparisons(rows):
        print(line)


def _ratios(values: Sequence[float], form: str) -> list[str]:
    """Figures, with how many times the first each is."""
    first, *others = values
    return [f"{first:{form}}", *(f"{value:{form}} ({value / first:.2f}x)" for value in others)]
