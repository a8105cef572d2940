"""What the kit costs on top of Keras: an epoch of the main recipe against a bare `model.fit`.

    make bench

Both train the same network on the same pictures with the same optimizer and validate on the same
pictures; the bare one gets finished float tensors in memory. They take turns in one process, so
that the machine's moods strike both. Quoted are the median and the range of the rounds' ratios.
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
        return statistics.median(self.seconds[1:])


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
    rounds = []
    for number in range(ROUNDS):
        base = bare(plain, data)
        ratios = through_recipe(plain, data) / base, through_recipe(augmented, data) / base
        rounds.append(ratios)
        plainly, augmenting = ratios
        print(f"round {number + 1}: bare {base:.2f} s, {plainly:.3f}, augmented {augmenting:.3f}")
    for name, values in zip(("recipe", "augmented"), zip(*rounds, strict=True), strict=True):
        median = statistics.median(values)
        print(f"{name}: {median:.3f} times bare fit ({min(values):.3f} to {max(values):.3f})")


if __name__ == "__main__":
    main()
