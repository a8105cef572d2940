"""What an int8 export costs beside TensorFlow's bare converter: a ratio of medians.

    python benchmarks/converting.py

The same network, MobileNetV2 0.35 at 96 px, and the same 200 pictures, in memory for both; they
take turns in one process. Measuring accuracy is apart. Quoted is the processor time, too, which is
the steadier of the two on a busy machine.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

from tflite_light.contract import Image
from tflite_light.data.sign_digits import SignDigits
from tflite_light.export.int8 import Int8
from tflite_light.graph.build import build
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.stack import keras, quiet, tf
from tflite_light.tflite.file import File

TURNS = 5  # the first of which is not counted


def main() -> None:
    examples = SignDigits().load(Image(size=96)).train
    model = build(MobileNetV2(alpha=0.35), 96, 10, 0)
    for norm in model.layers:
        if isinstance(norm, keras.layers.BatchNormalization):
            norm.momentum = 0.0
    model(next(examples.inputs(examples.sample(64))), training=True)
    mode, found = Int8(), list[tuple[list[float], list[float]]]()
    pictures = [[one] for one in examples.inputs(mode.calibrated_on(model, examples) or [], 1)]
    for _ in range(TURNS):
        found.append(
            (timed(lambda: kit(mode, model, examples)), timed(lambda: bare(model, pictures)))
        )
    for place, unit in enumerate(("seconds", "processor seconds")):
        ours, theirs = (
            statistics.median(turn[side][place] for turn in found[1:]) for side in (0, 1)
        )
        print(f"{unit}: kit {ours:.1f}, converter {theirs:.1f}, ratio {ours / theirs:.2f}")


def kit(mode: Int8, model: Any, examples: Any) -> None:
    mode.check(File(mode.convert(model, examples)))


def bare(model: Any, pictures: list[Any]) -> None:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: pictures
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        converter.convert()


def timed(work: Callable[[], None]) -> list[float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return [time.perf_counter() - wall, time.process_time() - processor]


if __name__ == "__main__":
    main()
