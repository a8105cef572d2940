"""An APK's zip archive: read from a shell, written with everything aligned as Android maps it."""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tflite_light.errors import UserError

MANIFEST = "AndroidManifest.xml"
LIBRARY_BYTES = 16 << 10  # a page of the newest phones: libraries are run from the APK itself
MODEL_BYTES = 4 << 10  # models are mapped, too
WORD_BYTES = 4
_DATE = (0x0821, 0x0221)  # 1981-01-01 01:01:02, what Android's own build writes
_ALIGNMENT = 0xD935  # of the extra field that Android's tools pad with: the multiple, then zeros
_UTF8 = 0x800


@dataclass(frozen=True)
class Entry:
    """A file of the archive, as it is stored: deflated where `method` is 8, as it is where 0."""

    method: int
    crc: int
    size_bytes: int
    data: bytes

    @classmethod
    def stored(cls, content: bytes) -> "Entry":
        return cls(0, zlib.crc32(content), len(content), content)

    def content(self) -> bytes:
        return zlib.decompress(self.data, -15) if self.method else self.data


@dataclass(frozen=True)
class Archive:
    """A zip's parts, between the first two of which a signature goes."""

    entries: bytes
    directory: bytes
    count: int

    def end(self, offset: int) -> bytes:
        """The record at the end, where the directory begins at `offset`."""
        sizes = struct.pack("<2I", len(self.directory), offset)
        return b"PK\5\6" + struct.pack("<4H", 0, 0, self.count, self.count) + sizes + b"\0\0"


def read(path: Path) -> dict[str, Entry]:
    """The files of an APK by name, without those of its signatures.

    Raises UserError where it cannot be read, is damaged or is none.
    """
    try:
        raw = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            found = {one.filename: _entry(raw, one) for one in archive.infolist()}
    except (OSError, ValueError, struct.error, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}.", "Make it again: `make apk`") from error
    if MANIFEST not in found:
        raise UserError(f"{path} is not an APK: it has no {MANIFEST}.", "Make one: `make apk`")
    return {name: entry for name, entry in found.items() if not name.startswith("META-INF/")}


def write(entries: Mapping[str, Entry]) -> Archive:
    """The manifest first, then by name: equal files, equal bytes."""
    body, directory = bytearray(), bytearray()
    for name in sorted(entries, key=lambda name: (name != MANIFEST, name)):
        entry, encoded, offset = entries[name], name.encode(), len(body)
        flags, version = 0 if name.isascii() else _UTF8, 20 if entry.method else 10
        fields = struct.pack("<4H", flags, entry.method, *_DATE)
        fields += struct.pack("<3I", entry.crc, len(entry.data), entry.size_bytes)
        extra = b"" if entry.method else _padding(name, offset + 30 + len(encoded))
        body += b"PK\3\4" + struct.pack("<H", version) + fields
        body += struct.pack("<2H", len(encoded), len(extra)) + encoded + extra + entry.data
        directory += b"PK\1\2" + struct.pack("<2H", 0, version) + fields
        directory += struct.pack("<5H2I", len(encoded), 0, 0, 0, 0, 0, offset) + encoded
    return Archive(bytes(body), bytes(directory), len(entries))


def alignment(name: str) -> int:
    """What a stored file's place is a multiple of, bytes."""
    if name.startswith("lib/"):
        return LIBRARY_BYTES
    return MODEL_BYTES if name.endswith(".tflite") else WORD_BYTES


def _padding(name: str, start: int) -> bytes:
    """An extra field at `start` behind which the data lies aligned."""
    multiple = alignment(name)
    zeros = bytes(-(start + 6) % multiple)
    return struct.pack("<3H", _ALIGNMENT, 2 + len(zeros), multiple) + zeros


def _entry(raw: bytes, info: zipfile.ZipInfo) -> Entry:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in a way that Android does not know")
    name, extra = struct.unpack_from("<HH", raw, info.header_offset + 26)
    start = info.header_offset + 30 + name + extra
    data = raw[start : start + info.compress_size]
    entry = Entry(info.compress_type, info.CRC, info.file_size, data)
    if zlib.crc32(entry.content()) != info.CRC:  # a signature would make it look whole
        raise ValueError(f"{info.filename} is damaged")
    return entry
