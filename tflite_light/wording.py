"""Counts and lists, as messages write them."""

from collections.abc import Sequence


def count(number: int, one: str, many: str = "") -> str:
    """`1 picture`, `2 pictures`; `many` where an `s` does not make the plural."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def some(names: Sequence[object], most: int = 5, separator: str = ", ") -> str:
    """The first `most` names, and how many there are besides."""
    more = f"{separator}and {len(names) - most} more" if len(names) > most else ""
    return separator.join(str(name) for name in names[:most]) + more
