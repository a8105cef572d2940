"""What `predict` costs beside a bare LiteRT loop: whole processes, 1,000 photographs of 500 x 375.

    python benchmarks/predicting.py

MobileNetV2 0.35 at 96 px, int8. The bare loops decode, cut out and resize by Pillow as the contract
says, give the pixels to an interpreter of 2 threads and print the likeliest class: `loop` one
picture after the other, `pool` with a pool of 2 threads that decodes ahead. All take turns; quoted
are the medians over the rounds of `predict`'s ratio to each in the same round, in seconds and in
processor time, which is the steadier of the two on a busy machine. So is the most memory each took,
and `predict`'s on ten times as many pictures.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from memory import folder_of

from tflite_light.runs.importing import export

COUNT = 1000
ROUNDS = 5
MANY = 10  # times as many, for the memory
RECIPE = """
model: {mobilenet_v2: {alpha: 0.35}}
image: {size: 96}
data: {synthetic: {count: 60, number_of_classes: 10}}
export: [int8]
"""
BARE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

def decoded(path):
    picture = Image.open(path).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((96, 96), Image.Resampling.BILINEAR))

way, model, folder = sys.argv[1:]
interpreter = Interpreter(model, num_threads=2)
interpreter.allocate_tensors()
(taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
paths = sorted(Path(folder).iterdir())
pictures = map(decoded, paths) if way == "loop" else ThreadPoolExecutor(2).map(decoded, paths)
for path, pixels in zip(paths, pictures):
    interpreter.set_tensor(taken["index"], pixels[None])
    interpreter.invoke()
    print(path, interpreter.get_tensor(given["index"])[0].argmax(), flush=True)
"""


TIMED = """
import json, resource, subprocess, sys, time
start, out = time.perf_counter(), subprocess.DEVNULL
subprocess.run(sys.argv[1:], stdout=out, stderr=out, check=True)
seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""  # in a small process between: the memory of the one that starts another counts as its own
Spent = tuple[float, float, float]  # seconds, processor seconds, MiB at most


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "labels.txt").write_text("".join(f"pattern{number}\n" for number in range(10)))
        (home / "net.yaml").write_text(f"labels: {home / 'labels.txt'}\n{RECIPE}")
        (model,) = export(home / "net.yaml", out=home / "app")
        photos, more = home / "photos", home / "more"
        for folder, count in ((photos, COUNT), (more, MANY * COUNT)):
            folder.mkdir()
            folder_of(folder, count)
        kit = ["-m", "tflite_light", "predict", str(model)]
        ways = {
            "predict": [*kit, str(photos)],
            **{way: ["-c", BARE, way, str(model), str(photos)] for way in ("loop", "pool")},
        }
        rounds = [{name: spent(way) for name, way in ways.items()} for _ in range(ROUNDS)]
        show(rounds)
        _, _, peak = spent([*kit, str(more)])
        print(f"predict on {MANY * COUNT:,} pictures: {peak:.0f} MiB")


def spent(arguments: list[str]) -> Spent:
    """By a whole process, its start included."""
    command = [sys.executable, "-c", TIMED, sys.executable, *arguments]
    seconds, processor, kilobytes = json.loads(subprocess.check_output(command))
    return seconds, processor, kilobytes / 1024


def show(rounds: list[dict[str, Spent]]) -> None:
    for name in rounds[0]:
        seconds, processor, peak = (
            statistics.median(one[name][place] for one in rounds) for place in range(3)
        )
        print(f"{name}: {seconds:.2f} s, {processor:.2f} s of processor time, {peak:.0f} MiB")
    for name in list(rounds[0])[1:]:
        seconds, processor = (
            statistics.median(one["predict"][place] / one[name][place] for one in rounds)
            for place in range(2)
        )
        print(f"predict / {name}: {seconds:.2f}, in processor time {processor:.2f}")


if __name__ == "__main__":
    main()
