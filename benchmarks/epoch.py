"""What the kit costs on top of Keras: an epoch of the main recipe against a bare `model.fit`.

    make bench

Both train the same network on the same pictures with the same optimizer and validate on the same
pictures; the bare one gets finished float tensors in memory. They take turns in one process, so
that the machine's moods strike both. A turn counts by its fastest epoch, since what disturbs a
machine only ever slows it; quoted are the median of the turns' ratios and that of the fastest.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import recipe as recipes
from tflite_light import train
from tflite_light.data import _pipeline as pipeline
from tflite_light.recipe import Recipe
from tflite_light.stack import keras

MAIN = Path(__file__).parents[1] / "recipes" / "mobilenet_v2.yaml"
ROUNDS, EPOCHS = 3, 5  # the first epoch of each turn builds the graph and is not counted


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds of each epoch, its validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)

    def epoch(self) -> float:
        return min(self.seconds[1:])


def build(recipe: Recipe, data: pipeline.Data) -> Any:
    size = recipe.image.size
    return recipe.model.build((size, size, 3), len(data.classes))


def through_recipe(recipe: Recipe, data: pipeline.Data) -> float:
    phase = train.Phase("fit", EPOCHS, 0.004, 1, recipe.train.average)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        train.fit(build(recipe, data), phase, recipe, data, Path(folder), clock)
    return clock.epoch()


def bare(recipe: Recipe, data: pipeline.Data) -> float:
    model, clock = build(recipe, data), Clock()
    model.compile(
        keras.optimizers.AdamW(0.004, weight_decay=0.001),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        ["accuracy"],
    )
    steps = pipeline.steps_per_epoch(data.train, recipe.train.batch_size)
    count = steps * recipe.train.batch_size
    x, y = tensors(data.train, len(data.classes))
    validation = tensors(data.val, len(data.classes))
    model.fit(
        x[:count],
        y[:count],
        recipe.train.batch_size,
        EPOCHS,
        verbose=0,
        callbacks=[clock],
        validation_data=validation,
    )
    return clock.epoch()


def tensors(examples: pipeline.Examples, classes: int) -> tuple[Any, Any]:
    images = np.concatenate(list(examples.inputs(range(len(examples)))))
    return images, np.eye(classes, dtype=np.float32)[examples.labels]


def main() -> None:
    plain = recipes.load(MAIN, ["augment={}"])
    augmented = recipes.load(MAIN)
    data = pipeline.load(plain.data, plain.image)
    ways = {
        "bare": lambda: bare(plain, data),
        "recipe": lambda: through_recipe(plain, data),
        "recipe with augmentation": lambda: through_recipe(augmented, data),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            seconds[way].append(run())
            print(f"{way}: {seconds[way][-1]:.2f} s an epoch", flush=True)
    for way in ways:
        ratios = [one / base for one, base in zip(seconds[way], seconds["bare"], strict=True)]
        fastest = min(seconds[way]) / min(seconds["bare"])
        print(
            f"{way}: {statistics.median(ratios):.3f} times bare, fastest to fastest {fastest:.3f}"
        )


if __name__ == "__main__":
    main()
