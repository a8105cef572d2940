"""The terminal that tables are printed on, plainly: no name is taken for a style or an emoji."""

import functools
from collections.abc import Collection, Iterable
from typing import Any


@functools.cache
def _kind() -> Any:
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """Rich would end the process by 1; the command line knows what `| head` means."""
            raise BrokenPipeError

    return Plain


def console(width: int, **options: Any) -> Any:
    """A console on stdout. Its width is what lines are broken at: no figure is to be cut off."""
    return _kind()(width=width, highlight=False, markup=False, emoji=False, **options)


def headed(names: Iterable[str], left: Collection[str], folded: bool = False) -> Any:
    """An empty table with these columns; those of `left` begin at their left, figures end right.
    Where it is `folded`, long cells go on in a line below, else what is cut off ends in `…`."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(
            name,
            justify="left" if name in left else "right",
            no_wrap=not folded,
            overflow="fold" if folded else "ellipsis",
        )
    return table
