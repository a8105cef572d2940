"""What layers lose, for a person."""

from tflite_light.report.terminal import console
from tflite_light.runs.explaining import Explanation

_SHOWN = 15


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
    if found.exempt is not None:
        value = f"[{', '.join(found.exempt)}]" if isinstance(found.exempt, list) else found.exempt
        out.print(f"Kept in float by:\n  export: [int8: {{float_layers: {value}}}]", soft_wrap=True)
    if found.fixed is not None:
        kept = (
            f"in float: {', '.join(found.fixed)}" if found.fixed else "no layer in float is needed"
        )
        out.print(f"{kept}; {found.recipe} has it so.", soft_wrap=True)
