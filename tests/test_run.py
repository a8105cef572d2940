"""A whole run through the command line: what it leaves, what it says, and going on after a kill."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Call, as_json, as_lines, complaint, invoke
from PIL import Image as Pillow

from tflite_light import contract, files, recipe
from tflite_light.compress.prune import Prune
from tflite_light.data._examples import write_photographs
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.measure.predict import open_file
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.pipeline.preprocess import crop_and_resize, normalise
from tflite_light.runs import conductor, finished, folder
from tflite_light.stack import keras
from tflite_light.tflite.ends import quantise
from tflite_light.training import history


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run of the tiny recipe; tests only read it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "tiny.yaml").write_text(TINY)
    result = invoke("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json")
    (folder / "report.json").write_text(json.dumps(as_json(result)))
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copytree(home, tmp_path / "home"))


def test_a_run_leaves_all_its_papers(home: Path) -> None:
    run = home / "runs" / "tiny"
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in found if name.startswith("tensorboard/")}
    goldens = {
        f"exports/{mode}_golden/{number}.png" for mode in ("float32", "int8") for number in range(8)
    }
    exports = {
        f"exports/{mode}.{kind}" for mode in ("float32", "int8") for kind in ("tflite", "json")
    }
    papers = {
        "recipe.yaml",
        "environment.json",
        "data.json",
        "history.csv",
        "metrics.json",
        "report.html",
        ".lock",
    }
    checkpoints = {f"checkpoints/{phase}.npz" for phase in ("fit", "prune", "qat")}
    checkpoints |= {f"checkpoints/{stage}.plan.json" for stage in ("prune", "qat")}
    assert found - events == papers | checkpoints | exports | goldens
    assert {name.split("/")[1] for name in events} == {"fit", "prune", "qat"}


def test_the_resolved_recipe_loads_back_equal(home: Path) -> None:
    assert folder.open_run(home / "runs" / "tiny").recipe == recipe.load(home / "tiny.yaml")


def test_the_environment_names_versions_machine_and_seed(home: Path) -> None:
    environment = json.loads((home / "runs" / "tiny" / "environment.json").read_text())
    assert environment["packages"]["tensorflow"].startswith("2.21")
    assert environment["seed"] == 0
    assert environment["machine"]["cores"] >= 1


def test_the_history_has_a_row_for_each_epoch_of_each_phase(home: Path) -> None:
    rows = (home / "runs" / "tiny" / "history.csv").read_text().splitlines()
    assert rows[0] == ",".join(history.COLUMNS)
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["fit", "1"], ["fit", "2"], ["fit", "3"], ["prune", "1"], ["prune", "2"], ["qat", "1"], ["qat", "2"],
    ]  # fmt: skip
    judged = [row.split(",")[6] for row in rows]
    assert judged[:6] == ["file_accuracy", *[""] * 5]
    assert all(0.9 <= float(accuracy) <= 1 for accuracy in judged[6:])


def test_the_report_measures_every_phase_and_file_on_the_test_pictures(home: Path) -> None:
    report = json.loads((home / "report.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == ["fit", "prune", "qat", "float32", "int8"]
    assert {row["pictures"] for row in rows.values()} == {24}
    assert rows["int8"]["top1"] >= 0.9
    assert rows["float32"]["agreement"] == 1.0
    assert rows["int8"]["agreement"] >= 0.95
    assert 0.5 <= rows["int8"]["zeros"] < 0.6
    path = Path(report["exports"][1])
    assert rows["int8"]["size_bytes"] == path.stat().st_size > rows["int8"]["deflated_bytes"]
    metrics = json.loads((home / "runs" / "tiny" / "metrics.json").read_text())
    assert metrics["rows"] == report["rows"]


@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_golden_pictures_give_the_file_s_own_answers(home: Path, mode: str) -> None:
    path = home / "runs" / "tiny" / "exports" / f"{mode}.tflite"
    model, agreed = open_file(path)
    assert len(agreed.golden) == 8
    assert {golden.label for golden in agreed.golden} == {*agreed.labels, None}
    for golden in agreed.golden:
        pixels = decode((path.parent / golden.picture).read_bytes())
        pixels = crop_and_resize(pixels, agreed.image)
        inputs = normalise(pixels.astype(np.float32), agreed.image)
        assert model.answer(quantise(inputs, agreed.input)).tolist() == golden.output


def test_evaluate_measures_what_training_measured(home: Path, call: Call) -> None:
    rows = as_json(call("evaluate", home / "runs" / "tiny", "--json"))["rows"]
    before = json.loads((home / "report.json").read_text())["rows"]
    keys = ("name", "pictures", "top1", "agreement", "zeros", "size_bytes")
    assert [[row[key] for key in keys] for row in rows] == [
        [row[key] for key in keys] for row in before
    ]


def test_export_writes_the_newest_run_again_to_the_same_bytes(home: Path, call: Call) -> None:
    made = as_json(call("export", "--int8", "--runs", home / "runs", "--out", "app", "--json"))
    assert made["exports"] == ["app/tiny_int8.tflite"]
    again = Path("app/tiny_int8.tflite").read_bytes()
    assert again == (home / "runs" / "tiny" / "exports" / "int8.tflite").read_bytes()
    assert len(list(Path("app/tiny_int8_golden").iterdir())) == 8


def test_predict_reads_the_contract_beside_the_file_or_inside_it(home: Path, call: Call) -> None:
    run = home / "runs" / "tiny"
    golden = sorted((run / "exports" / "int8_golden").iterdir())
    beside = as_lines(call("predict", run / "exports" / "int8.tflite", *golden, "--json"))
    shutil.copy(run / "exports" / "int8.tflite", "alone.tflite")
    inside = as_lines(call("predict", "alone.tflite", *golden, "--json"))
    assert beside == inside
    labels = [picture["answers"][0]["label"] for picture in beside]
    truth = [golden.label for golden in contract.read(run / "exports" / "int8.tflite").golden]
    assert np.mean([one == other for one, other in zip(labels, truth, strict=True)]) >= 0.75
    lines = call("predict", "alone.tflite", golden[0], "--top", 3).stdout.splitlines()
    assert len(lines) == 3
    assert abs(sum(float(line.split("\t")[2]) for line in lines) - 1) < 1e-3
    assert (
        zipfile.ZipFile("alone.tflite").read("contract_labels.txt")
        == b"pattern0\npattern1\npattern2\n"
    )


def test_evaluate_takes_a_folder_or_a_table(home: Path, call: Call) -> None:
    *golden, _ = contract.read(home / "runs" / "tiny" / "exports" / "int8.tflite").golden
    rows = ["path,label"]
    for number, one in enumerate(golden):
        target = Path("signs") / str(one.label) / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "runs" / "tiny" / "exports" / one.picture, target)
        rows.append(f"{target},{one.label}")
    Path("labels.csv").write_text("\n".join(rows))
    model = home / "runs" / "tiny" / "exports" / "int8.tflite"
    signs = as_json(call("evaluate", model, "--data", "signs", "--json"))["rows"][0]
    table = as_json(call("evaluate", model, "--data", "labels.csv", "--json"))["rows"][0]
    assert signs["pictures"] == table["pictures"] == 7
    assert signs["top1"] == table["top1"] >= 0.75
    Path("signs/pattern0").rename("signs/pattern9")
    message = complaint(call("evaluate", model, "--data", "signs"))
    assert f"has classes that {model} does not know: pattern9" in message


def test_a_second_run_gets_a_folder_of_its_own(copy: Path, call: Call) -> None:
    before = (copy / "runs" / "tiny" / "metrics.json").read_bytes()
    quick = ("--set", "compress=[]", "--set", "train.epochs=1", "--set", "export=[float32]")
    made = as_json(call("train", copy / "tiny.yaml", "--runs", copy / "runs", *quick, "--json"))
    assert made["run"] == str(copy / "runs" / "tiny-2")
    assert (copy / "runs" / "tiny" / "metrics.json").read_bytes() == before


def test_unfinished_runs_say_how_to_be_finished(copy: Path, call: Call) -> None:
    run = copy / "runs" / "tiny"
    (run / "metrics.json").unlink()
    (run / "checkpoints" / "qat.npz").unlink()
    for command in ("export", "evaluate"):
        message = complaint(call(command, run))
        assert "is unfinished: it stopped in phase qat." in message
        assert f"tflite-light train {run} --resume" in message


def test_resume_is_refused_where_there_is_nothing_or_another_recipe(copy: Path, call: Call) -> None:
    run = copy / "runs" / "tiny"
    message = complaint(call("train", run, "--resume"))
    assert "is finished.\nhint: See it with `tflite-light evaluate" in message
    message = complaint(call("train", copy / "tiny.yaml", "--runs", copy / "runs", "--resume"))
    assert "nothing to resume: no unfinished run of tiny" in message
    (run / "metrics.json").unlink()
    change = ("--set", "train.epochs=9")
    for target in ((copy / "tiny.yaml", "--runs", copy / "runs"), (run,)):
        message = complaint(call("train", *target, "--resume", *change))
        assert "was started with another recipe: train.epochs was 3 and is 9." in message


@pytest.mark.parametrize("option", ["--name", "--runs"])
def test_resume_of_a_run_takes_no_name_and_no_place(copy: Path, call: Call, option: str) -> None:
    message = complaint(call("train", copy / "runs" / "tiny", "--resume", option, "other"))
    assert "tiny is the run that goes on: `--name` and `--runs` would be ignored." in message


@pytest.mark.parametrize("harm", ["cut", "emptied", "flipped", "removed", "another's"])
def test_a_damaged_checkpoint_is_named(copy: Path, call: Call, harm: str) -> None:
    path = copy / "runs" / "tiny" / "checkpoints" / "qat.npz"
    content = path.read_bytes()
    if harm == "removed":
        path.unlink()
    elif harm == "another's":
        arrays, note = checkpoint.read(path)
        checkpoint.write(path, {**arrays, "stranger": np.zeros(1)}, note)
    else:
        kernel = max(checkpoint.read(path)[0].values(), key=lambda one: one.size)
        middle = content.index(kernel.tobytes()) + kernel.nbytes // 2  # not between the arrays
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        path.write_bytes({"cut": content[:middle], "emptied": b"", "flipped": flipped}[harm])
    before = (copy / "runs" / "tiny" / "exports" / "int8.tflite").read_bytes()
    message = complaint(call("export", copy / "runs" / "tiny", "--int8"))
    assert "qat.npz" in message
    assert {"removed": "is missing", "another's": "does not fit"}.get(harm, "is damaged") in message
    assert (copy / "runs" / "tiny" / "exports" / "int8.tflite").read_bytes() == before


def test_predict_refuses_what_is_no_picture_no_model_or_has_no_contract(
    copy: Path, call: Call
) -> None:
    model = copy / "runs" / "tiny" / "exports" / "int8.tflite"
    Path("words.jpg").write_text("words")
    message = complaint(call("predict", model, "words.jpg"))
    assert message.startswith("1 of 1 pictures cannot be read; each is named above.\nhint: Repair")
    assert "words.jpg is not a TFLite file" in complaint(call("predict", "words.jpg", "words.jpg"))
    bare = model.read_bytes()
    bare = bare[: bare.index(b"PK\x03\x04")]
    Path("bare.tflite").write_bytes(bare)
    message = complaint(call("predict", "bare.tflite", "words.jpg"))
    assert "bare.tflite has no contract: bare.json is missing and none is inside" in message
    Path("cut.tflite").write_bytes(bare[:3000])
    shutil.copy(contract.beside(model), "cut.json")
    assert "cut.tflite" in complaint(call("predict", "cut.tflite", "words.jpg"))


def test_a_contract_that_is_another_file_s_is_refused(copy: Path, call: Call) -> None:
    exports = copy / "runs" / "tiny" / "exports"
    golden = exports / "int8_golden" / "0.png"
    (exports / "int8.json").write_text((exports / "float32.json").read_text())
    message = complaint(call("predict", exports / "int8.tflite", golden))
    assert (
        "disagree: flatbuffer.size_bytes, flatbuffer.sha256, flatbuffer.network_sha256, " in message
    )
    assert ", input.dtype, input.scale" in message
    (exports / "int8.json").write_text('{"version": 1}')
    assert "is damaged, model: is missing" in complaint(
        call("predict", exports / "int8.tflite", golden)
    )


def test_a_run_predicts_with_its_int8_file_or_its_only_one(copy: Path, call: Call) -> None:
    run = copy / "runs" / "tiny"
    exports, picture = run / "exports", run / "exports" / "int8_golden" / "0.png"

    assert call("predict", run, picture).stderr == f"{exports}/int8.tflite answers\n"
    (exports / "int8.tflite").unlink()
    assert call("predict", run, picture).stderr == f"{exports}/float32.tflite answers\n"
    shutil.copy(exports / "float32.tflite", exports / "other.tflite")
    message = complaint(call("predict", run, picture))
    assert f"Name one: {exports}/float32.tflite, {exports}/other.tflite" in message
    assert "is not a run with exported files" in complaint(call("predict", exports, picture))
    message = complaint(call("predict", run / "checkpoints" / "fit.npz", picture))
    assert "fit.npz holds weights, not a network.\nhint: Give a run, or a .tflite file" in message


def test_an_export_inside_a_run_s_folder_is_named_after_it(
    copy: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy / "runs" / "tiny")
    made = as_json(call("export", ".", "--float32", "--out", "app", "--json"))
    assert made["exports"] == ["app/tiny_float32.tflite"]


def test_a_folder_that_cannot_be_written_is_refused_before_training(call: Call, tiny: Path) -> None:
    Path("runs").write_text("a file stands where the folder should")
    message = complaint(call("train", tiny))
    assert message.startswith("cannot make runs/tiny")
    assert Path("runs").read_text().startswith("a file")


@pytest.mark.parametrize("name", ["../away", "a/b", ".hidden", "-x", "", "two\nlines"])
def test_a_name_that_is_no_folder_s_is_refused(call: Call, tiny: Path, name: str) -> None:
    message = complaint(call("train", tiny, "--name", name))
    assert (
        "cannot name a run.\nhint: It becomes a folder: leave out slashes, line breaks, and . or - "
        "at its beginning." in message
    )
    assert not Path("runs").exists()


def test_a_recipe_that_was_changed_since_is_refused(copy: Path, call: Call) -> None:
    run = copy / "runs" / "tiny"
    resolved = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(resolved.replace("size: 32", "size: 64"))
    for command in ("evaluate", "export"):
        assert "was changed since the run began: image.size was 32 and is 64." in complaint(
            call(command, run)
        )
    (run / "recipe.yaml").write_text("model: {tiny: {width: 4}}\nclasses: 4\n")
    assert "has no train:.\nhint: Restore it, or train again." in complaint(call("evaluate", run))


def test_a_run_whose_environment_is_damaged_is_the_oldest(copy: Path, call: Call) -> None:
    shutil.copytree(copy / "runs" / "tiny", copy / "runs" / "other")
    (copy / "runs" / "other" / "environment.json").write_text("[]")
    result = call("export", "--float32", "--runs", copy / "runs", "--json")
    assert as_json(result)["run"] == str(copy / "runs" / "tiny")


def test_a_checkpoint_with_nan_is_damaged(copy: Path, call: Call) -> None:
    path = copy / "runs" / "tiny" / "checkpoints" / "fit.npz"
    arrays, note = checkpoint.read(path)
    arrays["stem_norm/beta"][:] = np.nan
    checkpoint.write(path, arrays, note)
    message = complaint(call("export", copy / "runs" / "tiny", "--float32"))
    assert "fit.npz is damaged: stem_norm/beta holds NaN or infinity" in message


def test_nothing_is_written_where_a_folder_has_a_file_s_name(tmp_path: Path) -> None:
    (tmp_path / "b.json").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*b.json: a folder has this name"):
        files.write_all({tmp_path / "a.png": b"new", tmp_path / "b.json": "{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_names_are_as_long_as_the_system_lets_them(tmp_path: Path) -> None:
    """Those of 243 bytes and more were refused, as the temporary name was longer."""
    longest = tmp_path / ("ü" * 125 + ".json")
    files.write_all({longest: "1", longest.with_suffix(".html"): "2"})
    assert (longest.read_text(), longest.with_suffix(".html").read_text()) == ("1", "2")
    with pytest.raises(UserError, match=r"cannot write .*x: File name too long"):
        files.write_all({longest: "3", tmp_path / ("x" * 256): "4"})
    assert longest.read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_to_itself_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"cannot write .*loop: it is a link that leads back"):
        files.write(tmp_path / "loop", "lost")
    assert [path.is_symlink() for path in tmp_path.iterdir()] == [True]


def test_a_full_disk_loses_nothing(copy: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in (copy / "runs").rglob("*") if path.is_file()}

    room = [4]

    def full(path: Path, content: bytes) -> int:
        room[0] -= 1
        path.touch()
        if not room[0]:
            raise OSError(28, "No space left on device")
        return 0

    monkeypatch.setattr(Path, "write_bytes", full)
    message = complaint(call("export", copy / "runs" / "tiny", "--int8"))
    assert "No space left on device.\nhint: Free some space or choose another folder." in message
    monkeypatch.undo()
    assert {
        path: path.read_bytes() for path in (copy / "runs").rglob("*") if path.is_file()
    } == before


def test_fewer_zeros_than_promised_is_an_error(copy: Path, call: Call) -> None:
    run = copy / "runs" / "tiny"
    path = run / "checkpoints" / "prune.npz"
    arrays, note = checkpoint.read(path)
    checkpoint.write(path, {name: array + 0.01 for name, array in arrays.items()}, note)
    before = (run / "exports" / "float32.tflite").read_bytes()
    message = complaint(call("export", run, "--float32"))
    assert (
        "float32.tflite has 0.0000 zeros among its weights, fewer than the promised 0.5" in message
    )
    assert (run / "exports" / "float32.tflite").read_bytes() == before


def test_early_stopping_keeps_the_best_epoch(call: Call, tiny: Path) -> None:
    changes = [
        "train.patience=2",
        "train.epochs=12",
        "compress=[]",
        "export=[float32]",
        "train.batch_size=16",
    ]
    made = as_json(call("train", tiny, *(f"--set={change}" for change in changes), "--json"))
    rows = (Path(made["run"]) / "history.csv").read_text().splitlines()[1:]
    shares = [float(row.split(",")[5]) for row in rows]
    assert len(rows) < 12
    assert shares.index(max(shares)) == len(rows) - 3


def test_patience_leaves_the_stages_their_epochs(call: Call, tiny: Path) -> None:
    """The best epoch of pruning may be one before the zeros were there."""
    stages = ("--set", "compress=[{prune: {epochs: 2}}]", "--set", "export=[float32]")
    made = as_json(call("train", tiny, "--set", "train.patience=1", *stages, "--json"))
    assert {row["name"]: row for row in made["rows"]}["float32"]["zeros"] >= 0.5


def test_a_promise_that_cannot_be_kept_is_refused_before_training(call: Call, tiny: Path) -> None:
    message = complaint(call("train", tiny, "--set", "compress.0.prune.sparsity=0.95"))
    assert "compress.prune.sparsity: 0.95 cannot be reached" in message
    assert not Path("runs").exists()


def test_a_broken_picture_of_test_is_left_out_of_all_figures(call: Call, tmp_path: Path) -> None:
    """Another stood in for it, and counted twice."""
    found = write_photographs(tmp_path / "found", classes=2, each=24)
    for sign in found.iterdir():
        for number, path in enumerate(sorted(sign.iterdir())):
            place = tmp_path / "photos" / SPLITS[number % 3] / sign.name
            place.mkdir(parents=True, exist_ok=True)
            path.rename(place / path.name)
    first = min((tmp_path / "photos/test/sign0").iterdir())
    first.write_bytes(first.read_bytes()[:-2000])
    (tmp_path / "r.yaml").write_text(
        "model: {tiny: {width: 2}}\nimage: {size: 32}\n"
        "data: {directory: {path: photos, skip_broken: true}}\n"
        "train: {epochs: 1, batch_size: 8}\nexport: [float32]\n"
    )
    run = as_json(call("train", "r.yaml", "--json"))["run"]
    rows = json.loads(Path(run, "metrics.json").read_text())["rows"]
    assert [row["pictures"] for row in rows] == [15, 15]
    again = call("evaluate", run, "--json")
    keys = ("pictures", "top1", "val_top1", "confusion")
    assert [[row[key] for key in keys] for row in as_json(again)["rows"]] == [
        [row[key] for key in keys] for row in rows
    ]
    said = "test: measuring on the 15 of 16 pictures that can be decoded\n"
    assert said in again.stderr
    compared = as_json(call("compare", run, "--json"))["targets"]
    assert compared[0]["confusion"] == rows[1]["confusion"]


def test_folders_and_class_weights_and_sgd_train(call: Call, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", classes=3, each=20)
    (tmp_path / "mine.yaml").write_text(
        "model: tiny\ndata: {directory: {path: photos}}\nimage: {size: 32, mean: [120, 115, 110], std: 60}\n"
        "augment: {flip: horizontal, mixup: 0.2}\n"
        "train: {epochs: 2, batch_size: 8, optimizer: sgd, learning_rate: 0.05, class_weights: true,"
        " label_smoothing: 0.1, average: 0}\nexport: [{int8: {io: int8}}]\n"
    )
    made = as_json(call("train", "mine.yaml", "--json"))
    agreed = contract.read(Path(made["exports"][0]))
    assert agreed.labels == ["sign0", "sign1", "sign2"]
    assert agreed.image.mean == (120, 115, 110)
    assert agreed.input.dtype == "int8"
    metrics = Path(made["run"], "metrics.json").read_bytes()
    write_photographs(tmp_path / "others", classes=3, each=10)
    again = ("export", made["run"], "--int8", "--data", "others")
    message = complaint(call(*again))
    assert "runs/mine has files measured on its own pictures, and `--data` has others." in message
    as_json(call(*again, "--out", "app", "--json"))
    pictures = sorted(Path("others").rglob("*.jpg"))
    rows = [f"{path},{path.parent.name}\n" for path in pictures]
    Path("others.csv").write_text("".join(["path,label\n", *rows]))
    found = [
        as_json(call("evaluate", made["run"], "--data", data, "--json"))["rows"]
        for data in ("others", "others.csv")  # of another kind than the run's own
    ]
    for one, other in zip(*found, strict=True):
        assert (one["pictures"], one["top1"]) == (other["pictures"], other["top1"])
    message = complaint(call(*again[:-1], "others.csv", "--out", "app"))
    assert "others.csv is not of the kind that data directory reads." in message
    assert Path(made["run"], "metrics.json").read_bytes() == metrics


def test_checkpoints_and_plans_of_another_run_are_refused(copy: Path, call: Call) -> None:
    """Of the same network, pixels and classes, so that the weights fit."""
    run = copy / "runs" / "tiny" / "checkpoints"
    plan, content = run / "prune.plan.json", (run / "prune.plan.json").read_text()
    plan.write_text(content.replace('"sparsity"', '"density"'))
    for command in ("evaluate", "export"):
        assert "prune.npz is of another run: its plan differs from its plan.json." in complaint(
            call(command, copy / "runs" / "tiny")
        )
    plan.write_text(content)
    arrays, note = checkpoint.read(run / "fit.npz")
    assert {"recipe", "pictures", "plan"} <= note.keys()
    note["recipe"]["seed"] = 7
    checkpoint.write(run / "fit.npz", arrays, note)
    told = complaint(call("evaluate", copy / "runs" / "tiny"))
    assert "fit.npz is of another run: its recipe differs from recipe.yaml and data.json." in told
    note["recipe"]["seed"] = 0
    checkpoint.write(run / "fit.npz", arrays, note)
    (copy / "runs" / "tiny" / "metrics.json").unlink()
    (run / "qat.npz").unlink()
    note["pictures"]["train"] = "0"
    checkpoint.write(run / "qat.state.npz", arrays, note)
    told = complaint(call("train", copy / "runs" / "tiny", "--resume"))
    assert "qat.state.npz is of another run: its pictures" in told


def test_a_page_without_room_leaves_the_run_finished_and_says_how_to_write_it(
    copy: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = copy / "runs" / "tiny", Path.write_bytes
    (run / "metrics.json").unlink()

    def full(path: Path, content: bytes) -> int:
        if content[:9].lower() == b"<!doctype":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    told = complaint(call("train", run, "--resume"))
    assert "report.html: No space left on device." in told
    assert f"hint: The run is finished. Free some space, then `tflite-light report {run}`" in told
    assert (run / "metrics.json").exists()


def test_a_file_of_another_run_among_the_exports_is_refused(copy: Path, call: Call) -> None:
    run = copy / "runs" / "tiny"
    metrics = json.loads((run / "metrics.json").read_text())
    rows = {row["name"]: row for row in metrics["rows"]}
    agreed = json.loads((run / "exports" / "int8.json").read_text())
    assert rows["int8"]["sha256"] == agreed["flatbuffer"]["sha256"]
    rows["int8"]["sha256"] = "0"
    (run / "metrics.json").write_text(json.dumps({**metrics, "rows": list(rows.values())}))
    told = complaint(call("evaluate", run))
    assert "int8.tflite is not this run's: metrics.json records another network" in told
    assert f"hint: Write it again with `tflite-light export {run} --int8`." in told
    (run / "metrics.json").write_text("{}")
    before = (run / "exports" / "int8.json").stat().st_mtime_ns
    for command in ("evaluate", "export"):
        assert "metrics.json is damaged." in complaint(call(command, run))
    assert (run / "exports" / "int8.json").stat().st_mtime_ns == before
    data = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**data, "contents": []}))
    assert "data.json is damaged." in complaint(call("evaluate", run))


def test_pictures_of_the_same_names_and_sizes_are_not_taken_for_the_run_s(
    call: Call, tmp_path: Path
) -> None:
    """Raw pictures all have one size: a file was calibrated, judged and kept by others' pixels."""
    for name, seed in (("bmp", 0), ("other", 9)):
        source = Synthetic(count=60, number_of_classes=3, side=32, seed=seed)
        for part in SPLITS:
            pictures = source.split(part)
            for index, label in enumerate(pictures.labels):
                path = tmp_path / name / part / f"c{label}" / f"{part}{index}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels: Any = pictures.read(index)
                Pillow.fromarray(pixels).save(path)
    (tmp_path / "mine.yaml").write_text(
        "model: {tiny: {width: 4}}\ndata: {directory: {path: bmp}}\nimage: {size: 32}\n"
        "train: {epochs: 1}\nexport: [float32]\n"
    )
    run = as_json(call("train", "mine.yaml", "--json"))["run"]
    for command in (("export", run, "--int8"), ("evaluate", run), ("report", run)):
        assert "hold other bytes than" in complaint(call(*command, "--data", "other"))
    assert sorted(path.name for path in Path(run, "exports").glob("*.tflite")) == ["float32.tflite"]
    rows = as_json(call("evaluate", run, "--data", "other/val", "--json"))["rows"]
    assert rows[0]["pictures"] == len(list(Path("other/val").rglob("*.bmp")))


