"""Writes a flatbuffer's tables; `flatbuffer.py` reads them."""

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np

Table = Mapping[int, Any]  # slot of the schema -> value; what is None is left out


def pack(root: Table, identifier: bytes) -> bytes:
    """A flatbuffer of its own.

    Values are strings, numpy integers (a scalar of their type), float32 arrays (a vector), tables
    and lists of tables.
    """
    builder = flatbuffers.Builder()
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: Any, slots: Table) -> int:
    given = {slot: value for slot, value in slots.items() if value is not None}
    parts = {
        slot: _part(builder, value)
        for slot, value in given.items()
        if not isinstance(value, np.integer)
    }
    builder.StartObject(max(given, default=-1) + 1)
    for slot, value in given.items():
        if slot in parts:
            builder.PrependUOffsetTRelativeSlot(slot, parts[slot], 0)
        elif isinstance(value, np.uint8):
            builder.PrependUint8Slot(slot, int(value), 0)
        else:
            builder.PrependUint32Slot(slot, int(value), 0)
    return int(builder.EndObject())


def _part(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value))
    if isinstance(value, Mapping):
        return _table(builder, value)
    return offsets(builder, [_table(builder, one) for one in value])


def offsets(builder: Any, places: list[int]) -> int:
    """A vector of what stands at these places."""
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())
