"""The outermost bytes of a packed file: what it is, and whether it is whole."""

import hashlib
import zlib
from dataclasses import dataclass
from struct import Struct

from tflite_light.errors import UserError
from tflite_light.tflite.flatbuffer import Damage

MAGIC, VERSION = b"TFLp", 1
LARGEST_BYTES = 1 << 28  # of a file
_ALWAYS_BYTES = 1 << 24  # of a file, however small it became
_MOST_RATIO = 200  # beyond it: a few bytes must not make a reader allocate all memory
_START = Struct("<4sBIQ")  # magic, version; CRC-32 and size of all that follows
_SIZES = Struct("<QIIH32s")  # of the file, the head, the head compressed; lanes; file's SHA-256
_AGAIN = "Copy or download it again."


@dataclass(frozen=True)
class Container:
    size: int  # of the file, in bytes
    head_size: int  # before it was compressed
    head: bytes
    lanes: int
    words: bytes
    digest: bytes  # SHA-256 of the file

    def written(self) -> bytes:
        """Raises UserError where `of` would refuse it."""
        sizes = _SIZES.pack(self.size, self.head_size, len(self.head), self.lanes, self.digest)
        body = sizes + self.head + self.words
        packed = _START.pack(MAGIC, VERSION, zlib.crc32(body), len(body)) + body
        if max(self.size, self.head_size) > largest_bytes(len(packed)):
            raise too_large(f"{self.size:,} bytes would become less than 1/{_MOST_RATIO} of that.")
        return packed

    @classmethod
    def of(cls, packed: bytes, name: str) -> "Container":
        """Raises UserError where `packed` is another kind of file, newer, or not whole."""
        body = _body(packed, name)
        size, head_size, compressed, lanes, digest = _SIZES.unpack_from(body)
        head, words = body[_SIZES.size :][:compressed], body[_SIZES.size + compressed :]
        if max(size, head_size) > largest_bytes(len(packed)) or len(words) % 2:
            raise UserError(f"{name} is damaged: its sizes are out of range.", _AGAIN)
        return cls(size, head_size, head, lanes, words, digest)

    def check(self, content: bytes) -> None:
        """Raises Damage where what was restored is not the file that was packed."""
        if hashlib.sha256(content).digest() != self.digest:
            raise Damage("what it holds is not what was packed")


def largest_bytes(packed_bytes: int) -> int:
    """Of a file that is restored from so many bytes, and of its head."""
    return min(LARGEST_BYTES, max(_ALWAYS_BYTES, _MOST_RATIO * packed_bytes))


def too_large(problem: str) -> UserError:
    return UserError(problem, "Compress it by a tool for files of any kind, such as xz.")


def damaged(name: str, problem: object) -> UserError:
    return UserError(f"{name} is damaged: {problem}.", _AGAIN)


def _body(packed: bytes, name: str) -> bytes:
    if not packed.startswith(MAGIC):
        raise UserError(
            f"{name} is not a packed file.", "Give a file that `tflite-light pack` wrote."
        )
    version = packed[len(MAGIC)] if len(packed) > len(MAGIC) else VERSION
    if version > VERSION:
        raise UserError(
            f"{name} is of version {version} of packed files; {VERSION} is read here.",
            "Install a newer tflite-light.",
        )
    if len(packed) < _START.size:
        raise UserError(f"{name} was cut off: {len(packed)} bytes are left.", _AGAIN)
    _, version, checksum, size = _START.unpack_from(packed)
    body = packed[_START.size :]
    if len(body) < size:
        raise UserError(
            f"{name} was cut off: {len(packed):,} of {_START.size + size:,} bytes are left.", _AGAIN
        )
    if len(body) > size or not version:
        raise damaged(name, "it is longer than it says" if version else "its version is 0")
    if zlib.crc32(body) != checksum or size < _SIZES.size:
        raise damaged(name, "bytes were changed, its checksum does not fit")
    return body
