"""APK Signature Scheme v2 and v3: a block between a zip's entries and its directory.

Format: https://source.android.com/docs/security/features/apksigning/v2 (and v3). Both sign one
digest of the whole archive: every MiB is hashed, then the hashes.
"""

import hashlib
import struct

from tflite_light.android.apk import Archive
from tflite_light.android.key import Key

_V2, _V3, _PADDING = 0x7109871A, 0xF05368C0, 0x42726577  # ids of the block's parts
_STRIPPED = 0xBEEFF00D  # of v2: there was a v3 signature, too, and an APK that lost it is refused
_V3_SINCE, _FOREVER = 28, 0x7FFFFFFF  # Android 9, which reads v3, and all after it
_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 4096  # what the block is padded to, as Android's own signer does
_MAGIC = b"APK Sig Block 42"


def sign(archive: Archive, key: Key) -> bytes:
    """The signed APK: equal archives and keys give equal bytes."""
    whole = [archive.entries, archive.directory, archive.end(len(archive.entries))]
    digests = _prefixed(_prefixed(_u32(key.algorithm) + _prefixed(_digest(whole))))
    certificates = _prefixed(b"".join(_prefixed(one) for one in key.certificates))
    range_ = _u32(_V3_SINCE, _FOREVER)
    second = digests + certificates + _prefixed(_prefixed(_u32(_STRIPPED, 3)))
    third = digests + certificates + range_ + _prefixed(b"")
    block = _block({_V2: _signer(second, key), _V3: _signer(third, key, range_)})
    end = archive.end(len(archive.entries) + len(block))
    return archive.entries + block + archive.directory + end


def _signer(data: bytes, key: Key, range_: bytes = b"") -> bytes:
    """The only signer: what is signed, by which versions of Android, the signature, its key."""
    signature = _prefixed(_prefixed(_u32(key.algorithm) + _prefixed(key.sign(data))))
    return _prefixed(_prefixed(_prefixed(data) + range_ + signature + _prefixed(key.public)))


def _block(parts: dict[int, bytes]) -> bytes:
    pairs = b"".join(_pair(name, value) for name, value in parts.items())
    pairs += _pair(_PADDING, bytes(-(8 + len(pairs) + 12 + 24) % _BLOCK_BYTES))
    size = struct.pack("<Q", len(pairs) + 24)
    return size + pairs + size + _MAGIC


def _digest(parts: list[bytes]) -> bytes:
    hashes = [
        _sha256(b"\xa5", part[start : start + _CHUNK_BYTES])
        for part in parts
        for start in range(0, len(part), _CHUNK_BYTES)
    ]
    return hashlib.sha256(b"\x5a" + _u32(len(hashes)) + b"".join(hashes)).digest()


def _sha256(kind: bytes, chunk: bytes) -> bytes:
    return hashlib.sha256(kind + _u32(len(chunk)) + chunk).digest()


def _pair(name: int, value: bytes) -> bytes:
    return struct.pack("<QI", len(value) + 4, name) + value


def _prefixed(content: bytes) -> bytes:
    return _u32(len(content)) + content


def _u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)
