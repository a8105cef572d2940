"""A named buffer added to a `.tflite`, without moving anything in it by more than a shift.

Packing a model anew by the generated classes takes seconds, and loses the 16-byte alignment of its
values. Here a new root is put in front, which refers to all parts of the old one, as a flatbuffer's
offsets are relative and lead forward. What is left of the old root, under a kilobyte as a rule, is
never read.
"""

from typing import Any

import flatbuffers

from tflite_light.tflite import layout
from tflite_light.tflite.flatbuffer import Content, Damage, references, scalar
from tflite_light.tflite.tables import offsets

_ALIGNMENT = 16  # bytes, of a buffer's values
_FIELDS = 8  # of a model: version, and seven that are references
_BUFFERS, _METADATA = 4, 6


def attach(content: bytes, name: str, payload: bytes) -> bytes:
    """The file with `payload` as the buffer of its metadata entry `name`, instead of an old one.

    The same answers at the same speed. Raises Damage where values lie behind the flatbuffer, whose
    places are counted from the file's start.
    """
    if any(buffer.offset > 1 for buffer in layout.read(content).buffers):
        raise Damage("its values lie behind the flatbuffer")
    entries = layout.read(content).metadata
    old = Content(content)
    root = old.follow(0)
    buffers = references(old, root, _BUFFERS)
    kept = [
        place
        for place, entry in zip(references(old, root, _METADATA), entries, strict=True)
        if entry.name != name
    ]
    builder = flatbuffers.Builder(len(payload))
    added = _table(builder, {0: _aligned(builder, payload)})
    entry = _entry(builder, name, len(buffers))
    # A builder counts places from its end, which is where the old file begins.
    fields = {
        slot: -old.follow(place)
        for slot in range(1, _FIELDS)
        if (place := old.place_of(root, slot)) is not None
    }
    fields[_METADATA] = offsets(builder, [*(-place for place in kept), entry])
    fields[_BUFFERS] = offsets(builder, [*(-place for place in buffers), added])
    builder.Finish(_root(builder, scalar("I")(old, root, 0), fields), b"TFL3")
    return bytes(builder.Output()) + content


def _aligned(builder: Any, payload: bytes) -> int:
    """A vector of bytes; the whole of what is built is then a multiple of its alignment."""
    builder.StartVector(1, len(payload), _ALIGNMENT)
    builder.head -= len(payload)
    builder.Bytes[builder.head : builder.head + len(payload)] = payload
    return int(builder.EndVector())


def _table(builder: Any, fields: dict[int, int]) -> int:
    builder.StartObject(max(fields) + 1)
    for slot, place in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, place, 0)
    return int(builder.EndObject())


def _entry(builder: Any, name: str, buffer: int) -> int:
    written = builder.CreateString(name)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, written, 0)
    builder.PrependUint32Slot(1, buffer, 0)
    return int(builder.EndObject())


def _root(builder: Any, version: int, fields: dict[int, int]) -> int:
    builder.StartObject(_FIELDS)
    builder.PrependUint32Slot(0, version, 0)
    for slot, place in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, place, 0)
    return int(builder.EndObject())
