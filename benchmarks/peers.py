"""The kit's files beside those of litert-torch and its quantizer: the same networks, in one run.

    python benchmarks/peers.py FOLDER [ROUNDS]

FOLDER gets an environment of its own for PyTorch (`env`, 7 GB), the files of both sides, and
`peers.md` and `peers.json`. What is there already is not made again: a second call only measures,
and a folder with all files can be carried to another computer and timed there.

Networks are those of torchvision, timm and pytorchcv at 224 px with 1000 classes, and ours in the
variants that equal them; weights are as they are drawn, which decides neither size nor speed. Both
sides take NHWC pictures, and their int8 files have int8 at both ends; ours are lowered for the CPU.
Times are those of `tflite-light benchmark`: one thread, an inference of each file after the other,
and so is the yardstick.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from peers_torch import KINDS, NETWORKS, PACKAGES, PICTURES, SIZE, file_of

from tflite_light import files
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.export import Mode
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.graph.build import build
from tflite_light.measure import yardstick
from tflite_light.pipeline.examples import Data
from tflite_light.progress import say
from tflite_light.runs.benchmarking import Benchmark, benchmark
from tflite_light.runs.making import make
from tflite_light.sockets import load
from tflite_light.stack import keras

FIELDS: dict[str, dict[str, Any]] = {  # which make a part the network of the same name there
    "squeezenet": {"version": "1.1"},
    "mobilenet_v1": {"variant": "torch"},
    "mobilenet_v2": {"variant": "torch"},
    "ghostnet": {},
    "shufflenet_v1": {"groups": 3},
    "shufflenet_v2": {"variant": "torchvision"},
    "xception": {"variant": "torch"},
}
MODES: dict[str, Mode] = {
    "float32": Float32(target="cpu"),
    "int8": Int8(target="cpu", io="int8", calibration_images=PICTURES),
}
CLASSES = 1000
ROUNDS = 100
COLUMNS = (
    "network",
    "type",
    "ours, ms",
    "theirs, ms",
    "ours / theirs",
    "ours / yardstick",
    "theirs / yardstick",
    "operators, ours",
    "operators, theirs",
    "KB, ours",
    "KB, theirs",
)
HEAD = """# The kit's files and its peers'

Milliseconds for a picture of {size} x {size}, inference alone: medians of {rounds} in turn on one
thread, {runtime}. The yardstick is {yardstick}:
{yardstick_ms:.2f} ms. Theirs: {packages}.

"""
Row = dict[str, Any]


def main(folder: str, rounds: str = str(ROUNDS)) -> None:
    home = Path(folder)
    make_theirs(home)
    make_ours(home)
    base = home / "yardstick.tflite"
    if not base.exists():
        files.write(base, yardstick.content())
    paths = [path for pair in _pairs(home) for path in pair if path.exists()]
    found = benchmark(paths, [1], base, runs=int(rounds))
    rows = [_row(found, *pair) for pair in _pairs(home) if all(path.exists() for path in pair)]
    result = {
        "runtime": found.runtime,
        "packages": PACKAGES,
        "rounds": int(rounds),
        "yardstick_ms": next(row.ms for row in found.rows if row.file == found.against),
        "rows": rows,
    }
    page = _page(result)
    files.write_all({home / "peers.json": json.dumps(result, indent=1), home / "peers.md": page})
    print(page, end="")


def make_theirs(home: Path) -> None:
    missing = [name for name in NETWORKS if _missing(home, "theirs", name)]
    if missing:
        script = Path(__file__).with_name("peers_torch.py")
        command = [_environment(home / "env"), str(script), str(home), *missing]
        subprocess.run(command, check=True)


def _environment(folder: Path) -> str:
    """Its interpreter. Versions are exact, so that figures can be told apart by them."""
    python, done = str(folder / "bin" / "python"), folder / ".done"
    if not done.exists():
        say(f"installing {', '.join(PACKAGES)}: some minutes")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.touch()
    return python


def make_ours(home: Path) -> None:
    data = Synthetic(count=20, number_of_classes=2, side=SIZE).load(Image(size=SIZE))
    for name in NETWORKS:
        if missing := _missing(home, "ours", name):
            say(f"making {name}")
            model = _settled(build(load("models", name)(**FIELDS[name]), SIZE, CLASSES, 0), data)
            for kind in missing:
                path = file_of(home, "ours", name, kind)
                files.write(path, make(MODES[kind], model, data, [], path))


def _settled(model: Any, data: Data) -> Any:
    """With batch norms as theirs. Without, biases are all 0, and the file has them but once."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(next(data.train.inputs(data.train.sample(PICTURES))), training=True)
    return model


def _missing(home: Path, side: str, name: str) -> list[str]:
    return [kind for kind in KINDS if not file_of(home, side, name, kind).exists()]


def _pairs(home: Path) -> Iterator[tuple[Path, Path]]:
    for name in NETWORKS:
        for kind in KINDS:
            yield file_of(home, "ours", name, kind), file_of(home, "theirs", name, kind)


def _row(found: Benchmark, ours: Path, theirs: Path) -> Row:
    network, kind = ours.stem.removesuffix("_ours").rsplit("_", 1)
    own, other = (_side(found, path) for path in (ours, theirs))
    return {
        "network": network,
        "type": kind,
        "ours": own,
        "theirs": other,
        "ratio": own["ms"] / other["ms"],
    }


def _side(found: Benchmark, path: Path) -> dict[str, Any]:
    (timed,) = (row for row in found.rows if row.file == str(path))
    return {
        "ms": timed.ms,
        "to_yardstick": timed.ratio,
        "operators": found.operators[str(path)],
        "size_bytes": path.stat().st_size,
    }


def _page(result: dict[str, Any]) -> str:
    head = HEAD.format(
        **{**result, "packages": ", ".join(PACKAGES).replace("==", " ")},
        size=SIZE,
        yardstick=yardstick.NAME,
    )
    rows = map(_cells, result["rows"])
    lines = [_line(cells) for cells in (COLUMNS, ("---",) * len(COLUMNS), *rows)]
    return head + "".join(f"{line}\n" for line in lines)


def _cells(row: Row) -> list[str]:
    sides = row["ours"], row["theirs"]
    return [
        row["network"],
        row["type"],
        *(f"{side['ms']:.2f}" for side in sides),
        f"{row['ratio']:.3f}",
        *(f"{side['to_yardstick']:.3f}" for side in sides),
        *(str(side["operators"]) for side in sides),
        *(f"{side['size_bytes'] / 1e3:,.0f}" for side in sides),
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(*sys.argv[1:])
