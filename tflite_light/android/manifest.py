"""An app's name and id, changed in its compiled manifest (Android's binary XML).

Format: frameworks/base/libs/androidfw/include/androidfw/ResourceTypes.h. Strings lie in one pool,
in UTF-16 as aapt2 writes manifests, and attributes name them by number: a new value is a string
more and a number changed. The demo's manifest names classes in full and has neither providers nor
permissions of its own, so that the id stands in one place, `package`.
"""

import struct
from collections.abc import Iterator, Mapping

_POOL, _START = 0x0001, 0x0102  # types of chunks: the pool of strings, the start of an element
_UTF8 = 1 << 8  # of the pool's flags
_LONG = 0x8000  # of a string's length: a second word follows
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
    if flags & _UTF8:
        raise ValueError("the manifest's strings are not UTF-16")
    for number in range(count):
        (offset,) = struct.unpack_from("<I", pool, header + 4 * number)
        (size,) = struct.unpack_from("<H", pool, start + offset)
        if size & _LONG:
            raise ValueError(f"the manifest has a string longer than {_LONG - 1} characters")
        yield pool[start + offset + 2 : start + offset + 2 + 2 * size].decode("utf-16-le")


def _extended(pool: bytes, more: list[str]) -> bytes:
    """The pool with strings behind its own, whose numbers stay."""
    kind, header, _, count, styles, _, start, _ = struct.unpack_from("<HHIIIIII", pool)
    if styles:
        raise ValueError("the manifest has styled strings")
    data = bytearray(pool[start:])
    offsets = bytearray(pool[header : header + 4 * count])
    for text in more:
        offsets += struct.pack("<I", len(data))
        data += struct.pack("<H", len(text.encode("utf-16-le")) // 2)
        data += text.encode("utf-16-le") + b"\0\0"
    data += bytes(-len(data) % 4)
    start = header + len(offsets)
    sizes = (start + len(data), count + len(more), 0, 0, start, 0)  # flags 0: not sorted, UTF-16
    return struct.pack("<HHIIIIII", kind, header, *sizes) + offsets + data
