"""SqueezeNet 1.0 with few values a kernel and no training: the nearest ones, or as layers ask for.

python benchmarks/sharing.py WEIGHTS PHOTOGRAPHS [VALUES]

WEIGHTS have torchvision's names, for 227 px, BGR minus (104, 117, 123); photographs are called
NNNN_*.jpg, NNNN the class. Every other one calibrates, without its class; then the rest do.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.compress._assignment import READ, assign
from tflite_light.compress.cluster import Cluster
from tflite_light.contract import Image
from tflite_light.graph.build import build
from tflite_light.graph.convert import convert, converter_for
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.preprocess import crop_and_resize, normalise
from tflite_light.tflite import packed
from tflite_light.tflite.file import File
from tflite_light.weights.torch import Torch

IMAGE = Image(size=227, channels="BGR", mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0))


def main(weights: str, folder: str, values: str = "64") -> None:
    photographs = sorted(Path(folder).glob("*.jpg"))
    labels = np.array([int(one.name.split("_")[0]) for one in photographs])
    pixels = np.stack([crop_and_resize(decode(one.read_bytes()), IMAGE) for one in photographs])
    inputs = normalise(pixels.astype(np.float32), IMAGE)
    architecture = SqueezeNet(version="1.0")
    model = build(architecture, size=IMAGE.size, classes=1000, seed=0)
    Torch(path=weights).load(model, architecture)
    whole = model.predict(inputs, batch_size=READ, verbose=0)
    stage = Cluster(centroids=int(values))
    plan = stage.plan(model, None)
    _show("all values", model, whole, whole, labels)
    for first in (None, 0, 1):
        shared, began = stage.wrap(model, plan, 1), time.perf_counter()
        if first is not None:
            calibration = _batches(inputs[first::2])
            assign(model, shared, plan["layers"], False, calibration, stage._clustered)
        name = "nearest" if first is None else f"calibrated on every other from {first}"
        seconds = time.perf_counter() - began
        answers = shared.predict(inputs, batch_size=READ, verbose=0)
        _show(f"{name}, {seconds:.0f} s", shared, answers, whole, labels)


def _batches(inputs: Any) -> Iterator[Any]:
    return (inputs[start : start + READ] for start in range(0, len(inputs), READ))


def _show(name: str, model: Any, answers: Any, whole: Any, labels: Any) -> None:
    right, same = answers.argmax(1) == labels, answers.argmax(1) == whole.argmax(1)
    size = len(packed.pack(File(convert(converter_for(model)))))
    print(
        f"{name}: top-1 {right.mean():.3f} ({right[::2].mean():.2f}, {right[1::2].mean():.2f}), "
        f"{same.mean():.3f} as before, {size:,} bytes packed",
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
