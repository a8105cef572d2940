"""TFRecord files of `tf.train.Example`, as ImageNet and TensorFlow Datasets write them."""

import errno
import fnmatch
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from tflite_light import classes
from tflite_light.data import Location, Scan, Source
from tflite_light.data._numbered import lacking
from tflite_light.data._records import Record, features_of, matching, records, value
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures
from tflite_light.pipeline.shards import (
    INDEX,
    SIZED,
    Index,
    Shard,
    example,
    is_remote,
    open_file,
    read_index,
)
from tflite_light.pipeline.walk import SKIP_BROKEN
from tflite_light.stack import tf


class TFRecord(Source):
    """Records with an encoded picture and an integer label.

    Files are read once, which checks the checksums of every record, and indexed, so that pictures
    are read when needed; those of `pack-data` have an index already. Pictures of files compressed
    by gzip or zlib are held in memory. A name that exists as it stands is that file; else `*`, `?`
    and `[...]` are a pattern; a path may be any that TensorFlow opens, such as `gs://bucket/train-*`.
    Class names that occur twice get their label: `crane (134)`.
    """

    train: Location = Field(
        description="files, a pattern such as data/train-*; relative to where the command is typed"
    )
    val: Location = Field(description="likewise")
    test: Location = Field(description="likewise")
    labels: Location = Field(
        description="text file with a class name a line, in the order of the labels, or 0:name"
    )
    first_label: int = Field(
        0, ge=0, description="the label of the first name; 1 where 0 means background"
    )
    image_key: str = Field("image/encoded", description="feature with the encoded picture")
    label_key: str = Field("image/class/label", description="feature with the integer label")
    skip_broken: bool = Field(False, description=SKIP_BROKEN)

    @classmethod
    def example(cls, folder: Path) -> Self:
        from tflite_light.data._examples import CLASSES, write_photographs

        photographs = sorted(write_photographs(folder / "photos").rglob("*.jpg"))
        (folder / "labels.txt").write_text("".join(f"sign{n}\n" for n in range(CLASSES)))
        train, val, test = (str(folder / f"{name}.tfrecord") for name in SPLITS)
        for turn, file in enumerate((train, val, test)):
            with tf.io.TFRecordWriter(file) as writer:
                for path in photographs[turn :: len(SPLITS)]:
                    writer.write(example(path.read_bytes(), int(path.parent.name[-1]) + 1))
        labels = str(folder / "labels.txt")
        return cls(train=train, val=val, test=test, labels=labels, first_label=1)

    def absent(self) -> dict[str, str]:
        named = super().absent().items()
        return {key: path for key, path in named if not is_remote(path) and not matching(path)}

    def _names(self) -> list[str]:
        if not is_remote(self.labels):
            return classes.read(Path(self.labels), self.first_label)
        try:
            with open_file(self.labels) as file:
                return classes.parse(self.labels, file.read(), self.first_label)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"{self.labels} cannot be read: {error}.", "Give a text file."
            ) from error

    def scan(self) -> Scan:
        names = self._names()
        return names, {part: _pictures(self, getattr(self, part), len(names)) for part in SPLITS}


def _pictures(source: TFRecord, pattern: str, count: int) -> Pictures:
    paths = matching(pattern)
    if not paths:
        raise UserError(
            f"no file matches {pattern}.", "Patterns are relative to where the command is typed."
        )
    indices = {folder: read_index(folder) for folder in map(_folder, paths)}
    for folder, index in indices.items():
        if index:
            _require_packed(pattern, paths, folder, index)
    if lacks := lacking(paths, pattern.rpartition("/")[2]):
        raise UserError(
            f"{pattern} {lacks}.", "Fetch the rest, or write a pattern of those that are there."
        )
    records, labels, counts, geometries = [], [], [], []
    for path in paths:
        shard, geometry = _indexed(path, indices[_folder(path)])
        found = _listed(path, shard) if shard else _scanned(source, path, count)
        records += [record for record, _ in found]
        labels += [label for _, label in found]
        counts.append(len(found))
        geometries.append(geometry)
    if any(one != geometries[0] for one in geometries):
        raise UserError(
            f"files of {pattern} were packed with different sizes, or some were not packed.",
            "Name the files of one folder.",
        )

    packed = geometries[0] is not None

    def read(index: int) -> bytes:
        record = records[index]
        content = record.read()
        if packed and zlib.crc32(content) != record.checksum:
            raise OSError(errno.EIO, f"its checksum is not that of {INDEX}")
        features = features_of(record, content)
        return bytes(value(source.image_key, record, features, "bytes_list"))

    checksums, names = [one.checksum for one in records], [str(one) for one in records]
    pictures = Pictures(names, labels, read, checksums)
    if not packed:
        return pictures
    return replace(pictures, shards=counts, geometry=geometries[0], checksums=checksums)


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "."


def _require_packed(pattern: str, paths: list[str], folder: str, index: Index) -> None:
    """Raises UserError where a file of a pack is gone that the pattern means, too."""
    wanted = pattern.rpartition("/")[2]
    mine = {name for name in index.shards if fnmatch.fnmatchcase(name, wanted)}
    if gone := sorted(mine - {path.rpartition("/")[2] for path in paths}):
        raise UserError(
            f"{folder}/{gone[0]} is missing, which {folder}/{INDEX} counts.",
            "Copy it again, or pack the data again.",
        )


def _indexed(path: str, index: Index | None) -> tuple[Shard | None, dict[str, Any] | None]:
    """What the index beside a file says of it, if there is one; and how its pictures were sized."""
    name = path.rpartition("/")[2]
    if not index or name not in index.shards:
        return None, None
    shard = index.shards[name]
    size = tf.io.gfile.stat(path).length
    if size != shard.size:
        raise UserError(
            f"{path} has {size} bytes, where its index says {shard.size}.", "Pack the data again."
        )
    return shard, index.geometry


def _listed(path: str, shard: Shard) -> list[tuple["Record", int]]:
    columns = (shard.starts, shard.sizes, shard.checksums, shard.labels)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        (Record(path, number, start, size, checksum), label)
        for number, (start, size, checksum, label) in enumerate(rows, 1)
    ]


def _scanned(source: TFRecord, path: str, count: int) -> list[tuple["Record", int]]:
    found = []
    for record, content in records(path):
        features = features_of(record, content)
        if SIZED in features:
            raise UserError(
                f"{record} is a picture of a pack, sized already; its {INDEX} is missing.",
                f"Copy {INDEX} beside it, or pack the data again.",
            )
        found.append((record, _label(source, record, features, count)))
    return found


def _label(source: TFRecord, record: Record, features: Any, count: int) -> int:
    found = int(value(source.label_key, record, features, "int64_list"))
    label = found - source.first_label
    if not 0 <= label < count:
        raise UserError(
            f"{record}: label {found} has no name in {source.labels}, which has {count} from "
            f"{source.first_label} on.",
            "Set first_label or add the name.",
        )
    return label
