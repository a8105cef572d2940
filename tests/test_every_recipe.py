"""Every file under `recipes/`: what it is called, what its head says, and the papers' schedules."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, networks

from tflite_light import recipe as recipes
from tflite_light.graph.build import build
from tflite_light.recipe import Recipe
from tflite_light.runs.folder import FIT, Run
from tflite_light.runs.phases import phase_of
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.training.phase import rate, train_phase

FOLDER = ROOT / "recipes"
RECIPES = sorted(FOLDER.rglob("*.yaml"))
ARCHITECTURES = [  # those of a paper
    name for name in networks() if load("models", name).published()[0].source
]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_recipe_is_named_after_its_model_and_its_head_has_its_command(path: Path) -> None:
    model = recipes.load(path).model.key
    assert path.stem == model or path.stem.startswith(f"{model}_"), f"name it {model}.yaml"
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    command = f"tflite-light train {path.relative_to(ROOT)}"
    assert any(line.endswith(command) for line in head), f"its head needs a line: #   {command}"


@pytest.mark.parametrize("folder", ["recipes", "recipes/imagenet"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_a_recipe(name: str, folder: str) -> None:
    assert (ROOT / folder / f"{name}.yaml").exists(), f"add {folder}/{name}.yaml"


def imagenet(name: str, *changes: str) -> Recipe:
    return recipes.load(FOLDER / "imagenet" / f"{name}.yaml", changes)


def rate_of(recipe: Recipe, steps: int) -> Any:
    return rate(phase_of(Run(Path("none"), recipe), FIT, 64_000, None), steps)


def cosine(share: float) -> float:
    return 0.2 * (1 + math.cos(math.pi * share))


SCHEDULES = {  # epochs, and the rate at 0, 5 epochs, half of them, and the last of 1000 steps each
    "squeezenet": (68, 0.04, 0.04 * 63 / 68, 0.02, 0.04 / 68_000),
    "xception": (100, 0.045, 0.045 * 0.94**2, 0.045 * 0.94**25, 0.045 * 0.94**49),
    "mobilenet_v1": (125, 0.045, 0.045 * 0.94**2, 0.045 * 0.94**25, 0.045 * 0.94**49),
    "mobilenet_v2": (412, 0.045, 0.045 * 0.98**2, 0.045 * 0.98**82, 0.045 * 0.98**164),
    "shufflenet_v1": (240, 0.5, 0.5 * 235 / 240, 0.25, 0.5 / 240_000),
    "shufflenet_v2": (240, 0.5, 0.5 * 235 / 240, 0.25, 0.5 / 240_000),
    "ghostnet": (400, 0.0, 0.4, cosine(195 / 395), cosine(394_999 / 395_000)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_is_the_papers_over_the_whole_length(name: str) -> None:
    epochs, *expected = SCHEDULES[name]
    recipe = imagenet(name)
    assert recipe.training.epochs == epochs
    rates = rate_of(recipe, steps=1000)
    steps = (0, 5000, epochs * 500, epochs * 1000 - 1)
    assert [float(rates(step)) for step in steps] == pytest.approx(expected, rel=1e-3, abs=1e-9)


SECOND = {  # rate of the second of two steps, where an epoch has two and there is only one
    "squeezenet": 0.02,
    "xception": 0.045,
    "mobilenet_v1": 0.045,
    "mobilenet_v2": 0.045,
    "shufflenet_v1": 0.25,
    "shufflenet_v2": 0.25,
    "ghostnet": 0.04,  # a tenth of the warm-up
}
SMALL = ("data.synthetic.count=20", "image.size=64", "train.epochs=1", "train.batch_size=7")


class Rates(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the rate of each step, as the optimizer used it."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.found: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.found.append(float(self.model.optimizer.learning_rate))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULES)
def test_two_steps_of_a_papers_recipe_train(name: str, tmp_path: Path) -> None:
    recipe = imagenet(name, *SMALL)
    data = recipe.source.load(recipe.image)
    model = build(recipe.model, recipe.image.size, len(data.classes), recipe.seed)
    before = [weight.numpy() for weight in model.trainable_variables]
    rates = Rates()
    phase = phase_of(Run(tmp_path, recipe), FIT, len(data.train), None)
    (row,) = train_phase(model, phase, recipe, data, Run(tmp_path, recipe).places(FIT), rates)
    assert rates.found == pytest.approx([SCHEDULES[name][1], SECOND[name]])
    assert np.isfinite(row["loss"])
    assert np.isfinite(row["val_loss"])
    after = [weight.numpy() for weight in model.trainable_variables]
    moved = [not np.array_equal(a, b) for a, b in zip(after, before, strict=True)]
    assert np.mean(moved) > 0.9
    assert all(np.isfinite(weight).all() for weight in after)
