"""What the kit costs on top of Keras: an epoch of the main recipe against a bare `model.fit`.

    make bench

All train the same network on the same pictures with the same optimizer and validate on the same
pictures; the bare one gets finished float tensors in memory. They take turns in one process, an
epoch each, so that the machine's moods, which swing by half within a minute, strike all alike.
Quoted is the median over the rounds of the ratio to the bare epoch of the same round, in seconds
and in processor time, which is the steadier of the two.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import recipe as recipes
from tflite_light.pipeline.batches import steps_per_epoch
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.recipe import Recipe
from tflite_light.stack import keras
from tflite_light.training import phase as train
from tflite_light.training.objective import CrossEntropy
from tflite_light.training.places import Places

MAIN = Path(__file__).parents[1] / "recipes" / "mobilenet_v2.yaml"
EPOCHS = 16
UNCOUNTED = 2  # first epochs, which build graphs and fill caches


class Turns:
    """Lets one of several runs go on at a time, in order."""

    def __init__(self, runs: int):
        self._runs, self._done, self._changed = runs, 0, threading.Condition()

    def take(self, run: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done % self._runs == run)

    def give(self) -> None:
        with self._changed:
            self._done += 1
            self._changed.notify_all()


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds and processor seconds of each epoch, validation and checkpoint included."""

    def __init__(self, turns: Turns, run: int):
        super().__init__()
        self._turns, self._run = turns, run
        self.epochs: list[tuple[float, float]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._turns.take(self._run)
        self._start = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        wall, processor = self._start
        self.epochs.append((time.perf_counter() - wall, time.process_time() - processor))
        self._turns.give()


def through_recipe(model: Any, recipe: Recipe, data: Data, clock: Clock) -> None:
    phase = train.Phase(
        "fit",
        CrossEntropy(recipe.training.label_smoothing),
        EPOCHS,
        0.004,
        1,
        recipe.training.average,
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        places = Places(home / "state.npz", home / "history.csv", home / "tensorboard")
        train.train_phase(model, phase, recipe, data, places, clock)


def bare(model: Any, recipe: Recipe, data: Data, clock: Clock) -> None:
    model.compile(
        keras.optimizers.AdamW(0.004, weight_decay=0.001),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        ["accuracy"],
    )
    size = recipe.training.batch_size
    count = steps_per_epoch(data.train, size) * size
    x, y = tensors(data.train, len(data.classes))
    validation = tensors(data.val, len(data.classes))
    model.fit(
        x[:count],
        y[:count],
        size,
        EPOCHS,
        verbose=0,
        callbacks=[clock],
        validation_data=validation,
    )


def tensors(examples: Examples, classes: int) -> tuple[Any, Any]:
    images = np.concatenate(list(examples.inputs(range(len(examples)))))
    return images, np.eye(classes, dtype=np.float32)[examples.labels]


def main() -> None:
    plain = recipes.load(MAIN, ["augment={}"])
    data = plain.source.load(plain.image)
    ways: dict[str, tuple[Callable[..., None], Recipe]] = {
        "bare": (bare, plain),
        "recipe": (through_recipe, plain),
        "recipe with augmentation": (through_recipe, recipes.load(MAIN)),
    }
    turns = Turns(len(ways))
    clocks = [Clock(turns, run) for run in range(len(ways))]
    shape = (plain.image.size, plain.image.size, 3)
    threads = [
        threading.Thread(
            target=way, args=(recipe.model.build(shape, len(data.classes)), recipe, data, clock)
        )
        for (way, recipe), clock in zip(ways.values(), clocks, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, clock in zip(ways, clocks, strict=True):
        rounds = zip(clock.epochs[UNCOUNTED:], clocks[0].epochs[UNCOUNTED:], strict=True)
        ratios = [(own[0] / base[0], own[1] / base[1]) for own, base in rounds]
        seconds, processor = (statistics.median(column) for column in zip(*ratios, strict=True))
        own = statistics.median(epoch[0] for epoch in clock.epochs[UNCOUNTED:])
        print(
            f"{name}: {own:.2f} s an epoch, {seconds:.3f} times bare, "
            f"in processor time {processor:.3f}"
        )


if __name__ == "__main__":
    main()
