"""What half of the multiply-adds is worth in a file: latency of thinned and of whole networks.

    python benchmarks/channels.py                     # every architecture at 224 px
    python benchmarks/channels.py squeezenet 0.3      # one, to three tenths

Weights are as drawn, so the channels that go are chosen by their filters' norms; the logits of a
trained network choose others. The two files of each row are made for a CPU, and timed in turn, one
thread.
"""

import sys
from typing import Any

from tflite_light.compress._latency import medians_ms
from tflite_light.compress.channels import Channels
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.lowering import lowered
from tflite_light.pipeline.examples import Examples
from tflite_light.progress import say
from tflite_light.sockets import load, names
from tflite_light.stack import keras

SIZE, CLASSES = 224, 1000
CALIBRATION = 4  # pictures


def main(words: list[str]) -> None:
    stage = Channels(keep=float(words[1])) if len(words) > 1 else Channels()
    pictures = Synthetic(count=20, number_of_classes=2, side=SIZE).load(Image(size=SIZE)).train
    drawn = [name for name in names("models") if not load("models", name).brings_weights]
    for part in words[:1] or drawn:
        keras.backend.clear_session()
        model = load("models", part)().build((SIZE, SIZE, 3), CLASSES)
        say(f"{part}: removing channels")
        plan = stage.plan(model, None)
        _report(part, [model, stage.wrap(model, plan, steps=1)], plan, pictures)


def _report(part: str, models: list[Any], plan: dict[str, Any], pictures: Examples) -> None:
    shares = [after / before for before, after in (plan["multiply_adds"], plan["parameters"])]
    print(f"{part}: {shares[0]:.3f} of the multiply-adds, {shares[1]:.3f} of the parameters")
    for mode in (Float32(target="cpu"), Int8(target="cpu", calibration_images=CALIBRATION)):
        contents = [mode.convert(one, pictures) for one in models]
        whole, thinned = medians_ms([lowered(one, mode.target, lambda _: True) for one in contents])
        print(
            f"  {mode.key}: {whole:.2f} ms -> {thinned:.2f} ms, {thinned / whole:.2f}", flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])
