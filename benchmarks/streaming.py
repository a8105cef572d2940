"""Pictures a second of the streaming pipeline against a bare loop of Pillow in as many threads.

    python benchmarks/streaming.py                # 4,000 JPEG files of 500 x 375 to 224 px
    python benchmarks/streaming.py 1000 224

Both decode the same files, crop them to a square and resize it; the pipeline also batches,
normalises and hands tensors over. They take turns, a pass each, so that the machine's moods strike
both; quoted are the median ratio of the rounds, in seconds and in processor time.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from memory import folder_of
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.pipeline import reading
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import steps_per_epoch, training
from tflite_light.pipeline.pictures import pictures_of
from tflite_light.pipeline.reading import read
from tflite_light.pipeline.streaming import CORES

ROUNDS = 5
BATCH = 32


def bare(path: Path, size: int) -> None:
    with Pillow.open(path) as picture:
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        cut = picture.convert("RGB").crop((left, top, left + side, top + side))
        np.asarray(cut.resize((size, size), Pillow.Resampling.BILINEAR))


def through_pillow(paths: list[Path], size: int) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda path: bare(path, size), paths))


def through_pipeline(batches: Any) -> None:
    """A whole epoch, so that nothing is read ahead while the other's time is taken."""
    for _ in batches:
        pass


def timed(action: Callable[[], None]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


def main(count: int, size: int) -> None:
    reading.MEMORY_SHARE = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = folder_of(Path(folder), count)
        pictures = pictures_of([(path, 0) for path in paths])
        examples = read({"train": pictures}, Image(size=size))["train"]
        steps = steps_per_epoch(examples, BATCH)
        batches = training(examples, 2, BATCH, Augment(), 0, range(1))
        through_pipeline(batches)  # builds its graph
        rounds = [
            (
                timed(lambda: through_pillow(paths[: steps * BATCH], size)),
                timed(lambda: through_pipeline(batches)),
            )
            for _ in range(ROUNDS)
        ]
    ratios = [statistics.median(one[unit] / own[unit] for one, own in rounds) for unit in (0, 1)]
    rate = statistics.median(steps * BATCH / own[0] for _, own in rounds)
    print(
        f"{count} JPEG 500 x 375 to {size} px, {CORES} threads: {rate:.0f} pictures/s, "
        f"{ratios[0]:.3f} of Pillow's bare loop; {ratios[1]:.3f} by processor time"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ("4000", "224")))
