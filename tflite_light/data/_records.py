"""Files of TFRecords: which a pattern means, each record in them, and what is in it."""

import contextlib
import fnmatch
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflite_light.errors import UserError
from tflite_light.pipeline.shards import FOOTER, HEADER, is_remote, open_file, read_record
from tflite_light.stack import tf
from tflite_light.wording import first_line

_AGAIN = "Fetch or write the file again."
_EITHER = zlib.MAX_WBITS + 32  # gzip or zlib, by its first bytes
_PIECE = 1 << 20


@dataclass(frozen=True)
class Record:
    """Where a record's data lies; `content` is kept where it cannot be found again quickly."""

    path: str
    number: int
    start: int
    size: int
    checksum: int
    content: bytes | None = None

    def __str__(self) -> str:
        return f"{self.path}, record {self.number}"

    def read(self) -> bytes:
        if self.content is not None:
            return self.content
        return read_record(self.path, self.start, self.size)


def matching(pattern: str) -> list[str]:
    """Files of that name or pattern, sorted; each step of a path is a name where that exists."""
    if is_remote(pattern):
        return sorted(tf.io.gfile.glob(pattern))
    anchor = Path(pattern).anchor
    found = [Path(anchor)]
    for step in Path(pattern).relative_to(anchor).parts:
        found = [path for folder in found for path in _step(folder, step)]
    return sorted(map(str, found))


def _step(folder: Path, step: str) -> list[Path]:
    path = folder / step
    if os.path.lexists(path) or not any(sign in step for sign in "*?["):
        return [path] if os.path.exists(path) else []
    try:
        inside = [path for path in folder.iterdir() if fnmatch.fnmatchcase(path.name, step)]
    except OSError:
        return []
    return [path for path in inside if not path.name.startswith(".") or step.startswith(".")]


def records(path: str) -> Iterator[tuple[Record, bytes]]:
    """Each record and its data. Raises UserError where a checksum is wrong or the file is cut."""
    compression = _compression(path)
    number, start = 0, HEADER
    try:
        for content in tf.data.TFRecordDataset(path, compression).as_numpy_iterator():
            number += 1
            kept = content if compression else None
            yield Record(path, number, start, len(content), zlib.crc32(content), kept), content
            start += len(content) + FOOTER + HEADER
        # TensorFlow takes a file that is cut in a record's header, or compressed, for whole
        if start - HEADER != _length(path, compression):
            raise UserError(f"{path}, record {number + 1} is cut short.", _AGAIN)
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        what = "is cut short" if "truncated" in str(error) else "is damaged: its checksum is wrong"
        what += "" if number else "; or the file is no TFRecord"
        raise UserError(f"{path}, record {number + 1} {what}.", _AGAIN) from error
    except tf.errors.OpError as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}.", _AGAIN) from error


def _length(path: str, compression: str) -> int | None:
    """How many bytes a file's records have; None where it is compressed and cut."""
    if not compression:
        return int(tf.io.gfile.stat(path).length)
    length, inflating = 0, zlib.decompressobj(_EITHER)
    with contextlib.suppress(zlib.error), open_file(path) as file:
        while piece := file.read(_PIECE):
            while piece:
                inflating = zlib.decompressobj(_EITHER) if inflating.eof else inflating
                length += len(inflating.decompress(piece))
                piece = inflating.unused_data
        return length if inflating.eof else None
    return None


def _compression(path: str) -> str:
    """How a file is compressed, by its first bytes, unless they are a record's length."""
    try:
        with open_file(path) as file:
            head = file.read(2)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", _AGAIN) from error
    kind = "GZIP" if head == b"\x1f\x8b" else ""
    if head[:1] == b"\x78" and int.from_bytes(head, "big") % 31 == 0:
        kind = "ZLIB"
    try:
        next(tf.data.TFRecordDataset(path, "").take(1).as_numpy_iterator())
    except (StopIteration, tf.errors.OpError):
        return kind
    return ""


def features_of(record: Record, content: bytes) -> Any:
    """A record's features by their names."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return tf.train.Example.FromString(content).features.feature
    except DecodeError as error:
        raise UserError(f"{record} holds no tf.train.Example.", _AGAIN) from error


def value(key: str, record: Record, features: Any, kind: str) -> Any:
    """The one value of a record's feature; `kind` is `bytes_list` or `int64_list`."""
    if key not in features:
        found = ", ".join(sorted(features)) or "none"
        raise UserError(
            f"{record} has no feature {key}; it has {found}.", "Set image_key and label_key."
        )
    values = getattr(features[key], kind).value
    if len(values) != 1:
        raise UserError(
            f"{record}: {key} has {len(values)} values in its {kind}, not one.",
            "Set image_key and label_key to features with one value.",
        )
    return values[0]
