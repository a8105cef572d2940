"""An app's name and id, changed in its compiled manifest (Android's binary XML).

Format: frameworks/base/libs/androidfw/include/androidfw/ResourceTypes.h. Strings lie in one pool,
and attributes name them by number: a new value is a string more and a number changed. The demo's
manifest names classes in full and has neither providers nor permissions of its own, so that the id
stands in one place, `package`.
"""

import struct
from collections.abc import Iterator, Mapping

_POOL, _START = 0x0001, 0x0102  # types of chunks: the pool of strings, the start of an element
_UTF8 = 1 << 8  # of the pool's flags
_STRING = 3  # type of a value
PACKAGE, LABEL = ("manifest", "package"), ("application", "label")  # element and attribute


def changed(xml: bytes, values: Mapping[tuple[str, str], str]) -> bytes:
    """The manifest with other strings as the values of some attributes, by element and name.

    Raises ValueError where it is not binary XML, or an attribute is not there.
    """
    kind, header, _ = struct.unpack_from("<HHI", xml)
    pool_kind, _, pool_bytes = struct.unpack_from("<HHI", xml, header)
    if (kind, pool_kind) != (0x0003, _POOL):
        raise ValueError("the manifest is not Android's binary XML")
    pool, rest = xml[header : header + pool_bytes], bytearray(xml[header + pool_bytes :])
    known = list(_strings(pool))
    places = {place: at for place, at in _attributes(rest, known) if place in values}
    if missing := values.keys() - places.keys():
        raise ValueError(f"the manifest has no {' '.join(min(missing))}")
    for number, (place, _) in enumerate(values.items(), len(known)):
        struct.pack_into("<IHBBI", rest, places[place] + 8, number, 8, 0, _STRING, number)
    body = _extended(pool, list(values.values())) + rest
    return struct.pack("<HHI", kind, header, header + len(body)) + body


def value(xml: bytes, place: tuple[str, str]) -> str | None:
    """The string that an attribute has; None where its value is no string or it is not there."""
    _, header, _ = struct.unpack_from("<HHI", xml)
    (pool_bytes,) = struct.unpack_from("<I", xml, header + 4)
    known = list(_strings(xml[header : header + pool_bytes]))
    rest = xml[header + pool_bytes :]
    at = dict(_attributes(rest, known)).get(place)
    kind, number = struct.unpack_from("<3xBI", rest, at + 12) if at is not None else (0, 0)
    return known[number] if kind == _STRING else None


def _attributes(
    nodes: bytes | bytearray, known: list[str]
) -> Iterator[tuple[tuple[str, str], int]]:
    """Element and name of each attribute of the first element of a name, and where it stands."""
    at, seen = 0, set()
    while at < len(nodes):
        kind, header, size = struct.unpack_from("<HHI", nodes, at)
        if kind == _START:
            _, name, start, step, count = struct.unpack_from("<IIHHH", nodes, at + header)
            for number in range(count if name not in seen else 0):
                place = at + header + start + step * number
                (key,) = struct.unpack_from("<I", nodes, place + 4)
                yield (known[name], known[key]), place
            seen.add(name)
        at += size


def _strings(pool: bytes) -> Iterator[str]:
    _, header, _, count, _, flags, start = struct.unpack_from("<HHIIIII", pool)
    for number in range(count):
        (offset,) = struct.unpack_from("<I", pool, header + 4 * number)
        yield _utf8(pool, start + offset) if flags & _UTF8 else _utf16(pool, start + offset)


def _utf8(pool: bytes, at: int) -> str:
    at += 2 if pool[at] & 0x80 else 1  # its length in UTF-16
    size = pool[at]
    if size & 0x80:
        size, at = (size & 0x7F) << 8 | pool[at + 1], at + 1
    return pool[at + 1 : at + 1 + size].decode()


def _utf16(pool: bytes, at: int) -> str:
    (size,) = struct.unpack_from("<H", pool, at)
    if size & 0x8000:
        size, at = (size & 0x7FFF) << 16 | struct.unpack_from("<H", pool, at + 2)[0], at + 2
    return pool[at + 2 : at + 2 + 2 * size].decode("utf-16-le")


def _extended(pool: bytes, more: list[str]) -> bytes:
    """The pool with strings behind its own, whose numbers stay."""
    kind, header, _, count, styles, flags, start, _ = struct.unpack_from("<HHIIIIII", pool)
    if styles:
        raise ValueError("the manifest has styled strings")
    data = bytearray(pool[start:])
    offsets = bytearray(pool[header : header + 4 * count])
    for text in more:
        offsets += struct.pack("<I", len(data))
        data += _encoded(text, flags)
    data += bytes(-len(data) % 4)
    start = header + len(offsets)
    sizes = (start + len(data), count + len(more), 0, flags & _UTF8, start, 0)  # no longer sorted
    return struct.pack("<HHIIIIII", kind, header, *sizes) + offsets + data


def _encoded(text: str, flags: int) -> bytes:
    units = text.encode("utf-16-le")
    if not flags & _UTF8:
        return struct.pack("<H", len(units) // 2) + units + b"\0\0"
    content = text.encode()
    return _length(len(units) // 2) + _length(len(content)) + content + b"\0"


def _length(size: int) -> bytes:
    return bytes([size]) if size < 0x80 else bytes([size >> 8 | 0x80, size & 0xFF])
