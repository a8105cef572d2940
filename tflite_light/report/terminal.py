"""The terminal that tables are printed on, plainly: no name is taken for a style or an emoji."""

import functools
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
