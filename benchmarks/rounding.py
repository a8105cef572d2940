"""What int8 loses without training, and what each field of the mode brings back.

    python benchmarks/rounding.py MOBILENET_V2.npz SQUEEZENET.npz PHOTOGRAPHS [WAY ...]

Weights are of MobileNet v2 1.0 by Keras' names, and of SqueezeNet 1.0 by torchvision's, for BGR
less (104, 117, 123); photographs are called NNNN_*.jpg, NNNN the class. Every other one calibrates,
without its class; top-1, answers as float's, and signal to noise of the logits are of the rest.
Ways are named as in `WAYS`; without any, all of them are measured.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.contract import Image
from tflite_light.export.int8 import Int8
from tflite_light.graph.build import build
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models import Architecture
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.squeezenet import SqueezeNet
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import Pictures, Split
from tflite_light.pipeline.reading import read
from tflite_light.sockets import load

NETWORKS: list[tuple[Architecture, str, Image]] = [
    (MobileNetV2(), "npz", Image(size=224, crop=0.875, mean=(127.5,) * 3, std=(127.5,) * 3)),
    (
        SqueezeNet(version="1.0"),
        "torch",
        Image(size=227, channels="BGR", mean=(104.0, 117.0, 123.0), std=(1.0,) * 3),
    ),
]
WAYS: dict[str, dict[str, Any]] = {
    "extremes, nearest": {"correct_bias": False},
    "biases corrected (the default)": {},
    "ranges by error": {"correct_bias": False, "ranges": "error"},
    "ranges by error, biases": {"ranges": "error"},
    "equalised": {"correct_bias": False, "equalise": True},
    "equalised, biases": {"equalise": True},
    "adaptive rounding": {"rounding": "adaptive"},
    "one scale": {"correct_bias": False, "weight_scales": "tensor"},
    "one scale, biases": {"weight_scales": "tensor"},
    "one scale, equalised": {"correct_bias": False, "weight_scales": "tensor", "equalise": True},
    "one scale, equalised, biases": {"weight_scales": "tensor", "equalise": True},
    "one scale, adaptive rounding": {"weight_scales": "tensor", "rounding": "adaptive"},
    "one scale, equalised, adaptive rounding": {
        "weight_scales": "tensor",
        "equalise": True,
        "rounding": "adaptive",
    },
    "4 bits": {"weight_bits": 4},
    "4 bits, adaptive": {"weight_bits": 4, "rounding": "adaptive"},
    "4 bits, equalised, adaptive": {"weight_bits": 4, "equalise": True, "rounding": "adaptive"},
}


def main(mobilenet: str, squeezenet: str, folder: str, *ways: str) -> None:
    photographs = sorted(Path(folder).glob("*.jpg"))
    for (architecture, kind, image), weights in zip(NETWORKS, (mobilenet, squeezenet), strict=True):
        model = build(architecture, image.size, 1000, 0)
        load("weights", kind)(path=weights).load(model, architecture, None, whole=True)
        halves: dict[Split, Pictures] = {
            "train": _pictures(photographs[::2]),
            "test": _pictures(photographs[1::2]),
        }
        parts = read(halves, image)
        test = parts["test"]
        inputs = list(test.inputs(range(len(test)), 1))
        float_ = np.concatenate([model.predict_on_batch(one) for one in inputs])
        print(f"{architecture.key}: float {np.mean(float_.argmax(1) == test.labels):.3f}")
        for name, line in _lines(model, ways, parts["train"], inputs, float_, test.labels):
            print(f"| {name} | {line} |", flush=True)


def _pictures(paths: list[Path]) -> Pictures:
    labels = [int(path.name.split("_")[0]) for path in paths]
    return Pictures([path.name for path in paths], labels, lambda at: paths[at].read_bytes())


def _lines(
    model: Any, ways: Sequence[str], train: Examples, inputs: list[Any], float_: Any, labels: Any
) -> Iterator[tuple[str, str]]:
    for name in ways or WAYS:
        fields = WAYS[name]
        began = time.perf_counter()
        content = Int8(**fields).convert(model, train)
        seconds = time.perf_counter() - began
        found = TFLiteModel(content).logits(inputs)
        noise = 10 * np.log10(np.square(float_).sum() / np.square(found - float_).sum())
        top1 = np.mean(found.argmax(1) == labels)
        same = np.mean(found.argmax(1) == float_.argmax(1))
        yield name, f"{top1:.2f} | {same:.2f} | {noise:.1f} | {seconds:.0f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
