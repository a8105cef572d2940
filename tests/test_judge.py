"""Which epoch's weights a stage ends with: those whose file was best on validation pictures."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflite_light import recipe
from tflite_light.data.synthetic import Synthetic
from tflite_light.graph import checkpoint
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Data
from tflite_light.recipe import Recipe
from tflite_light.stack import keras
from tflite_light.training.judge import Judge
from tflite_light.training.objective import CrossEntropy
from tflite_light.training.phase import Phase, train_phase
from tflite_light.training.places import Places

PHASE = Phase("qat", CrossEntropy(), epochs=4, learning_rate=0.01)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Data]:
    path = tmp_path_factory.mktemp("judge") / "tiny.yaml"
    path.write_text(
        "model: {tiny: {width: 4}}\ndata: {synthetic: {count: 60, side: 32}}\nimage: {size: 32}\n"
        "train: {batch_size: 8}\nexport: [int8]\n"
    )
    checked = recipe.load(path, [])
    return checked, Synthetic(count=60, side=32).load(checked.image)


def kept(
    learnt: tuple[Recipe, Data], scores: list[float], places: Places, stop_after: int = 4
) -> tuple[int, list[float | None]]:
    """The epoch whose weights the phase ended with, and the history's figures."""
    model = Tiny(width=4).build((32, 32, 3), len(learnt[1].classes))
    found = iter(scores)
    seen: list[Any] = []

    def accuracy(model: Any) -> float:
        seen.append(checkpoint.weights_of(model))
        return next(found)

    callbacks = [Judge(accuracy)]
    phase = dataclasses.replace(PHASE, epochs=stop_after, callbacks=callbacks)
    history = train_phase(model, phase, *learnt, places, keras.callbacks.Callback())
    ended = checkpoint.weights_of(model)
    alike = [all(np.array_equal(ended[name], one[name]) for name in ended) for one in seen]
    return alike.index(True), [row["file_accuracy"] for row in history]


@pytest.mark.parametrize(
    ("scores", "epoch"),
    [([0.5, 0.9, 0.9, 0.1], 2), ([0.5, 0.6, 0.7, 0.8], 3), ([0.9, 0.1, 0.1, 0.1], 0)],
)
def test_the_best_file_s_epoch_is_kept_and_of_equals_the_last(
    learnt: tuple[Recipe, Data], tmp_path: Path, scores: list[float], epoch: int
) -> None:
    places = Places(tmp_path / "state.npz", tmp_path / "history.csv", tmp_path / "board")
    assert kept(learnt, scores, places) == (epoch, scores)
    column = [line.split(",")[6] for line in places.history.read_text().splitlines()]
    assert column == ["file_accuracy", *map(str, scores)]


def test_the_best_epoch_is_remembered_where_training_goes_on(
    learnt: tuple[Recipe, Data], tmp_path: Path
) -> None:
    """Its weights lie in the state beside those of the last epoch."""
    checked, data = learnt
    ends = []
    for name, stops in (("whole", [4]), ("resumed", [2, 4])):
        places = Places(tmp_path / name, tmp_path / f"{name}.csv", tmp_path / "board")
        judge = Judge(functools.partial(next_of, iter([0.2, 0.9, 0.3, 0.4])))
        for stop in stops:
            model = Tiny(width=4).build((32, 32, 3), len(data.classes))
            phase = dataclasses.replace(PHASE, callbacks=[judge, StopAfter(stop)])
            train_phase(model, phase, checked, data, places, keras.callbacks.Callback())
        ends.append(checkpoint.weights_of(model))
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


def next_of(scores: Iterator[float], model: Any) -> float:
    return next(scores)


class StopAfter(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, epochs: int):
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = epoch + 1 == self._epochs
