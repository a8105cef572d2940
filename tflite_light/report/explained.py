"""What layers lose, for a person."""

import json
import re
from typing import Any

from tflite_light.report.terminal import console
from tflite_light.runs.explaining import Explanation

_SHOWN = 15
_PLAIN = re.compile(r"(?!(?:true|false|null)$)[a-z_][\w.*-]*", re.ASCII | re.IGNORECASE)


def show(found: Explanation) -> None:
    """Print the layers that add most loss, the worst first, on stdout."""
    from rich.table import Table

    out = console(110)
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "operator", "adds", "lost", "SNR dB", "cosine", "saturated"):
        table.add_column(name, justify="left" if name in ("layer", "operator") else "right")
    for one in found.worst[:_SHOWN]:
        table.add_row(
            one.layer,
            one.operator,
            f"{one.added:.4f}",
            f"{one.lost:.4f}",
            f"{one.snr_db:.1f}",
            f"{one.cosine:.5f}",
            f"{one.saturated:.4f}",
        )
    out.print(table)
    out.print(f"\n{found.worst[0].layer} adds most.", soft_wrap=True)
    if found.mode is not None and found.fixed != {}:  # else none has to be
        fields = _in_a_line(found.mode)
        out.print(f"Kept in float by:\n  export: [int8: {fields}]", soft_wrap=True)
    if found.fixed is not None:
        kept = (
            f"in float: {', '.join(found.fixed)}" if found.fixed else "no layer in float is needed"
        )
        out.print(f"{kept}; {found.recipe} has it so.", soft_wrap=True)


def _in_a_line(value: Any) -> str:
    """As a recipe has it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_in_a_line(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_in_a_line, value))}]"
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value)
