"""Pictures that were sized once, in TFRecord files with an index beside them: shards.

They are on any path that TensorFlow opens. Pixels are kept without loss, so that a training from
them gets the same tensors as from the photographs, to the bit. The index spares reading every
record before a training begins, and says which contract sized the pictures.
"""

import io
import json
import struct
import threading
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.stack import tf

if TYPE_CHECKING:  # instant commands, which list the sources, need none of them
    import numpy as np

    from tflite_light.pipeline.decode import Pixels

    Column = np.ndarray[Any, Any]

INDEX = "index.npz"
SIZED = "image/sized"  # a feature of pictures that must not be sized again, if the index is lost
SHARD_BYTES = 32_000_000  # files of 100 MB and more are usual; these are shuffled in memory
TOGETHER = 8  # shards whose pictures are shuffled among each other
GEOMETRY = ("size", "resize", "crop", "filter")  # of a contract, what the sized pixels depend on
HEADER, FOOTER = 12, 4  # bytes of a record around its data: length and its checksum; checksum
_COLUMNS = {"labels": "int64", "starts": "int64", "sizes": "int64", "checksums": "uint32"}

_DAMAGE = (  # what NumPy, zipfile and JSON raise for bytes that are no whole index
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError),
    *(MemoryError, struct.error, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class Shard:
    """The records of one file of `size` bytes: of each its label, where its data begins, how many
    bytes it has and their CRC-32."""

    size: int
    labels: "Column"
    starts: "Column"
    sizes: "Column"
    checksums: "Column"


@dataclass(frozen=True)
class Index:
    """What a folder of shards holds, by the names of its files."""

    geometry: dict[str, Any]
    shards: dict[str, Shard]


def is_remote(path: str) -> bool:
    """Whether a path is TensorFlow's to open, such as `gs://bucket/folder`."""
    return "://" in path


def open_file(path: str) -> IO[bytes]:
    """Any path for reading. Raises OSError, as opening a file does, where that fails."""
    if not is_remote(path):
        return open(path, "rb")  # noqa: PTH123
    if not tf.io.gfile.exists(path):
        raise FileNotFoundError(2, "No such file", path)
    file: IO[bytes] = tf.io.gfile.GFile(path, "rb")
    return file


def read_record(path: str, start: int, size: int) -> bytes:
    """The data of one record; remote files are read whole, and the last ones kept."""
    if is_remote(path):
        with _fetching[path]:  # or each thread that needs it now fetches and holds one
            content = _content(path)
        return content[start : start + size]
    with open_file(path) as file:
        file.seek(start)
        return file.read(size)


_fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@lru_cache(maxsize=2 * TOGETHER)
def _content(path: str) -> bytes:
    with open_file(path) as file:
        return file.read()


def geometry(image: Image) -> dict[str, Any]:
    return {key: getattr(image, key) for key in GEOMETRY}


def read_index(folder: str) -> Index | None:
    """The index of a folder, if it has one. Raises UserError where it is damaged."""
    import numpy as np

    path = f"{folder}/{INDEX}"
    try:
        with open_file(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as found:
            about = json.loads(found["about"].tobytes())
            shards = {
                name: Shard(size, **{key: found[f"{name}/{key}"] for key in _COLUMNS})
                for name, size in about["shards"].items()
            }
            return Index(about["geometry"], shards)
    except FileNotFoundError:
        return None
    except (*_DAMAGE, tf.errors.OpError) as error:
        raise UserError(f"{path} is damaged ({error}).", "Pack the data again.") from error


def write_index(folder: str, index: Index) -> None:
    import numpy as np

    about = {
        "geometry": index.geometry,
        "shards": {name: shard.size for name, shard in index.shards.items()},
    }
    pairs = [(name, key) for name in index.shards for key in _COLUMNS]
    arrays = {f"{name}/{key}": getattr(index.shards[name], key) for name, key in pairs}
    content = io.BytesIO()
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(content, **arrays)
    with tf.io.gfile.GFile(f"{folder}/{INDEX}", "wb") as file:
        file.write(content.getvalue())


def write_shard(path: str, records: Iterable[tuple[bytes, int]]) -> Shard:
    """Encoded pictures and their labels as one file."""
    import numpy as np

    rows, start = [], HEADER
    with tf.io.TFRecordWriter(path) as writer:
        for picture, label in records:
            content = example(picture, label, sized=True)
            writer.write(content)
            rows.append((label, start, len(content), zlib.crc32(content)))
            start += len(content) + FOOTER + HEADER
    columns = zip(*rows, strict=True)
    arrays = {key: np.array(next(columns), kind) for key, kind in _COLUMNS.items()}
    return Shard(start - HEADER, **arrays)


def example(picture: bytes, label: int, sized: bool = False) -> bytes:
    """A record as TF-Slim's converters write it."""
    feature = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    if sized:
        feature[SIZED] = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    features = tf.train.Features(feature=feature)
    return bytes(tf.train.Example(features=features).SerializeToString())


def encoded(pixels: "Pixels") -> bytes:
    """As PNG, which loses nothing, fast rather than small."""
    from PIL import Image as Pillow

    content = io.BytesIO()
    Pillow.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def order(counts: Sequence[int], seed: list[int], steps: int, workers: int, batch: int) -> "Column":
    """Indices [steps, workers, batch] of an epoch's pictures, which lie in shards of `counts`.

    Each worker reads shards of its own, `TOGETHER` at a time, whose pictures are shuffled among
    each other; shards are dealt anew each epoch. A worker whose shards have too few pictures takes
    some of them twice.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    starts = np.cumsum([0, *counts[:-1]])
    dealt = generator.permutation(len(counts))
    chosen = [
        _shuffled(dealt[worker::workers], starts, counts, generator) for worker in range(workers)
    ]
    needed = steps * batch
    return np.stack([np.resize(one, needed).reshape(steps, batch) for one in chosen], axis=1)


def _shuffled(
    shards: "Column", starts: "Column", counts: Sequence[int], generator: "np.random.Generator"
) -> "Column":
    import numpy as np

    groups: Iterator[Any] = (
        np.concatenate([starts[one] + np.arange(counts[one]) for one in shards[i : i + TOGETHER]])
        for i in range(0, len(shards), TOGETHER)
    )
    return np.concatenate([generator.permutation(group) for group in groups])
