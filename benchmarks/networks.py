"""What every published variant costs: counted, exported and timed on this machine.

    make networks                                     # writes docs/networks.md
    python benchmarks/networks.py mobilenet_v2 96     # prints the variants with all these words

Files are exported from weights as they are drawn, with a handful of made-up pictures for
calibration: that decides neither their size nor their speed.
"""

import datetime
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import files
from tflite_light.contract import Image
from tflite_light.cost import of_model as cost_of_model
from tflite_light.data.synthetic import Synthetic
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models import Published
from tflite_light.pipeline.examples import Examples
from tflite_light.progress import say
from tflite_light.sockets import load, names
from tflite_light.stack import keras

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
CLASSES = 1000
CALIBRATION = 4  # pictures
SECONDS, RUNS = 1.0, 10  # at least, of each timing
COLUMNS = (
    "variant",
    "px",
    "parameters",
    "multiply-adds",
    "memory access, int8 MB",
    "int8 file, KB",
    "int8, ms",
    "float32, ms",
    "top-1",
    "source",
)
HEAD = """# Networks

What the published variants cost with 1000 classes. Parameters are the trained ones; multiply-adds
are those of convolutions and dense layers; memory access is all that the operators read and write
for one picture, as int8. Files are exported without training, so their size and speed are real and
their answers are not. Times are medians on one thread of LiteRT {litert} with XNNPACK, on {cpu},
{cores} cores, {date}. Top-1 is the float accuracy on ImageNet that the source published: it is not
measured here.

Written by `make networks`. `tflite-light inspect RECIPE` shows a network layer by layer.
"""


def main(words: list[str]) -> None:
    sections = [section for part in names("models") if (section := _section(part, words))]
    page = "\n".join([_head(), *sections])
    if words:
        print(page, end="")
    else:
        files.write(PAGE, page)


def _head() -> str:
    return HEAD.format(
        litert=version("ai-edge-litert"),
        cpu=_processor(),
        cores=os.cpu_count(),
        date=datetime.datetime.now(datetime.UTC).date(),
    )


def _section(part: str, words: list[str]) -> str:
    architecture: Any = load("models", part)
    variants = [
        variant
        for variant in architecture.published()
        if all(word in f"{part} {variant.variant} {variant.size}".split() for word in words)
    ]
    if not variants:
        return ""
    lines = [f"## {part}\n", _line(COLUMNS), _line("---" for _ in COLUMNS)]
    for variant in variants:
        say(f"{part} {variant.variant} at {variant.size}")
        lines.append(_line(_row(architecture(**variant.fields), variant)))
    return "\n".join([*lines, ""])


def _row(architecture: Any, variant: Published) -> list[str]:
    keras.backend.clear_session()
    model = architecture.build((variant.size, variant.size, 3), CLASSES)
    network = cost_of_model.network(model)
    int8 = Int8(calibration_images=CALIBRATION).convert(model, _pictures(variant.size))
    float32 = Float32().convert(model, _pictures(variant.size))
    return [
        variant.variant,
        str(variant.size),
        f"{network.parameters:,}",
        f"{network.multiply_adds:,}",
        f"{network.int8_bytes / 1e6:.2f}",
        f"{len(int8) / 1e3:,.0f}",
        f"{_latency_ms(int8):.2f}",
        f"{_latency_ms(float32):.2f}",
        "" if variant.top1 is None else f"{variant.top1:.3f}",
        variant.source,
    ]


def _pictures(size: int) -> Examples:
    return Synthetic(count=20, number_of_classes=2, side=size).load(Image(size=size)).train


def _latency_ms(content: bytes) -> float:
    model = TFLiteModel(content, threads=1)
    shape, dtype = model.input.shape[1:], model.input.dtype
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    model.answer(picture)
    times: list[float] = []
    while len(times) < RUNS or sum(times) < SECONDS:
        start = time.perf_counter()
        model.answer(picture)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _processor() -> str:
    """The model's name, where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
