"""A phase on several devices, or several machines, is the same training."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import devices
import numpy as np
import pytest
from conftest import Call, as_json, complaint

from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.graph.copied import in_precision
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import evaluation, evaluation_steps, training
from tflite_light.recipe.train import Train
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.training import distribution
from tflite_light.training.journal import Journal
from tflite_light.training.places import Places

SLOW = pytest.mark.slow
PLAIN = Augment()
PHASES = ["fit", "prune", "qat"]
RECIPE: dict[str, Any] = {
    "model": {"tiny": {"width": 8}},
    "data": {"synthetic": {"count": 240, "number_of_classes": 3, "side": 32}},
    "image": {"size": 32},
    "train": {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "warmup_epochs": 1},
    "compress": [{"prune": {"epochs": 2}}, {"qat": {"epochs": 2}}],
    "export": ["int8"],
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(RECIPE | changes))
    return path


def of(shares: tuple[range, int], epochs: range = range(2), augment: Augment = PLAIN) -> list[Any]:
    train = Synthetic(count=60, side=32).load(Image(size=32)).train
    batches = training(train, 4, 8, augment, 5, epochs, shares)
    return [(inputs.numpy(), labels.numpy()) for inputs, labels in batches]


def test_parts_of_two_workers_are_the_batches_of_one() -> None:
    whole, parts = of((range(1), 1)), [of((range(i, i + 1), 2)) for i in range(2)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == 10
    for batch, one, other in zip(whole, *parts, strict=True):
        for side in range(2):
            assert np.array_equal(batch[side], np.concatenate([one[side], other[side]]))


def test_parts_of_two_devices_of_one_process_come_in_turn() -> None:
    both, parts = of((range(2), 2)), [of((range(i, i + 1), 2)) for i in range(2)]
    assert len(both) == 20
    for index, pair in enumerate(zip(*parts, strict=True)):
        for side, part in enumerate(pair):
            assert np.array_equal(both[2 * index + side][0], part[0])


def test_parts_are_augmented_each_in_its_own_way_and_anew_after_a_resume() -> None:
    augment = Augment(brightness=0.5)
    parts = [of((range(i, i + 1), 2), augment=augment) for i in range(2)]
    plain = [of((range(i, i + 1), 2))[0][0] for i in range(2)]
    one, other = (float((part[0][0] - was).mean()) for part, was in zip(parts, plain, strict=True))
    assert abs(one - other) > 1e-3
    resumed = of((range(1, 2), 2), range(1, 2), augment)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(parts[1][5:], resumed, strict=True))


@pytest.mark.parametrize("devices", [1, 2, 3, 8])
def test_every_validation_picture_is_seen_once_whatever_devices_there_are(devices: int) -> None:
    val = Synthetic(count=1000, side=32).load(Image(size=32)).val
    seen = [list(evaluation(val, 4, (range(i, i + 1), devices))) for i in range(devices)]
    assert {len(one) for one in seen} == {evaluation_steps(val, (range(1), devices))}
    inputs = np.concatenate([batch[0] for one in seen for batch in one])
    assert len(inputs) == len(val) == 100
    assert len(np.unique(inputs.reshape(100, -1), axis=0)) == 100


WRONG = {
    "{": "TF_CONFIG is no JSON",
    "[1]": "TF_CONFIG is no JSON object",
    '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}}': "a cluster of worker, ps, but workers",
    '{"cluster": {"worker": "host:1"}}': "TF_CONFIG: its cluster is {'worker': 'host:1'}.",
    '{"cluster": {"worker": [1, 2]}}': "TF_CONFIG: its cluster is {'worker': [1, 2]}.",
    '{"cluster": {"worker": ["a:1", "b:1"]}, "task": null}': "TF_CONFIG: its task is None",
    '{"cluster": {"worker": ["a:1", "b:1"]}}': "TF_CONFIG: its task is None",
    '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}': "task worker 2 is not in the cluster",
    '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "0"}}': "TF_CONFIG: its task is",
}  # fmt: skip


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    distribution._cluster.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    distribution._cluster.cache_clear()


@pytest.mark.parametrize("text", WRONG)
def test_a_cluster_that_cannot_be_is_refused(
    text: str, call: Call, tmp_path: Path, config: pytest.MonkeyPatch
) -> None:
    config.setenv("TF_CONFIG", text)
    assert WRONG[text] in complaint(call("train", written(tmp_path)))
    assert not Path("runs").exists()


def test_the_first_of_a_cluster_writes_be_it_called_chief_or_worker(
    config: pytest.MonkeyPatch,
) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for kind, index, number in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        task = {"type": kind, "index": index}
        config.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        assert distribution._index() == number
        assert distribution.writes() == (kind == "chief")
        assert distribution.workers() == 3


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "shares", lambda: (range(3), 3))
    distribution.require_divisible(33, 100)
    with pytest.raises(UserError, match="32 pictures cannot be given to 3 devices") as raised:
        distribution.require_divisible(32, 100)
    assert (
        raised.value.hint == "Set it to 30 or 33, or any other multiple of 3 that is 100 at most."
    )
    with pytest.raises(UserError, match="5 pictures cannot be given to 3 devices") as raised:
        distribution.require_divisible(32, 5)
    assert raised.value.hint == "Set it to 3, or any other multiple of 3 that is 5 at most."
    with pytest.raises(UserError, match="2 pictures cannot be given to 3 devices") as raised:
        distribution.require_divisible(32, 2)
    assert raised.value.hint == "Train on fewer devices, or on more pictures."


def test_xla_compiles_long_fits_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiles(steps: int, jit_compile: bool | None = None) -> bool:
        return distribution.jit_compiles(Train(jit_compile=jit_compile), steps)

    monkeypatch.setattr(distribution, "accelerators", lambda: [])
    assert not compiles(10**6)
    monkeypatch.setattr(distribution, "accelerators", lambda: ["GPU:0"])
    assert compiles(5_000)
    assert not compiles(4_999)
    assert compiles(1, jit_compile=True)
    assert not compiles(10**6, jit_compile=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "phases"), [("mixed_float16", ["fit"]), ("mixed_bfloat16", PHASES)]
)
def test_float_phases_compute_in_the_recipe_s_precision(
    precision: str, phases: list[str], call: Call, tmp_path: Path
) -> None:
    train = {**RECIPE["train"], "precision": precision, "jit_compile": True}
    stages = RECIPE["compress"] if "qat" in phases else []
    report = as_json(call("train", written(tmp_path, train=train, compress=stages), "--json"))
    assert [row["name"] for row in report["rows"]] == [*phases, "int8"]
    assert report["rows"][-1]["top1"] >= 0.9
    arrays, _ = checkpoint.read(Path(report["run"]) / "checkpoints" / "fit.npz")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_the_scale_of_losses_goes_on_where_training_stopped(tmp_path: Path) -> None:
    """It follows the steps before, and is none of the optimizer's own variables in Keras 2."""
    found = []
    for scale in (512.0, 32_768.0):
        model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,), name="dense")])
        inner = keras.optimizers.SGD()
        optimizer = keras.mixed_precision.LossScaleOptimizer(inner, initial_scale=scale)
        model.compile(optimizer, "mse")
        optimizer.build(model.trainable_variables)
        places = Places(tmp_path / "state.npz", tmp_path / "history.csv", tmp_path / "board")
        journal = Journal(model, "fit", 0, None, places, {})
        found.append(float(optimizer.loss_scale))
        journal.on_epoch_begin(0)
        journal.on_epoch_end(0)
    assert found == [512, 512]