def test_a_finished_run_is_not_begun_again_from_python(home: Path) -> None:
    """It wrote metrics.json anew, without the files that were exported later."""
    run = folder.open_run(home / "runs" / "tiny")
    with pytest.raises(UserError, match="is finished"):
        conductor.resume(run)
    with pytest.raises(UserError, match=r"there is no mode int4.\nhint: They are "):
        finished.export(run, ["int4"])


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_a_link_is_written_through_and_a_pipe_into(tmp_path: Path) -> None:
    """A device in a container, where one is root, was replaced by a file."""
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    files.write(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # or writing would wait
    files.write(tmp_path / "pipe", "through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("problem", "hint"),
    [
        ("compress.prune.sparsity: 0.5 cannot be reached.", "Lower it. Then train anew: a run"),
        ("x.jpg cannot be read any more (gone).", "Lower it."),
    ],
)
def test_a_stage_that_cannot_keep_its_promise_in_a_run_says_to_train_anew(
    problem: str, hint: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, planned = Prune.plan, list[bool]()

    def refusing(stage: Prune, model: Any, data: Any) -> Any:
        planned.append(data is not None)
        if planned[-1]:
            raise UserError(problem, "Lower it.")
        return plan(stage, model, data)

    monkeypatch.setattr(Prune, "plan", refusing)
    tiny.write_text(TINY.replace("epochs: 3", "epochs: 1"))
    with pytest.raises(UserError) as raised:
        conductor.start(tiny, runs=tmp_path / "runs")
    assert planned == [False, True]
    assert raised.value.problem == problem
    assert raised.value.hint.startswith(hint)
    assert ("train anew" in raised.value.hint) == problem.startswith("compress.")


@pytest.mark.parametrize("outliers", ["false", "true"])
def test_keras_traces_the_graph_of_a_phase_once(
    outliers: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is made inside the first step has it traced again: seconds of each phase."""
    step, traced = keras.Model.train_step, list[str]()

    def counted(model: Any, data: Any) -> Any:
        traced.append(model.name)
        return step(model, data)

    monkeypatch.setattr(keras.Model, "train_step", counted)
    tiny.write_text(TINY.replace("train: {", f"train: {{made_outliers: {outliers}, "))
    conductor.start(tiny, runs=tmp_path / "runs")
    assert len(traced) == 3
