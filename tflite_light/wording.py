"""Counts and lists, as messages write them, and lists as callers give them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def several(given: str | Path | Iterable[Any]) -> list[Any]:
    """A list of names or paths; one alone, which Python would take letter by letter, is the list of
    it."""
    return [given] if isinstance(given, str | Path) else list(given)


def count(number: int, one: str, many: str = "") -> str:
    """`1 picture`, `2 pictures`; `many` where an `s` does not make the plural."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def first_line(error: object) -> str:
    """What a library says first of an error, without a full stop; else the error's kind."""
    lines = str(getattr(error, "message", None) or error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def some(names: Sequence[object], most: int = 5, separator: str = ", ") -> str:
    """The first `most` names, and how many there are besides."""
    more = f"{separator}and {len(names) - most} more" if len(names) > most else ""
    return separator.join(str(name) for name in names[:most]) + more


def shown(text: str) -> str:
    """What of it is no UTF-8, as names of files may be, is written as the terminal has it."""
    return text.encode("utf-8", "backslashreplace").decode()


def absent(path: str | Path) -> str:
    """That nothing is at a path, and where one that is relative was looked for."""
    whole = Path(path).is_absolute() or "://" in str(path)
    here = "" if whole else f" in {Path.cwd()}, where the command is typed"
    return f"{path} does not exist{here}"
