"""A run that was killed, at whatever moment of whatever phase, goes on to the same bits."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import killing
import numpy as np
import pytest
from conftest import Call, as_json, complaint
from killing import MOMENTS, kill_at

from tflite_light.graph import checkpoint
from tflite_light.sockets import load, names
from tflite_light.stack import keras, tf
from tflite_light.training.noise import Noise
from tflite_light.weights.npz import Npz

SLOW = pytest.mark.slow
STAGES = names("compress")
RECIPE: dict[str, Any] = {
    "model": {"tiny": {"width": 8}},
    "data": {"synthetic": {"count": 60, "number_of_classes": 3, "side": 32}},
    "image": {"size": 32},
    "augment": {"translate": 0.1, "contrast": 0.2},
    "train": {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "warmup_epochs": 1},
}
PAPERS: dict[str, dict[str, Any]] = {  # keys of train, and what they add to a state
    "rmsprop": {
        "optimizer": "rmsprop",
        "schedule": {"factor": 0.9, "every_epochs": 0.5},
        "patience": 5,
    },
    "sgd": {"optimizer": "sgd", "schedule": "linear", "average": 0.9},
}


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, nothing is cleaned up."""


def recipe(folder: Path, stage: str = "", **train: Any) -> Path:
    """Two epochs of fitting, and two of a stage, as a file."""
    compress = []
    if stage:
        fields = load("compress", stage).example(Path()).model_dump(exclude_defaults=True)
        compress = [{stage: {**fields, "epochs": 2}}]
    content = RECIPE | {"compress": compress, "export": ["int8"] if stage else ["float32"]}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(content | {"train": {**RECIPE["train"], **train}}))
    return path


def require_equal(run: Path, whole: Path) -> None:
    """The same plans, files, history and weights of every phase, and no more."""
    for pattern in ("checkpoints/*.json", "exports/*.tflite"):
        assert contents(run, pattern) == contents(whole, pattern)
    assert contents(run, "exports/*.tflite")
    assert history(run) == history(whole)
    weights = sorted((whole / "checkpoints").glob("*.npz"))
    assert {path.name for path in weights} == {p.name for p in (run / "checkpoints").glob("*.npz")}
    for path in weights:
        expected, _ = checkpoint.read(path)
        found, _ = checkpoint.read(run / "checkpoints" / path.name)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def contents(run: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.glob(pattern)}


def history(run: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize(
    ("phase", "moment"),
    [
        ("fit", "after an epoch"),
        pytest.param("qat", "before its end", marks=SLOW),
        pytest.param("channels", "before an epoch", marks=SLOW),
    ],
)
def test_a_killed_run_goes_on_to_the_same_weights_and_files(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, moment: str
) -> None:
    path = recipe(tmp_path, phase if phase != "fit" else "")
    as_json(call("train", path, "--name", "whole", "--json"))
    end_at(call, monkeypatch, phase, moment, path, "--name", "killed")
    as_json(call("train", "runs/killed", "--resume", "--json"))
    require_equal(Path("runs/killed"), Path("runs/whole"))


@pytest.mark.parametrize("how", ["sgd", pytest.param("rmsprop", marks=SLOW)])
def test_a_papers_schedule_too_goes_on_to_the_same_weights(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = recipe(tmp_path, **PAPERS[how])
    as_json(call("train", path, "--name", "whole", "--json"))
    end_at(call, monkeypatch, "fit", "after an epoch", path, "--name", "killed")
    as_json(call("train", "runs/killed", "--resume", "--json"))
    require_equal(Path("runs/killed"), Path("runs/whole"))


def test_a_run_that_has_no_epoch_yet_goes_on_with_the_weights_of_its_start_alone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = recipe(tmp_path), Npz.example(tmp_path)
    arrays = dict(np.load(given.path))
    start = {"model": {"tiny": {"width": 4}}, "weights": {"npz": {"path": given.path}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | start))
    end_at(call, monkeypatch, "fit", "before an epoch", path, "--name", "killed")
    np.savez(given.path, **{name: array + 1 for name, array in arrays.items()})
    message = complaint(call("train", "runs/killed", "--resume"))
    assert f"weights {given.path} are not those that runs/killed was started with" in message
    np.savez(given.path, **arrays)
    end_at(call, monkeypatch, "fit", "after an epoch", "runs/killed", "--resume")
    Path(given.path).unlink()  # by now the checkpoint has them
    as_json(call("train", "runs/killed", "--resume", "--json"))


@pytest.mark.parametrize(
    "kind", ["Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"]
)
def test_what_an_epoch_drops_does_not_depend_on_those_before_it(kind: str) -> None:
    """By the losses of a network that does not learn."""

    def losses(epochs: range) -> list[float]:
        given = keras.Input((4, 4, 8))
        dropped = getattr(keras.layers, kind)(0.5)(given)
        model = keras.Model(given, keras.layers.Lambda(lambda one: one[:, 0, 0])(dropped))
        model.compile(keras.optimizers.SGD(0), lambda _, answers: answers**2)
        ends = {"initial_epoch": epochs.start, "epochs": epochs.stop, "callbacks": [Noise(seed=5)]}
        pictures = np.ones((32, 4, 4, 8), np.float32)
        return list(model.fit(pictures, pictures, 8, verbose=0, **ends).history["loss"])

    whole = losses(range(4))
    assert len(set(whole)) == 4
    assert losses(range(2, 4)) == whole[2:]


@pytest.mark.parametrize("module", [np.random.default_rng, tf.random.Generator.from_seed])
def test_a_layer_may_draw_from_a_generator_of_its_own(module: Any) -> None:
    """Only Keras' is replaced: others by its name have no counter to set."""
    dropout, own = keras.layers.Dropout(0.5), keras.layers.Layer()
    own._random_generator = generator = module(0)
    noise, before = Noise(seed=5), dropout._random_generator
    noise.set_model(keras.Sequential([keras.Input(4), dropout, own]))
    noise.on_train_begin()
    noise.on_epoch_begin(0)
    assert own._random_generator is generator
    assert dropout._random_generator is not before


def end_at(
    call: Call, monkeypatch: pytest.MonkeyPatch, phase: str, moment: str, *arguments: object
) -> None:
    def stop() -> None:
        raise Killed

    with monkeypatch.context() as patch:
        kill_at(patch, phase, moment, stop)
        with pytest.raises(Killed):
            call("train", *arguments)


@SLOW
@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_every_moment_of_a_stage_it_ends_with_the_same_bits(
    stage: str, call: Call, tmp_path: Path
) -> None:
    """By SIGKILL, four times one after another, each in a process of its own."""
    path = recipe(tmp_path, stage)
    as_json(call("train", path, "--name", "whole", "--json"))
    arguments: tuple[object, ...] = ("train", path, "--name", "killed")
    for moment in MOMENTS:
        command = [sys.executable, killing.__file__, stage, moment, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        states = {path.name for path in (tmp_path / "runs/killed/checkpoints").iterdir()}
        assert (f"{stage}.state.npz" in states) == (moment != "before an epoch")
        assert f"{stage}.plan.json" in states
        assert f"{stage}.npz" not in states
        arguments = ("train", "runs/killed", "--resume")
    as_json(call(*arguments, "--json"))
    require_equal(Path("runs/killed"), Path("runs/whole"))
