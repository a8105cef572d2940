"""Trained files side by side on the same pictures, and evaluate on some of the classes."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Call, as_json, complaint, invoke

import tflite_light
from tflite_light.data._examples import write_photographs
from tflite_light.report import scatter

MINE = """
model: {tiny: {width: 4}}
data: {directory: {path: photos}}
image: {size: 32}
train: {epochs: 1, batch_size: 8, average: 0}
export: [float32, int8]
"""
PATTERNS = """
model: {tiny: {width: 4}}
data: {synthetic: {count: 60, number_of_classes: 3, side: 40}}
image: {size: 32}
train: {epochs: 2, batch_size: 8, learning_rate: 0.01, average: 0}
export: [int8]
"""
REVERSED = """
model: {tiny: {width: 4}}
weights: {run: {path: runs/mine}}
labels: reversed.txt
image: {size: 32}
export: [float32]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with uneven photographs, a run on them, a run on patterns, and the first run's
    network with its labels in another order; tests only read it.
    """
    folder = tmp_path_factory.mktemp("home")
    write_photographs(folder / "photos", classes=3, each=20)
    for path in sorted((folder / "photos/sign2").iterdir())[8:]:
        path.unlink()
    (folder / "mine.yaml").write_text(MINE)
    (folder / "patterns.yaml").write_text(PATTERNS)
    (folder / "reversed.yaml").write_text(REVERSED)
    (folder / "reversed.txt").write_text("sign2\nsign1\nsign0\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        trained = invoke("train", "mine.yaml", "--json")
        as_json(trained)
        (folder / "train.txt").write_text(trained.stderr)
        as_json(invoke("train", "patterns.yaml", "--json"))
        as_json(invoke("export", "reversed.yaml", "--out", "app", "--json"))
    finally:
        os.chdir(before)
    return folder


def targets(call: Call, *arguments: object) -> Any:
    return as_json(call("compare", *arguments, "--json"))["targets"]


def test_a_run_is_compared_with_a_file_on_its_own_test_pictures(home: Path, call: Call) -> None:
    run = home / "runs/mine"
    rows = {row["name"]: row for row in as_json(call("evaluate", run, "--json"))["rows"]}
    int8, float32 = targets(call, run, run / "exports/float32.tflite")
    assert int8["target"] == str(run / "exports/int8.tflite")
    for found, name in ((int8, "int8"), (float32, "float32")):
        for key in (
            "pictures",
            "top1",
            "top1_interval",
            "confusion",
            "deflated_bytes",
            "size_bytes",
        ):
            assert found[key] == rows[name][key], key
        assert found["latency_ms"] > 0
        costs = as_json(call("inspect", found["target"], "--json"))
        assert found["multiply_adds"] == costs["multiply_adds"] > 0
    assert int8["agreement"] is int8["paired"] is None
    only = (rows["int8"]["paired"]["only_this"], rows["int8"]["paired"]["only_other"])
    assert (float32["paired"]["only_other"], float32["paired"]["only_this"]) == only
    assert float32["paired"]["against"] == int8["target"]
    shown = call("compare", run, run / "exports/float32.tflite").stdout
    assert re.search(r"top-1 \(95 %\) +0\.\d{4} \(0\.\d{3}-\d\.\d{3}\)", shown)
    assert f"exports/float32.tflite and {int8['target']} " in shown


def test_pictures_of_a_run_that_were_moved_are_compared_on_its_test_part(
    home: Path, call: Call
) -> None:
    """All of them were, of which most were trained on."""
    run = home / "runs/mine"
    files = (run, run / "exports/float32.tflite")
    shutil.copytree(home / "photos", "moved")
    keys = ("pictures", "top1", "confusion", "agreement")
    here, there = (
        [[one[key] for key in keys] for one in targets(call, *files, *data)]
        for data in ((), ("--data", "moved"))
    )
    assert there == here
    picture = next(iter(sorted(Path("moved/sign0").iterdir())))
    picture.rename(picture.with_name("another.jpg"))
    assert targets(call, *files, "--data", "moved")[0]["pictures"] > here[0][0]


def test_where_the_pictures_are_is_told_by_data_not_by_the_recipe_of_a_run(
    home: Path, call: Call
) -> None:
    shutil.copytree(home / "runs/mine", "runs/mine")
    path, photos = Path("runs/mine/recipe.yaml"), str(home / "photos")
    path.write_text(path.read_text().replace(photos, "/moved"))
    message = complaint(call("evaluate", "runs/mine"))
    assert message == (
        f"{path} was changed since the run began: data.directory.path was {photos!r} and is "
        "'/moved'.\nhint: Restore it, and name where the pictures are now with `--data`.\n"
    )
    path.write_text(path.read_text().replace("size: 32", "size: 64"))
    assert "hint: Restore it, or train again." in complaint(call("evaluate", "runs/mine"))


def test_files_with_labels_in_another_order_are_compared_by_name(home: Path, call: Call) -> None:
    files = (home / "runs/mine/exports/float32.tflite", home / "app/reversed_float32.tflite")
    one, other = targets(call, *files, "--data", home / "photos")
    assert one["top1"] == other["top1"]
    assert other["agreement"] == 1
    assert one["confusion"]["counts"] == other["confusion"]["counts"]
    assert (other["paired"]["only_this"], other["paired"]["p_value"]) == (0, 1)


def test_a_metrics_json_makes_no_run_of_a_folder(home: Path, call: Call) -> None:
    """Costs of a file in `exports/` below it were refused, as the folder is not a run."""
    Path("proj/exports").mkdir(parents=True)
    Path("proj/metrics.json").write_text("{}")
    shutil.copy(home / "runs/mine/exports/int8.tflite", "proj/exports/m.tflite")
    (found,) = as_json(call("compare", "proj/exports/m.tflite", "--json"))["targets"]
    assert found["parameters"] > 0


def test_things_of_other_test_pictures_are_refused(home: Path, call: Call) -> None:
    mine, patterns = home / "runs/mine", home / "runs/patterns"
    hint = "hint: Name pictures to compare them on: `--data FOLDER|LABELS.csv`.\n"
    assert complaint(call("compare", mine, patterns)).endswith(
        f"{patterns} was tested on other pictures than {mine}, or in another order, so their "
        f"answers cannot be compared.\n{hint}"
    )
    message = complaint(call("compare", mine, patterns, "--data", home / "photos"))
    stranger = patterns / "exports/int8.tflite"
    assert f"has classes that {stranger} does not know: sign0, sign1, sign2. Its 3 l" in message
    file = home / "app/reversed_float32.tflite"
    message = complaint(call("compare", mine, file, "--plot", "x.svg"))
    assert message == f"the test pictures of {file} are not known.\n{hint}"
    recipe = home / "mine.yaml"
    message = complaint(call("compare", mine, recipe, "--data", home / "photos"))
    assert f"{recipe} is a recipe, which has no accuracy before it is trained." in message
    assert "`--size` is for costs alone" in complaint(call("compare", mine, "--size", 32))
    shutil.copytree(mine, "runs/mine")
    shutil.copy(file, "runs/mine/exports/int8.tflite")
    Path("runs/mine/exports/int8.json").unlink()
    assert "int8.tflite is not this run's" in complaint(call("compare", "runs/mine"))


def test_where_test_pictures_are_unknown_costs_alone_are_compared(home: Path, call: Call) -> None:
    file = home / "app/reversed_float32.tflite"
    found = call("compare", home / "runs/mine", file, "--json")
    assert ["top1" in one for one in as_json(found)["targets"]] == [False, False]
    assert found.stderr.startswith(f"costs alone, as no test pictures of {file} are known here")
    assert call("compare", home / "runs/patterns", home / "patterns.yaml", "--json").stderr == ""
    (home / "photos").rename(home / "away")
    try:
        found = call("compare", home / "runs/mine", "--json")
    finally:
        (home / "away").rename(home / "photos")
    assert "costs alone" in found.stderr


def test_accuracy_is_drawn_against_size_and_time(home: Path, call: Call) -> None:
    run = home / "runs/mine"
    Path("_a$b$.tflite").write_bytes((run / "exports/int8.tflite").read_bytes())
    files = ("_a$b$.tflite", run / "exports/float32.tflite", "--data", home / "photos")
    made = as_json(call("compare", *files, "--plot", "größe/a b.svg", "--json"))
    assert made["plot"] == "größe/a b.svg"
    drawing = Path("größe/a b.svg").read_text(encoding="utf-8")
    for text in (
        "1: _a$b$.tflite",
        f"2: {files[1]}",
        "deflated size, KiB",
        "95 % by Wilson",
        "top-1",
    ):
        assert f">{text}<" in drawing or text in drawing
    found = tflite_light.compare(files[:2], home / "photos")
    for kind, start in (("svg", b"<?xml"), ("PNG", b"\x89PNG")):
        one, same = (scatter.draw(found, Path(f"{name}.{kind}")).read_bytes() for name in "ab")
        assert one.startswith(start)
        assert one == same
    message = complaint(call("compare", *files, "--plot", "a.gif"))
    assert message == "a.gif is neither .svg nor .png.\nhint: Write `--plot FILE.svg`.\n"
    Path("file").touch()
    assert "cannot write into file" in complaint(call("compare", *files, "--plot", "file/a.svg"))


def test_uneven_classes_are_said_when_training_starts(home: Path) -> None:
    lines = (home / "train.txt").read_text().splitlines()
    (line,) = [one for one in lines if one.startswith("classes are uneven")]
    assert re.fullmatch(
        r"classes are uneven: most pictures are of sign[01], \d+ of \d+ \(0\.4\d{3}\), fewest of "
        r"sign2, \d; look at balanced accuracy and at each class, or set `train.class_weights: true`",
        line,
    )
    assert lines.index(line) < next(n for n, one in enumerate(lines) if one.startswith("fit 1/1"))


def test_a_run_is_evaluated_on_some_of_its_classes_by_name(home: Path, call: Call) -> None:
    whole = as_json(call("evaluate", home / "runs/mine", "--data", home / "photos", "--json"))
    for name in ("sign2", "sign1"):
        shutil.copytree(home / "photos" / name, Path("some/test") / name)
    found = call("evaluate", home / "runs/mine", "--data", "some", "--json")
    rows = as_json(found)["rows"]
    assert "no pictures of 1 of 3 classes: sign0" in found.stderr
    assert "most pictures are of sign1, 20 of 28 (0.7143), fewest of sign2, 8" in found.stderr
    assert [one["pictures"] for one in rows[-1]["confusion"]["classes"]] == [0, 20, 8]
    assert whole["rows"][-1]["pictures"] != 28
    file = as_json(
        call("evaluate", home / "runs/mine/exports/int8.tflite", "--data", "some", "--json")
    )
    assert file["rows"][0]["confusion"] == rows[-1]["confusion"]
    Path("some/test/sign2").rename("some/test/sign7")
    run = home / "runs/mine"
    message = complaint(call("evaluate", run, "--data", "some"))
    assert message.startswith(
        f"data some has classes that {run} does not know: sign7. Its 3 labels"
    )


def test_a_run_on_a_source_without_files_is_evaluated_on_a_folder(home: Path, call: Call) -> None:
    for name, label in (("sign1", "pattern2"), ("sign0", "pattern0")):
        shutil.copytree(home / "photos" / name, Path("some/test") / label)
    (*_, row) = as_json(call("evaluate", home / "runs/patterns", "--data", "some", "--json"))[
        "rows"
    ]
    assert [one["pictures"] for one in row["confusion"]["classes"]] == [20, 0, 20]