def test_check_says_that_qat_is_float32(call: Call, tmp_path: Path) -> None:
    note = "note: qat trains in float32; train.precision is of other phases\n"
    path = written(tmp_path, train={"precision": "mixed_float16"})
    assert call("check", path).stderr == note
    assert call("check", path, "--set", "compress=[]").stderr == ""


def test_a_network_in_another_precision_has_the_same_variables_and_float32_logits() -> None:
    model = load("models", "mobilenet_v2")().build((32, 32, 3), 4)
    twin = in_precision(model, "mixed_bfloat16")
    assert checkpoint.variables_of(twin).keys() == checkpoint.variables_of(model).keys()
    assert {layer.compute_dtype for layer in twin.layers[1:-1]} == {"bfloat16"}
    pictures = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
    assert twin(pictures).dtype == "float32"
    assert np.abs(twin(pictures) - model(pictures)).max() < 0.05 * np.abs(model(pictures)).max()


def start(folder: Path, notes: str, *arguments: object, **environment: str) -> Any:
    """The command line on several devices, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, devices.__file__, "train", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment, "NOTES": str(folder / notes)},
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"{notes}.log").open("w"),
    )


@contextlib.contextmanager
def two_workers(folder: Path, *arguments: object) -> Iterator[list[Any]]:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(2)]
    workers = [
        start(folder, f"worker{i}", *arguments, TF_CONFIG=json.dumps(one))
        for i, one in enumerate(configs)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def log(folder: Path, notes: str) -> str:
    return (folder / f"{notes}.log").read_text()


def finished(run: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = json.loads((run / "metrics.json").read_text())["rows"]
    return {row["name"]: row for row in rows}


def require_trained(run: Path) -> None:
    rows = finished(run)
    assert list(rows) == [*PHASES, "int8"]
    assert min(rows[name]["top1"] for name in ("qat", "int8")) >= 0.95
    assert rows["int8"]["zeros"] >= 0.5
    with (run / "history.csv").open() as file:
        phases = [row["phase"] for row in csv.DictReader(file)]
    assert phases == ["fit"] * 6 + ["prune"] * 2 + ["qat"] * 2


@SLOW
def test_two_devices_train_and_resume_every_kind_of_phase(tmp_path: Path) -> None:
    path = written(tmp_path, train=RECIPE["train"] | {"class_weights": True})
    assert start(tmp_path, "whole", path, DEVICES="2").wait() == 0, log(tmp_path, "whole")
    require_trained(tmp_path / "runs" / "recipe")
    killed = start(tmp_path, "killed", path, "--name", "killed", DEVICES="2")
    wait_for(lambda: "fit 3/6" in log(tmp_path, "killed"), killed)
    killed.kill()
    assert start(tmp_path, "on", "runs/killed", "--resume", DEVICES="2").wait() == 0
    require_trained(tmp_path / "runs" / "killed")


def wait_for(happened: Any, process: Any) -> None:
    for _ in range(600):
        if happened():
            return
        assert process.poll() is None
        time.sleep(1)
    raise AssertionError("nothing happened within ten minutes")


@SLOW
def test_two_workers_end_with_equal_weights_and_one_writes(tmp_path: Path) -> None:
    with two_workers(tmp_path, written(tmp_path)) as workers:
        for number, worker in enumerate(workers):
            assert worker.wait() == 0, log(tmp_path, f"worker{number}")
    require_trained(tmp_path / "runs" / "recipe")
    notes = [(tmp_path / f"worker{number}").read_text() for number in range(2)]
    assert [line.split()[0] for line in notes[0].splitlines()] == PHASES
    assert notes[0] == notes[1]
    assert [one.name for one in (tmp_path / "runs").iterdir()] == ["recipe"]


@SLOW
@pytest.mark.parametrize("victim", [0, 1])
def test_where_one_worker_is_killed_the_other_ends_in_words_and_both_go_on(
    victim: int, tmp_path: Path
) -> None:
    path, other = written(tmp_path), 1 - victim
    with two_workers(tmp_path, path) as workers:
        wait_for(lambda: "fit 3/6" in log(tmp_path, "worker0"), workers[0])
        workers[victim].send_signal(signal.SIGKILL)
        assert workers[other].wait(60) == 2
    said = log(tmp_path, f"worker{other}")
    assert "is gone, so this worker stops.\nhint: Start all workers again with `--resume`" in said
    with two_workers(tmp_path, path, "--resume") as workers:
        for number, worker in enumerate(workers):
            assert worker.wait() == 0, log(tmp_path, f"worker{number}")
    require_trained(tmp_path / "runs" / "recipe")
