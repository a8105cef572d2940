"""What a large folder of pictures costs before and while it is trained on: seconds and memory.

    python benchmarks/memory.py                   # 30,000 pictures at 224 px
    python benchmarks/memory.py 3000 96

The folder holds hard links to a few photographs. They are read, then fed through one epoch of
training batches and one of validation. Quoted is the peak of the process's memory above what it
held before, as a multiple of the cache, which is the sized pictures themselves.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import evaluation, training
from tflite_light.pipeline.pictures import Pictures, Split, pictures_of
from tflite_light.pipeline.reading import read
from tflite_light.stack import tf

DIFFERENT = 8  # photographs; the rest are links to them
CLASSES = 10
SHARES: dict[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}


def folder_of(folder: Path, count: int) -> list[Path]:
    """`count` JPEG files of 500 x 375 pixels, as ImageNet's are."""
    generator = np.random.default_rng(0)
    paths: list[Path] = []
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if number < DIFFERENT:
            coarse = Pillow.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
            coarse.resize((500, 375), Pillow.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.hardlink_to(paths[number % DIFFERENT])
        paths.append(path)
    return paths


def parts_of(paths: list[Path]) -> dict[Split, Pictures]:
    parts: dict[Split, Pictures] = {}
    start = 0
    for name, share in SHARES.items():
        end = start + round(share * len(paths))
        parts[name] = pictures_of([(paths[i], i % CLASSES) for i in range(start, end)])
        start = end
    return parts


def peak() -> int:
    """Bytes of memory this process has held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measure(count: int, size: int) -> float:
    """The peak above what the process held before, as a multiple of the sized pictures."""
    cache = count * size**2 * 3
    with tempfile.TemporaryDirectory() as folder:
        parts = parts_of(folder_of(Path(folder), count))
        tf.zeros(1)  # TensorFlow's own memory does not count
        before, start = peak(), time.monotonic()
        examples = read(parts, Image(size=size))
        reading, seconds = peak(), time.monotonic() - start
        for _ in training(examples["train"], CLASSES, 32, Augment(), 0, range(1)):
            pass
        for _ in evaluation(examples["val"], CLASSES):
            pass
    print(
        f"{count:,} pictures at {size} px: read in {seconds:.0f} s, {count / seconds:.0f}/s; "
        f"cache {cache / 1e9:.2f} GB; peak {(reading - before) / cache:.3f} times it after "
        f"reading, {(peak() - before) / cache:.3f} after an epoch; process {peak() / 1e9:.2f} GB"
    )
    return (peak() - before) / cache


if __name__ == "__main__":
    measure(*map(int, sys.argv[1:] or ("30000", "224")))
