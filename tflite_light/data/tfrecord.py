"""TFRecord files of `tf.train.Example`, as ImageNet and TensorFlow Datasets write them."""

import glob
import struct
from pathlib import Path
from typing import Any

from pydantic import Field

from tflite_light import files
from tflite_light.data import Location, Scan, Source
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures
from tflite_light.stack import tf

_HEADER, _FOOTER = 12, 4  # length and its checksum; checksum of the record


class TFRecord(Source):
    """Records with an encoded picture and an integer label.

    Files are indexed by the places of their records, so that pictures are read when needed.
    """

    train: Location = Field(description="files, a pattern such as data/train-*")
    val: Location = Field(description="files, a pattern")
    test: Location = Field(description="files, a pattern")
    labels: Location = Field(
        description="text file with a class name a line, in the order of the labels"
    )
    first_label: int = Field(
        0, ge=0, description="the label of the first name; 1 where 0 means background"
    )
    image_key: str = Field("image/encoded", description="feature with the encoded picture")
    label_key: str = Field("image/class/label", description="feature with the integer label")

    def classes(self) -> list[str]:
        return files.read_lines(Path(self.labels))

    def scan(self) -> Scan:
        classes = self.classes()
        parts = {name: _pictures(self, getattr(self, name), len(classes)) for name in SPLITS}
        return classes, parts


def _pictures(source: TFRecord, pattern: str, classes: int) -> Pictures:
    paths = sorted(glob.glob(pattern))  # noqa: PTH207  absolute patterns, too
    if not paths:
        raise UserError(
            f"no file matches {pattern}. Patterns are relative to where the command is typed."
        )
    places = [(path, start, size) for path in paths for start, size in _records(path)]
    labels = [_label(source, place, classes) for place in places]
    names = [f"{path} at byte {start}" for path, start, _ in places]
    return Pictures(
        names, labels, lambda index: bytes(_value(source.image_key, places[index], "bytes_list"))
    )


def _records(path: str) -> list[tuple[int, int]]:
    """Start and size of each record's data."""
    places, size = [], Path(path).stat().st_size
    with Path(path).open("rb") as file:
        while file.tell() < size:
            header = file.read(_HEADER)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER else size
            places.append((file.tell(), length))
            if file.tell() + length + _FOOTER > size:
                raise UserError(
                    f"{path} is cut short or no TFRecord file, at record {len(places)}. Fetch it "
                    f"again."
                )
            file.seek(length + _FOOTER, 1)
    return places


def _value(key: str, place: tuple[str, int, int], kind: str) -> Any:
    """The one value of a record's feature; `kind` is `bytes_list` or `int64_list`."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    path, start, size = place
    with Path(path).open("rb") as file:
        file.seek(start)
        try:
            example = tf.train.Example.FromString(file.read(size))
        except DecodeError as error:
            raise UserError(f"{path} at byte {start} holds no tf.train.Example.") from error
    if key not in example.features.feature:
        found = ", ".join(sorted(example.features.feature))
        raise UserError(
            f"{path} at byte {start} has no feature {key}; it has {found}. Set image_key and "
            f"label_key."
        )
    values = getattr(example.features.feature[key], kind).value
    if len(values) != 1:
        raise UserError(
            f"{path} at byte {start}: {key} has {len(values)} values in its {kind}, not one."
        )
    return values[0]


def _label(source: TFRecord, place: tuple[str, int, int], classes: int) -> int:
    label = int(_value(source.label_key, place, "int64_list")) - source.first_label
    if not 0 <= label < classes:
        raise UserError(
            f"{place[0]} at byte {place[1]}: label {label + source.first_label} has no name in "
            f"{source.labels}, "
            f"which has {classes} from {source.first_label} on. Set first_label or "
            f"add the name."
        )
    return label
