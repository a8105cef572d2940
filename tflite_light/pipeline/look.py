"""A cheap look at an encoded picture: whether its ends are those of a whole one, and what it holds.

Three blocks are read, 45 us where the file is in the system's cache; decoding a photograph takes a
hundred times as long.
"""

import hashlib
import io
import zlib
from dataclasses import dataclass
from typing import IO

BLOCK = 4096  # bytes read at the start, in the middle and at the end
END = 64  # bytes at the end in which a format's last mark stands; some writers pad behind it


@dataclass(frozen=True)
class Look:
    """What was seen of an encoded picture of `size` bytes."""

    size: int
    head: bytes
    middle: bytes
    tail: bytes

    @property
    def checksum(self) -> int:
        """Of all bytes up to three blocks, else of three blocks and the size: changes with the
        content, unless a picture is changed within and keeps its size."""
        if self.size <= 3 * BLOCK:
            return zlib.crc32(self.head + self.middle + self.tail)
        size = self.size.to_bytes(8, "little")
        return zlib.crc32(self.head + self.middle + self.tail + size)

    @property
    def fingerprint(self) -> int:
        """64 bits by which a copy of the file is known."""
        blocks = self.head + self.middle + self.tail
        key = self.size.to_bytes(8, "little")
        return int.from_bytes(hashlib.blake2b(blocks, digest_size=8, key=key).digest())

    @property
    def whole(self) -> bool:
        """Whether the first bytes are of a known format, and the last ones end it.

        False proves nothing: some cameras append a film. True says nothing of what lies between.
        """
        head, end = self.head, (self.head + self.middle + self.tail)[-END:]
        if head.startswith(b"\xff\xd8\xff"):
            return b"\xff\xd9" in end
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return b"IEND\xaeB`\x82" in end
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return self.size >= 8 + int.from_bytes(head[4:8], "little")
        return head[:2] == b"BM" and self.size >= int.from_bytes(head[2:6], "little") > 0


def look(file: IO[bytes]) -> Look:
    """Of an open file."""
    size = file.seek(0, io.SEEK_END)
    if size <= 3 * BLOCK:
        file.seek(0)
        return Look(size, file.read(), b"", b"")
    blocks = []
    for place in (0, size // 2, size - BLOCK):
        file.seek(place)
        blocks.append(file.read(BLOCK))
    return Look(size, *blocks)
