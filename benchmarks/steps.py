"""What a training step inside a stage costs: ratios to a step of the float network.

    python benchmarks/steps.py            # MobileNetV2 0.35 at 96 px, as its recipe trains it
    python benchmarks/steps.py prune      # these stages alone

Every way trains the same network through `train_phase`, with all callbacks; they take turns in one
process, 8 steps each, so that a busy machine strikes all alike. Quoted are ratios of medians over
the turns, validation and checkpoint left out, in seconds and in processor time, which is the
steadier of the two. They all lie where sparsity rises, by a new mask every 7 steps as in the
recipe; pruning costs less in the last 0.4 of its steps. Pictures are synthetic, which does not
change a step.
"""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from epoch import MAIN, Turns

from tflite_light import recipe as recipes
from tflite_light.compress import Stage
from tflite_light.pipeline.batches import steps_per_epoch
from tflite_light.pipeline.examples import Data
from tflite_light.recipe import Recipe
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.training import phase as train
from tflite_light.training.objective import CrossEntropy
from tflite_light.training.places import Places

EPOCHS = 45  # of 8 steps: as many as 8 epochs of the recipe's pictures
PICTURES = 400  # of which 0.7 are trained on
UNCOUNTED, COUNTED = 2, 12  # turns; the first ones build graphs
BARS = {"prune": 1.15, "qat": 1.25}


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds and processor seconds of the steps of each epoch, up to its validation."""

    def __init__(self, turns: Turns, run: int):
        super().__init__()
        self._turns, self._run = turns, run
        self._supports_tf_logs = True
        self.epochs: list[tuple[float, float]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._turns.take(self._run)
        self._start = time.perf_counter(), time.process_time()

    def on_test_begin(self, logs: Any = None) -> None:
        wall, processor = self._start
        self.epochs.append((time.perf_counter() - wall, time.process_time() - processor))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = len(self.epochs) == UNCOUNTED + COUNTED
        self._turns.give()


def begun(stage: Stage | None, recipe: Recipe, data: Data) -> tuple[Any, list[Any]]:
    """A model to train, and the callbacks of its stage."""
    shape = (recipe.image.size, recipe.image.size, 3)
    model = recipe.model.build(shape, len(data.classes))
    if stage is None:
        return model, []
    plan = {**stage.plan(model, data), "kept": []}
    wrapped = stage.wrap(model, plan, EPOCHS * steps_per_epoch(data.train, 32))
    stage.prepare(wrapped, model, plan, data.train)
    return wrapped, stage.callbacks(wrapped, plan)


def trained(
    model: Any, callbacks: list[Any], name: str, recipe: Recipe, data: Data, clock: Clock
) -> None:
    objective = CrossEntropy(recipe.training.label_smoothing)
    phase = train.Phase(name, objective, EPOCHS, 0.0005, callbacks=callbacks)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        places = Places(home / "state.npz", home / "history.csv", home / "tensorboard")
        train.train_phase(model, phase, recipe, data, places, clock)


def main(names: list[str]) -> None:
    recipe = recipes.load(MAIN, [f"data.synthetic.count={PICTURES}"])
    data = recipe.source.load(recipe.image)
    stages = {"float": None} | {name: load("compress", name)() for name in names}
    turns = Turns(len(stages))
    clocks = [Clock(turns, run) for run in range(len(stages))]
    threads = [
        threading.Thread(
            target=trained, args=(*begun(stage, recipe, data), name, recipe, data, clock)
        )
        for (name, stage), clock in zip(stages.items(), clocks, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps = steps_per_epoch(data.train, recipe.training.batch_size)
    base = medians(clocks[0])
    for name, clock in zip(stages, clocks, strict=True):
        wall, processor = medians(clock)
        bar = f", bar {BARS[name]}" if name in BARS else ""
        print(
            f"{name}: {1e3 * wall / steps:.1f} ms a step, {wall / base[0]:.3f} times float, in "
            f"processor time {processor / base[1]:.3f}{bar}"
        )


def medians(clock: Clock) -> list[float]:
    """Seconds and processor seconds of an epoch."""
    columns = zip(*clock.epochs[UNCOUNTED:], strict=True)
    return [statistics.median(column) for column in columns]


if __name__ == "__main__":
    main(sys.argv[1:] or ["prune", "cluster", "qat"])
