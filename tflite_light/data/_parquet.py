"""Parquet files of pictures: what their footers say, columns, and pictures one by one.

Pictures are read by row groups. Where a file keeps them as they are, which is how Hugging Face's
`datasets` writes them, each is later read from its own place. Those of compressed files stay in
memory up to `HELD`, and else in a temporary file.
"""

import errno
import io
import json
import mmap
import os
import struct
import tempfile
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import NO_PICTURE
from tflite_light.progress import say

HELD = 512_000_000  # bytes of a split that stay in memory, as of the shards on gs://
BEGINNING = 64  # bytes of a picture by which its place is found, before all are compared
POINTER = b"version https://git-lfs"  # how a file begins that Git has not fetched
_AGAIN = "Fetch or write the file again."

Features = dict[str, dict[str, Any]]  # of each column what `datasets` calls its type, by `_type`


def library() -> Any:
    """`pyarrow.parquet`. Raises UserError where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "data.huggingface needs PyArrow.", "`pip install 'tflite-light[huggingface]'`"
        ) from None
    return pyarrow.parquet


@dataclass(frozen=True)
class Table:
    """A file whose footer was read; `name` is what to call it to a person."""

    path: Path
    name: str
    schema: Any
    footer: Any

    @classmethod
    def at(cls, path: Path, name: str) -> "Table":
        """Raises UserError where it is no Parquet file."""
        parquet = library()
        try:
            with path.open("rb") as file:
                if file.read(len(POINTER)) == POINTER:
                    raise UserError(
                        f"{name} is a pointer of Git LFS in place of the file.",
                        "`git lfs pull` in its folder fetches it.",
                    )
                found = parquet.ParquetFile(path)
                with found:
                    return cls(path, name, found.schema_arrow, found.metadata)
        except (OSError, ValueError) as error:  # ValueError: Arrow's own are such
            raise UserError(
                f"{name} cannot be read as Parquet: {_reason(error)}.", _AGAIN
            ) from error

    @property
    def features(self) -> Features:
        """What `datasets` wrote of the columns, if it did."""
        try:
            written = json.loads((self.schema.metadata or {})[b"huggingface"])
            found = written["info"]["features"]
        except (KeyError, TypeError, ValueError):
            return {}
        columns = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in columns if isinstance(value, dict)}

    def leaf(self, column: str) -> str:
        """What Parquet calls a column of pictures, or the part of it that holds their bytes."""
        from pyarrow import types

        return f"{column}.bytes" if types.is_struct(self.schema.field(column).type) else column

    def column(self, name: str) -> list[Any]:
        """All values of a small column."""
        try:
            with library().ParquetFile(self.path, metadata=self.footer) as file:
                values: list[Any] = file.read([name]).column(0).to_pylist()
        except (OSError, ValueError) as error:
            raise UserError(f"{self.name} cannot be read: {_reason(error)}.", _AGAIN) from error
        return values


def holds_pictures(kind: Any) -> bool:
    """Whether an Arrow type is that of encoded pictures: bytes, or a struct with `bytes`."""
    from pyarrow import types

    if types.is_struct(kind):
        place = kind.get_field_index("bytes")
        if place < 0:
            return False
        kind = kind.field(place).type
        return bool(types.is_null(kind) or _is_bytes(kind))
    return _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    one_of = types.is_binary, types.is_large_binary, types.is_binary_view
    return any(one(kind) for one in one_of)


@dataclass(eq=False)
class _Group:
    """The pictures of one row group; `places` once it is known where each begins and its size."""

    table: Table
    number: int
    column: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    places: list[tuple[int, int]] | None = None
    copy: IO[bytes] | None = None  # where the places are, if not in the table's own file

    @property
    def chunk(self) -> Any:
        group = self.table.footer.row_group(self.number)
        chunks = (group.column(index) for index in range(group.num_columns))
        return next(one for one in chunks if one.path_in_schema == self.column)

    @property
    def rows(self) -> int:
        return int(self.table.footer.row_group(self.number).num_rows)

    def values(self) -> Any:
        """All pictures, an Arrow array of bytes. Raises OSError where they cannot be read."""
        from pyarrow import compute, types

        try:
            with library().ParquetFile(self.table.path, metadata=self.table.footer) as file:
                found = file.read_row_group(self.number, [self.column], use_threads=False).column(0)
        except (OSError, ValueError) as error:
            raise OSError(errno.EIO, _reason(error)) from error
        if types.is_struct(found.type):
            found = compute.struct_field(found, "bytes")
        if self.chunk.compression == "UNCOMPRESSED":
            self.places = self._places(found)
        return found

    def _places(self, values: Any) -> list[tuple[int, int]] | None:
        """Where each picture lies in the file, or None where one does not lie there as it is.

        Plain values stand one after another, each behind its length; so each is looked for behind
        the one before it, past the heads of pages.
        """
        places, behind = [], self.chunk.data_page_offset
        with (
            self.table.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw,
        ):
            for value in values:
                content = value.as_py()
                if content is None:
                    places.append((0, -1))
                    continue
                length = struct.pack("<I", len(content))
                start = raw.find(length + content[:BEGINNING], behind, self._end) + len(length)
                behind = start + len(content)
                if raw[start:behind] != content:
                    return None
                places.append((start, len(content)))
        return places

    @property
    def _end(self) -> int:
        return int(self.chunk.data_page_offset + self.chunk.total_compressed_size)

    @cached_property
    def paths(self) -> list[str | None]:
        """Of each picture the file that it came from, where that is said."""
        column, _, inside = self.column.rpartition(".")
        if inside != "bytes":
            return [None] * self.rows
        with library().ParquetFile(self.table.path, metadata=self.table.footer) as file:
            rows = file.read_row_group(self.number, [f"{column}.path"]).to_pylist()
        return [(row.get(column) or {}).get("path") for row in rows]

    def at(self, row: int) -> bytes | None:
        """The picture of a row from its place, once that is known."""
        assert self.places
        start, size = self.places[row]
        if size < 0:
            return None
        if self.copy:
            return os.pread(self.copy.fileno(), size, start)
        with self.table.path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(size)


class Encoded:
    """The encoded pictures of a column of some files, in their order."""

    def __init__(self, tables: Sequence[Table], column: str, linked: bool = False) -> None:
        """With `linked` a row without a picture stands for the file that its `path` names, as
        `Dataset.to_parquet` writes pictures of a folder."""
        self._linked = linked
        self._groups = [
            _Group(table, number, table.leaf(column))
            for table in tables
            for number in range(table.footer.num_row_groups)
        ]
        self._starts = [0, *accumulate(group.rows for group in self._groups)]
        self._copies = sum(group.chunk.total_uncompressed_size for group in self._groups) > HELD
        self._copy: IO[bytes] | None = None
        self._held: OrderedDict[_Group, Any] = OrderedDict()  # those last used at the end
        self._lock = threading.Lock()

    @property
    def stamps(self) -> list[int]:
        """Of each picture the bytes of its row group: cheap, and changed pictures change them."""
        return [
            size
            for group in self._groups
            for size in [group.chunk.total_uncompressed_size] * group.rows
        ]

    def read(self, index: int) -> bytes:
        """Raises OSError where a picture is not there or cannot be read."""
        turn = bisect_right(self._starts, index) - 1
        group, row = self._groups[turn], index - self._starts[turn]
        content = group.at(row) if group.places else self._first(group, row)
        return self._file(group, row) if content is None else content

    def _file(self, group: _Group, row: int) -> bytes:
        path = group.paths[row]
        if not path or not self._linked:
            raise OSError(NO_PICTURE, "the row holds no picture")
        try:
            return (group.table.path.parent / path).read_bytes()
        except OSError as error:
            what = f"the row holds no picture, but names {path}: {error.strerror}"
            raise OSError(error.errno, what) from error

    def _first(self, group: _Group, row: int) -> bytes | None:
        with group.lock:  # threads that need the same group wait for it
            if group.places:
                return group.at(row)
            with self._lock:
                values = self._held.get(group)
                if values is not None:
                    self._held.move_to_end(group)
            if values is None:
                values = group.values()
                if not group.places and not (self._copies and self._copied(group, values)):
                    self._hold(group, values)
        content: bytes | None = values[row].as_py()
        return content

    def _hold(self, group: _Group, values: Any) -> None:
        with self._lock:
            self._held[group] = values
            sizes = sum(one.nbytes for one in self._held.values())
            while sizes > HELD and len(self._held) > 1:
                sizes -= self._held.popitem(last=False)[1].nbytes

    def _copied(self, group: _Group, values: Any) -> bool:
        """Keep a group's pictures in a file without a name; not where the disk is full.

        Else each picture of an order drawn by chance would cost reading its whole group anew.
        """
        places = []
        with self._lock:
            try:
                if not self._copy:  # open as long as this object: closed with it, it is gone
                    self._copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                start = self._copy.seek(0, io.SEEK_END)
                for value in values:
                    content = value.as_py()
                    places.append((start, -1 if content is None else len(content)))
                    start += len(content or b"")
                    if content and self._copy.write(content) < len(content):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                self._copies = False
                where = f"{tempfile.gettempdir()} (TMPDIR places it)"
                say(f"compressed pictures are read slowly: no room in {where}: {_reason(error)}")
                return False
        group.copy, group.places = self._copy, places
        return True


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0].rstrip(".")
