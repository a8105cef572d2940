"""The main recipe's promises, each on the whole recipe: about 15 minutes on 2 cores."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, tflite_light

from tflite_light.data.sign_digits import ARCHIVE
from tflite_light.graph import checkpoint
from tflite_light.tflite.file import read

pytestmark = pytest.mark.slow
MAIN = ROOT / "recipes" / "mobilenet_v2.yaml"
PHOTOGRAPHS = ROOT.parent / "shared" / "data" / "imagenet_samples"


def train(folder: Path, *options: str) -> dict[str, Any]:
    done = tflite_light("train", MAIN, "--json", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    return {row["name"]: row for row in report["rows"]} | {"run": folder / report["run"]}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return train(tmp_path_factory.mktemp("main"))


def test_the_int8_file_keeps_the_main_recipe_s_promises(uninterrupted: dict[str, Any]) -> None:
    int8 = uninterrupted["int8"]
    assert int8["pictures"] == 383
    assert int8["top1"] >= 0.97
    assert int8["agreement"] >= 0.99
    assert int8["zeros"] >= 0.5
    assert read(uninterrupted["run"] / "exports" / "int8.tflite").float_operators() == []


def test_the_int8_file_says_how_sure_it_is(uninterrupted: dict[str, Any]) -> None:
    assert uninterrupted["int8"]["calibration_error"] <= 0.02
    assert uninterrupted["int8"]["rejected"] <= 0.03


@pytest.mark.skipif(
    not PHOTOGRAPHS.exists(), reason="the licence of ImageNet's photographs keeps them out"
)
def test_the_int8_file_rejects_photographs_of_other_things(uninterrupted: dict[str, Any]) -> None:
    """None of which was learnt: the recipe's outliers are made ones."""
    done = tflite_light(
        "evaluate", uninterrupted["run"], "--outliers", PHOTOGRAPHS, "--json", cwd=ROOT
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["int8"]["outliers"] == 200
    assert rows["int8"]["outliers_rejected"] >= 0.95


def test_a_folder_of_the_same_pictures_trains_as_well(
    uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path / "signs")
    found = train(tmp_path, "--set", "data.directory.path=signs")
    assert abs(found["int8"]["top1"] - uninterrupted["int8"]["top1"]) <= 0.01


def test_killed_six_times_it_ends_with_the_same_weights_and_files(
    uninterrupted: dict[str, Any], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tflite_light", "train", str(MAIN)]
    moments = random.Random(0)
    for phase in ("fit", "fit", "prune", "prune", "qat", "qat"):
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        _await_second_epoch(tmp_path / "runs" / "mobilenet_v2" / "history.csv", phase, process)
        time.sleep(moments.uniform(0, 20))  # within an epoch; the second time perhaps at the start
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        command = [*command[:5], "--resume"]
    ended = train(tmp_path, "--resume")
    expected, _ = checkpoint.read(uninterrupted["run"] / "checkpoints" / "qat.npz")
    found, _ = checkpoint.read(ended["run"] / "checkpoints" / "qat.npz")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    for name in ("float32.tflite", "int8.tflite"):
        files = [run["run"] / "exports" / name for run in (ended, uninterrupted)]
        assert files[0].read_bytes() == files[1].read_bytes()


def _await_second_epoch(history: Path, phase: str, process: subprocess.Popen[bytes]) -> None:
    while not (history.exists() and f"\n{phase},2," in history.read_text()):
        assert process.poll() is None
        time.sleep(0.5)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "recipes").rglob("*.yaml")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_recipe_runs_to_its_files(path: Path, tmp_path: Path) -> None:
    """An epoch a phase on synthetic pictures, at a rate that suits a batch of 8."""
    changes = ["data.synthetic.count=100", "image.size=96"]
    changes += ["train.epochs=1", "train.batch_size=8", "train.learning_rate=0.01"]
    recipe = tflite_light("check", path, "--json")
    stages = json.loads(recipe.stdout)["compress"]
    changes += [
        f"compress.{index}.{next(iter(stage))}.epochs=1" for index, stage in enumerate(stages)
    ]
    options = [part for change in changes for part in ("--set", change)]
    done = tflite_light("train", path, "--json", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / export).exists() for export in json.loads(done.stdout)["exports"])
    shutil.rmtree(tmp_path / "runs")
