"""Reads a flatbuffer that nobody vouches for: every number in it is held against the file's end.

The reader that flatbuffers brings trusts its input: damage makes it raise anything, or read on
without end. Here a part that does not fit raises Damage, at the one place where it is read.
A table of the schema is described by its fields, name -> `Field`; see `layout.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_OFFSET, _VTABLE, _SHORT = Struct("<I"), Struct("<i"), Struct("<H")
_SHARED = 2  # times the file that may be read: a writer may let two tables share a part


class Damage(ValueError):
    """A part of a file contradicts another; the message says which."""


@dataclass
class Content:
    """A file's bytes, and how many of them may still be read.

    Nested vectors that all point at the same bytes would otherwise make a small file a large tree.
    """

    data: bytes | bytearray
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = _SHARED * len(self.data)

    def number(self, at: int, form: Struct) -> Any:
        if not 0 <= at <= len(self.data) - form.size:
            raise Damage("an offset leads out of the file")
        return form.unpack_from(self.data, at)[0]

    def follow(self, at: int) -> int:
        """The place that the offset at `at` points to."""
        return at + int(self.number(at, _OFFSET))

    def vector(self, at: int, kind: np.dtype[Any]) -> Array:
        """The vector that the offset at `at` points to, as a view of the file."""
        start = self.follow(at)
        count = self.number(start, _OFFSET)
        start += _OFFSET.size
        if start + count * kind.itemsize > len(self.data):
            raise Damage("a list leads out of the file")
        self._spend(count * kind.itemsize)
        return np.frombuffer(self.data, kind, count, start)

    def place_of(self, table: int, slot: int) -> int | None:
        """Where a table has a field; None where it leaves it out."""
        vtable = table - int(self.number(table, _VTABLE))
        entry = 4 + _SHORT.size * slot
        if entry + _SHORT.size > self.number(vtable, _SHORT):
            return None
        offset = int(self.number(vtable + entry, _SHORT))
        return table + offset if offset else None

    def fields(self, table: int) -> dict[int, bytes]:
        """Slot -> a field's bytes, up to the next field's; zeros behind may be padding."""
        vtable = table - int(self.number(table, _VTABLE))
        size, length = (int(self.number(vtable + at, _SHORT)) for at in (0, _SHORT.size))
        if not 0 <= table <= len(self.data) - length:
            raise Damage("an offset leads out of the file")
        self._spend(size + length)
        entries = range(2 * _SHORT.size, size - 1, _SHORT.size)
        starts = {slot: int(self.number(vtable + at, _SHORT)) for slot, at in enumerate(entries)}
        given = sorted({start for start in starts.values() if start})
        ends = dict(zip(given, [*given, length][1:], strict=True))
        return {
            slot: bytes(self.data[table + start : table + ends[start]]).rstrip(b"\0")
            for slot, start in starts.items()
            if start
        }

    def record(self, table: int, fields: "Fields") -> SimpleNamespace:
        self._spend(_OFFSET.size)
        return SimpleNamespace(
            **{name: read(self, table, slot) for name, (slot, read) in fields.items()}
        )

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Damage("its parts overlap")


Read = Callable[[Content, int, int], Any]  # of a content's table, the value in a slot
Fields = Mapping[str, tuple[int, Read]]


def scalar(form: str, default: int = 0) -> Read:
    """A number, `form` as of `struct`."""
    packed = Struct(f"<{form}")

    def read(content: Content, table: int, slot: int) -> Any:
        place = content.place_of(table, slot)
        return default if place is None else content.number(place, packed)

    return read


def vector(kind: str) -> Read:
    """Numbers, `kind` as of numpy; None where the field is left out."""
    dtype = np.dtype(kind)

    def read(content: Content, table: int, slot: int) -> Any:
        place = content.place_of(table, slot)
        return None if place is None else content.vector(place, dtype)

    return read


_LETTERS = vector("u1")


def text(content: Content, table: int, slot: int) -> str:
    """A string; what is no UTF-8, or steers a terminal, is shown as a replacement character."""
    letters = _LETTERS(content, table, slot)
    raw = "" if letters is None else letters.tobytes().decode(errors="replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in raw)


def record(fields: Fields) -> Read:
    """A table; None where the field is left out."""

    def read(content: Content, table: int, slot: int) -> Any:
        place = content.place_of(table, slot)
        return None if place is None else content.record(content.follow(place), fields)

    return read


def raw(content: Content, table: int, slot: int) -> dict[int, bytes]:
    """The bytes of a table's fields by their slots, without zeros behind; {} if it is left out.

    For tables of numbers alone these are equal whenever the numbers are, however a writer ordered
    and padded them; a reference would depend on where it leads.
    """
    place = content.place_of(table, slot)
    return {} if place is None else content.fields(content.follow(place))


def references(content: Content, table: int, slot: int) -> list[int]:
    """The places of the tables in a list."""
    place = content.place_of(table, slot)
    if place is None:
        return []
    first = content.follow(place) + _OFFSET.size
    count = len(_REFERENCES(content, table, slot))
    return [content.follow(at) for at in range(first, first + _OFFSET.size * count, _OFFSET.size)]


_REFERENCES = vector("<u4")


def records(fields: Fields) -> Read:
    """A list of tables."""

    def read(content: Content, table: int, slot: int) -> Any:
        return [content.record(place, fields) for place in references(content, table, slot)]

    return read


def either(*choices: Fields) -> Read:
    """A union: which of the choices it is, counted from 1, stands in the slot before."""
    chosen = scalar("B")

    def read(content: Content, table: int, slot: int) -> Any:
        number = chosen(content, table, slot - 1)
        found = 0 < number <= len(choices)
        return record(choices[number - 1])(content, table, slot) if found else None

    return read
