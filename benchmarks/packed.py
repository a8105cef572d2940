"""What `tflite-light pack` makes of files, how fast, and of the same ones with fewer values.

python benchmarks/packed.py FILE.tflite ...
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tflite_light.tflite import packed
from tflite_light.tflite.file import File, read
from tflite_light.tflite.flatbuffer import Array
from tflite_light.tflite.packed.constants import constants
from tflite_light.tflite.packed.rivals import rivals
from tflite_light.tflite.packed.words import FLOAT

VALUES = 64  # of a layer, zero among them
ROUNDS = 50
LARGE = 4096  # bytes; what is smaller is a bias


def main(paths: list[str]) -> None:
    for path in paths:
        file = read(Path(path))
        for name, one in ((path, file), (f"{path}, {VALUES} values a layer", clustered(file))):
            print(name, *_lines(one), sep="\n    ")


def clustered(file: File) -> File:
    """The file with at most 64 values in each float32 kernel: 0, and k-means of the others."""
    content = bytearray(file.content)
    for one in constants(file):
        if one.form == FLOAT and one.end - one.start >= LARGE:
            values = one.words(file.content).view(np.float32)
            content[one.start : one.end] = few(values, VALUES).tobytes()
    return File(bytes(content))


def few(values: Array, count: int) -> Array:
    """Lloyd's algorithm in one dimension; zeros stay, so a centroid is 0.

    It begins with quantiles of the different values, which ends in a quarter of the error that
    quantiles of all values or even steps end in.
    """
    nonzero = np.sort(values[values != 0])
    centroids = np.quantile(np.unique(nonzero), np.linspace(0, 1, count - 1))
    for _ in range(ROUNDS):
        places = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, nonzero)
        counts = np.bincount(places, minlength=len(centroids))
        sums = np.bincount(places, nonzero, len(centroids))
        centroids = np.where(counts, sums / np.maximum(counts, 1), centroids)
    places = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    return np.where(values, centroids[places], 0).astype(np.float32)


def _lines(file: File) -> Iterator[str]:
    began = time.perf_counter()
    small = packed.pack(file)
    middle = time.perf_counter()
    assert packed.unpack(small) == file.content
    ended = time.perf_counter()
    size = len(file.content)
    yield f"file {size:,} bytes, packed {len(small):,}, {size / len(small):.2f} times smaller"
    yield ", ".join(f"{name} {other:,}" for name, other in rivals(file).items())
    fast, back = size / (middle - began) / 1e6, size / (ended - middle) / 1e6
    yield f"packed at {fast:.1f} MB/s, unpacked at {back:.1f} MB/s"


if __name__ == "__main__":
    main(sys.argv[1:])
