"""Runs, stages and interrupts hold what the rooms' contract pages say."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY, Call, as_json, complaint, invoke, split_of

from tflite_light.compress import misfit
from tflite_light.data._examples import write_photographs
from tflite_light.runs.folder import locked, open_run
from tflite_light.sockets import load

MINE = """
model: {tiny: {width: 4}}
data: {directory: {path: photos}}
image: {size: 32}
train: {epochs: 1, batch_size: 8, average: 0}
export: [float32]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and a finished run on them, started from that folder."""
    folder = tmp_path_factory.mktemp("home")
    write_photographs(folder / "photos", classes=3, each=20)
    (folder / "mine.yaml").write_text(MINE)
    before = Path.cwd()
    os.chdir(folder)
    try:
        as_json(invoke("train", "mine.yaml", "--json"))
    finally:
        os.chdir(before)
    return folder


def test_a_run_is_measured_and_exported_from_any_folder(home: Path, call: Call) -> None:
    assert as_json(call("evaluate", home / "runs/mine", "--json"))["rows"][0]["top1"] is not None
    as_json(call("export", home / "runs/mine", "--float32", "--out", "app", "--json"))
    again = Path("app/mine_float32.tflite").read_bytes()
    assert again == (home / "runs/mine/exports/float32.tflite").read_bytes()


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_class_that_was_renamed_since_is_refused(home: Path, call: Call, command: str) -> None:
    (home / "photos/sign0").rename(home / "photos/zero")
    try:
        message = complaint(call(command, home / "runs/mine"))
    finally:
        (home / "photos/zero").rename(home / "photos/sign0")
    assert "has other classes than" in message
    assert "sign0 missing and zero new." in message
    assert "\nhint: Give the class folders their former names, or train again." in message


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_pictures_that_were_removed_or_renamed_since_are_refused(
    home: Path, call: Call, command: str
) -> None:
    picture = sorted((home / "photos/sign1").iterdir())[0]
    for elsewhere in (home / "away.jpg", picture.with_name("renamed.jpg")):
        picture.rename(elsewhere)
        try:
            message = complaint(call(command, home / "runs/mine"))
        finally:
            elsewhere.rename(picture)
        assert "has other pictures than" in message
        alike = "trained on: as many, but some have another name, size or class." in message
        assert alike is (elsewhere.parent == picture.parent)


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_pictures_that_were_changed_since_are_refused(home: Path, call: Call, command: str) -> None:
    """Of the same name and size, and of a content that belongs to the same part."""
    pictures = {path: path.read_bytes() for path in (home / "photos").glob("*/*.jpg")}
    path, content = next(one for one in pictures.items() if split_of(one[1]) == "test")
    others = (content[:-40] + bytes([value]) + content[-39:] for value in range(256))
    path.write_bytes(next(one for one in others if one != content and split_of(one) == "test"))
    try:
        message = complaint(call(command, home / "runs/mine"))
    finally:
        path.write_bytes(content)
    assert "test pictures hold other bytes than" in message


def test_a_folder_that_grew_is_measured_by_its_test_part_alone(home: Path, call: Call) -> None:
    """All of it has what was trained on; that is right of another folder."""
    before = as_json(call("evaluate", home / "runs/mine", "--json"))["rows"][0]["pictures"]
    source = sorted((home / "photos/sign1").iterdir())[0]
    added = source.with_name("added.jpg")
    added.write_bytes(source.read_bytes()[:-2] + b"more" + source.read_bytes()[-2:])
    try:
        assert "has other pictures than" in complaint(call("evaluate", home / "runs/mine"))
        result = call("evaluate", home / "runs/mine", "--data", home / "photos", "--json")
        shutil.copytree(home / "photos", "other")
        elsewhere = as_json(call("evaluate", home / "runs/mine", "--data", "other", "--json"))
    finally:
        added.unlink()
    seen = len(open_run(home / "runs/mine").recipe.source.split("train"))
    told = call("evaluate", home / "runs/mine", "--data", "other").stderr
    number = elsewhere["rows"][0]["pictures"]
    assert f"other: {home / 'runs/mine'} was trained on {seen} of its {number}\n" in told
    assert "its part test is measured on, of which a few may have been trained on" in result.stderr
    assert before <= as_json(result)["rows"][0]["pictures"] <= before + 2
    assert elsewhere["rows"][0]["pictures"] > 3 * before


def test_a_run_s_weights_are_imported_with_its_pixels_alone(home: Path, call: Call) -> None:
    """Else the file answers wrongly, and agrees with its Keras model all the same."""
    weights = f"weights: {{run: {{path: {home / 'runs/mine'}}}}}"
    recipe = f"model: {{tiny: {{width: 4}}}}\n{weights}\nclasses: 3\nexport: [float32]\n"
    Path("same.yaml").write_text(f"{recipe}image: {{size: 32, mean: 127.5, std: 127.5}}")
    as_json(call("export", "same.yaml", "--out", "app", "--json"))
    for pixels in ("mean: 0, std: 255", "channels: BGR"):
        Path("other.yaml").write_text(f"{recipe}image: {{size: 32, {pixels}}}")
        message = complaint(call("export", "other.yaml", "--out", "app"))
        assert "know pixels with channels: RGB, mean: [128.0, 128.0, 128.0]" in message


def test_strangers_among_a_run_s_own_pictures_are_left_out_by_the_option(
    home: Path, call: Call
) -> None:
    stranger = home / "photos" / "sign1" / "notes.docx"
    stranger.touch()
    try:
        assert "`--skip-strangers` of evaluate" in complaint(call("evaluate", home / "runs/mine"))
        rows = as_json(call("evaluate", home / "runs/mine", "--skip-strangers", "--json"))["rows"]
    finally:
        stranger.unlink()
    held_out = json.loads((home / "runs/mine/metrics.json").read_text())["pictures"]["test"]
    assert {row["pictures"] for row in rows} == {held_out}


def test_a_run_that_is_trained_at_this_moment_is_said_to_be(home: Path, call: Call) -> None:
    shutil.copytree(home / "runs/mine", "runs/mine")
    (Path("runs/mine") / "metrics.json").unlink()
    with locked(Path("runs/mine")):
        message = complaint(call("evaluate", "runs/mine"))
    assert message == "runs/mine is being trained.\nhint: Wait until it has finished.\n"
    assert "runs/mine is unfinished" in complaint(call("evaluate", "runs/mine"))
    shutil.rmtree("runs/mine/exports")
    assert "runs/mine is unfinished" in complaint(call("predict", "runs/mine", "x.jpg"))


def test_data_names_pictures_that_were_moved(home: Path, call: Call) -> None:
    (home / "photos").rename(home / "moved")
    try:
        message = complaint(call("evaluate", home / "runs/mine"))
        assert message.endswith(
            "photos does not exist.\nhint: Name where the pictures are now with `--data`.\n"
        )
        message = complaint(call("evaluate", home / "runs/mine", "--data", home / "nowhere"))
        assert message.endswith(
            "nowhere does not exist.\nhint: Give `--data` where the pictures are now.\n"
        )
        rows = as_json(call("evaluate", home / "runs/mine", "--data", home / "moved", "--json"))
        shutil.copytree(home / "moved", home / "alone" / "test")
        alone = as_json(call("evaluate", home / "runs/mine", "--data", home / "alone", "--json"))
        for path in (home / "moved").glob("sign*/*.jpg"):
            shutil.copy(path, home / "alone" / "test" / path.parent.name / f"again_{path.name}")
        shutil.move(home / "alone" / "test", home / "more")
        more = as_json(call("evaluate", home / "runs/mine", "--data", home / "more", "--json"))
    finally:
        (home / "moved").rename(home / "photos")
    held_out = json.loads((home / "runs/mine/metrics.json").read_text())["pictures"]["test"]
    found = [
        (row["pictures"], row["kind"]) for (row, *_) in (one["rows"] for one in (rows, alone, more))
    ]
    assert found == [
        (held_out, "test pictures"),
        (60, "test pictures"),
        (120, "test or training pictures"),
    ]


def test_metrics_hold_what_was_exported_last(home: Path, call: Call) -> None:
    as_json(call("export", home / "runs/mine", "--int8", "--json"))
    rows = json.loads((home / "runs/mine/metrics.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["fit", "float32", "int8"]


def _hold(folder: Path, held: "multiprocessing.synchronize.Event") -> None:
    with open_run(folder).locked():
        held.set()
        time.sleep(60)


def test_a_run_is_written_by_one_process_at_a_time(home: Path, call: Call) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(home / "runs/mine", held))
    other.start()
    try:
        assert held.wait(60)
        message = complaint(call("export", home / "runs/mine", "--float32"))
    finally:
        other.kill()
        other.join()
    assert "is being written by another process." in message
    as_json(call("export", home / "runs/mine", "--float32", "--json"))  # a killed one frees it


def test_an_unreadable_older_run_blocks_no_new_one(call: Call, tmp_path: Path) -> None:
    old = tmp_path / "runs/tiny"
    old.mkdir(parents=True)
    (old / "recipe.yaml").write_text("model: [")
    (tmp_path / "tiny.yaml").write_text(TINY)
    quick = ["compress=[]", "export=[float32]", "train.epochs=1"]
    made = as_json(call("train", "tiny.yaml", *(f"--set={one}" for one in quick), "--json"))
    assert made["run"] == "runs/tiny-2"


def test_stages_declare_which_orders_are_possible() -> None:
    prune, qat = load("compress", "prune")(), load("compress", "qat")()
    assert misfit([prune, qat]) is None
    assert misfit([qat, prune]) == "prune cannot follow qat, which leaves a quantised model"


def test_ctrl_c_stops_with_the_command_that_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("epochs: 3", "epochs: 900"))
    command = [sys.executable, "-m", "tflite_light", "train", "tiny.yaml"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    history = tmp_path / "runs/tiny/history.csv"
    while not history.exists():
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=5)
    assert process.returncode == 130
    assert stderr.endswith(
        "stopped; what was finished is kept.\n"
        "hint: go on with `tflite-light train runs/tiny --resume`\n"
    )
