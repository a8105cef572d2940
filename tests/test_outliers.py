"""Pictures that are of no class: set apart in every source, learnt as such, told by the file."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_json, complaint, invoke

from tflite_light import contract
from tflite_light.contract import Image
from tflite_light.data.directory import Directory
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.measure.predict import Predictor
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import training
from tflite_light.pipeline.made import MADE, Both, Made
from tflite_light.pipeline.reading import read
from tflite_light.recipe.distil import Distil
from tflite_light.runs.evaluating import evaluate_file, outliers_at
from tflite_light.stack import keras, tf
from tflite_light.training.distillation import Distillation
from tflite_light.training.exposure import Exposure
from tflite_light.training.objective import CrossEntropy

RECIPE = """
model: {tiny: {width: 4}}
data: {synthetic: {count: 900, number_of_classes: 3, side: 40, outliers: pattern1}}
image: {size: 32}
train: {epochs: 5, batch_size: 32, learning_rate: 0.02, warmup_epochs: 1}
compress:
  - prune: {sparsity: 0.5, epochs: 1}
  - qat: {epochs: 2}
export: [float32, int8]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, `runs/tiny`, that learnt outliers; tests only read it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "tiny.yaml").write_text(RECIPE)
    as_json(invoke("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json"))
    return folder


@pytest.mark.parametrize("name", ["pattern7", "Pattern1"])
def test_a_class_of_outliers_that_is_not_there_is_refused(
    name: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    message = complaint(call("train", "r.yaml", "--set", f"data.synthetic.outliers={name}"))
    assert message == (
        f"data synthetic has no class '{name}' of outliers; its classes are pattern0, pattern1, pattern2.\n"
        "hint: Set `data.synthetic.outliers` to one of them, or leave it out.\n"
    )


def test_one_class_beside_outliers_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    message = complaint(call("train", "r.yaml", "--set", "data.synthetic.number_of_classes=2"))
    assert "at least two classes are needed, found only 'pattern0'." in message


def test_a_part_without_outliers_is_refused(photos: Path, call: Call, tmp_path: Path) -> None:
    for part in ("train", "test"):
        shutil.copytree(photos, tmp_path / "signs" / part)
    shutil.rmtree(tmp_path / "signs/test/sign2")
    (tmp_path / "r.yaml").write_text(RECIPE)
    source = "data={directory: {path: signs, outliers: sign2}}"
    message = complaint(call("train", "r.yaml", "--set", source))
    assert "none fell to test.\nhint: Twenty or more are enough" in message


def test_outliers_of_one_part_are_not_those_of_another(
    photos: Path, call: Call, tmp_path: Path
) -> None:
    *classes, none = sorted(folder for folder in photos.iterdir() if folder.is_dir())[:3]
    for place, part in enumerate(("train", "val", "test")):
        for folder in classes:
            for picture in sorted(folder.iterdir())[4 * place : 4 * place + 4]:
                copied(picture, tmp_path / "parts" / part / folder.name)
        for picture in sorted(none.iterdir())[:4]:
            copied(picture, tmp_path / "parts" / part / "none")
    own = "data={directory: {path: parts, outliers: none}}"
    (tmp_path / "r.yaml").write_text(RECIPE)
    message = complaint(call("train", "r.yaml", "--set", own))
    assert "4 of 4 outlier val pictures (100.0%) are in train or outlier train, too" in message


def copied(picture: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(picture, folder)


def test_other_pictures_need_no_class_of_outliers(photos: Path) -> None:
    *_, name = sorted(folder.name for folder in photos.iterdir() if folder.is_dir())
    for outliers, left in ((name, name), ("none", None)):
        source = Directory(path=str(photos), outliers=outliers)
        assert source.with_outliers_there().outliers == left


def test_dist_and_outliers_are_refused_together(call: Call, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE + "distil: {teacher: runs/t, loss: dist}\n")
    message = complaint(call("check", "r.yaml"))
    assert "adds some that the teacher does not know; set distil.loss to kd" in message


def test_dist_and_made_outliers_are_refused_together(call: Call, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE + "distil: {teacher: runs/t, loss: dist}\n")
    source = "data={synthetic: {}}", "--set", "train.made_outliers=true"
    message = complaint(call("check", "r.yaml", "--set", *source))
    assert "train.made_outliers adds some that the teacher does not know" in message


def test_made_pictures_differ_and_stay_what_they_are() -> None:
    made = Made(40)
    assert len(made) == MADE
    found = made.pixels(range(300))
    assert found.shape == (300, 40, 40, 3)
    assert found.dtype == np.uint8
    assert len({one.tobytes() for one in found}) == 300
    np.testing.assert_array_equal(made.pixels([7, 299, 7]), found[[7, 299, 7]])


def test_made_pictures_are_of_all_colours_and_roughness() -> None:
    """As other pictures are: dark and light, grey and colourful, smooth and rough."""
    found = Made(64).pixels(range(300)).astype(float)
    light, colourful = found.mean(axis=(1, 2, 3)), np.ptp(found, axis=3).mean(axis=(1, 2))
    rough = np.abs(np.diff(found, axis=1)).mean(axis=(1, 2, 3))
    for values, low, high in ((light, 70, 180), (colourful, 10, 80), (rough, 3, 12)):
        assert 0.05 < (values < low).mean() < 0.6
        assert 0.05 < (values > high).mean() < 0.6


def test_two_kinds_of_outliers_take_turns() -> None:
    class Numbered:
        def __init__(self, first: int, count: int):
            self.first, self.count = first, count

        def __len__(self) -> int:
            return self.count

        def pixels(self, indices: Any) -> np.ndarray:
            return np.array([self.first + index for index in indices])

    both = Both(Numbered(0, 2), Numbered(10, 5))
    assert len(both) == 10
    assert both.pixels(range(10)).tolist() == [0, 10, 1, 11, 0, 12, 1, 13, 0, 14]


def test_batches_have_a_quarter_of_outliers_more_each_as_often() -> None:
    data = Synthetic(count=300, number_of_classes=3, side=40, outliers="pattern1").load(
        Image(size=32)
    )
    outliers = read({"few": data.outliers["train"].pictures.chosen(range(5))}, Image(size=32))[
        "few"
    ]
    batches = list(training(data.train, 2, 32, Augment(), 3, range(1), outliers=outliers))
    assert len(batches) == 4  # 140 pictures
    counts = np.zeros(5, int)
    known = next(outliers.inputs(range(5)))
    for inputs, labels in batches:
        assert inputs.shape == (40, 32, 32, 3)
        assert labels.numpy().sum(axis=1).tolist() == [1] * 32 + [0] * 8
        counts += [
            sum(np.array_equal(one, other) for one in inputs.numpy()[32:]) for other in known
        ]
    assert counts.sum() == 32
    assert counts.max() - counts.min() == 1


def test_each_device_gets_outliers_of_its_own_beside_its_part() -> None:
    data = Synthetic(count=300, number_of_classes=3, side=40, outliers="pattern1").load(
        Image(size=32)
    )
    given, strange = (data.train, 2, 32, Augment(), 3, range(1)), data.outliers["train"]
    known = [one.tobytes() for one in strange.inputs(range(len(strange)), 1)]
    drawn = []
    for index in range(2):
        parts = list(training(*given, (range(index, index + 1), 2), strange))
        assert len(parts) == 4
        for inputs, labels in parts:
            assert labels.numpy().sum(axis=1).tolist() == [1] * 16 + [0] * 4
            drawn += [one.tobytes() for one in inputs.numpy()[16:]]
    assert len(known) > 32
    assert set(drawn) <= set(known)
    assert len(set(drawn)) == 32  # none twice


LOGITS = np.array([[2, 0, 1], [1, 1, 4], [3, 0, 0], [0, 0, 0]], np.float32)
LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0.3, 0.3, 0]], np.float32)


def cross_entropy(targets: Any, logits: Any) -> Any:
    return -(targets * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1)


def marked(objective: Exposure, width: int = 0) -> tf.Tensor:
    batches = tf.data.Dataset.from_tensors((tf.zeros((4, 2)), tf.constant(LABELS)))
    return next(iter(objective.labelled(batches)))[1]


def test_exposure_adds_the_cross_entropy_of_equal_probabilities() -> None:
    """Of a mixture of both, each by its share; its gradient is that of the sum by hand."""
    objective = Exposure(CrossEntropy(), weight=2.0)
    targets = marked(objective)
    strange = 1 - LABELS.sum(axis=1)
    expected = cross_entropy(LABELS + 2 * strange[:, None] / 3, LOGITS)
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        found = objective.loss()(targets, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    by_hand = (1 - strange)[:, None] * shares - LABELS + 2 * strange[:, None] * (shares - 1 / 3)
    np.testing.assert_allclose(tape.gradient(found, logits), by_hand, atol=1e-6)


def test_exposure_leaves_validation_as_it_is() -> None:
    objective, labels = (
        Exposure(CrossEntropy(), weight=2.0),
        np.eye(3, dtype=np.float32)[[0, 1, 2, 0]],
    )
    np.testing.assert_allclose(
        objective.loss()(labels, LOGITS), cross_entropy(labels, LOGITS), rtol=1e-5
    )


def test_training_accuracy_leaves_outliers_out() -> None:
    objective = Exposure(CrossEntropy(), weight=2.0)
    metric = objective.accuracy()
    metric.update_state(marked(objective)[:3], LOGITS[:3])
    assert (
        float(metric.result()) == 0.5
    )  # the first is right, the second wrong, the third an outlier


def test_accuracy_and_exposure_compile_by_xla() -> None:
    objective = Exposure(CrossEntropy(), weight=2.0)
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=objective.loss(), metrics=[objective.accuracy()], jit_compile=True)
    batches = tf.data.Dataset.from_tensors((tf.constant(LOGITS), tf.constant(LABELS)))
    found = model.fit(objective.labelled(batches), verbose=0).history
    assert 0 <= found["accuracy"][0] <= 1
    assert np.isfinite(found["loss"][0])


def test_a_teacher_says_nothing_of_outliers() -> None:
    class Teacher:
        traces = False

        def logits(self, batches: Any) -> Any:
            return np.concatenate(
                [np.full((len(one), 3), [9, 0, 0], np.float32) for one in batches]
            )

    settings = Distil(teacher="t", weight=0.5)
    inner = Distillation(Teacher(), settings)
    objective = Exposure(inner, weight=2.0)
    targets = marked(objective)
    assert targets.shape == (4, 7)  # three labels, three answers, and the share of outliers
    found = objective.loss()(targets, LOGITS).numpy()
    np.testing.assert_allclose(found[:2], inner.loss()(targets[:2, :6], LOGITS[:2]), rtol=1e-5)
    assert found[2] == pytest.approx(
        2 * cross_entropy(np.full((1, 3), 1 / 3), LOGITS[2:3])[0], rel=1e-5
    )


def test_outliers_are_no_class_in_any_phase_and_are_rejected(home: Path) -> None:
    metrics = json.loads((home / "runs/tiny/metrics.json").read_text())
    assert metrics["pictures"] == {"train": 420, "val": 60, "test": 120}
    rows = {row["name"]: row for row in metrics["rows"]}
    assert [*rows] == ["fit", "prune", "qat", "float32", "int8"]
    for name in ("float32", "int8"):
        assert rows[name]["pictures"] == 120
        assert (rows[name]["top1"], rows[name]["outliers"]) == (1.0, 60)
        assert rows[name]["rejected"] <= 0.05
        assert rows[name]["calibration_error"] <= 0.05
        agreed = contract.read(home / f"runs/tiny/exports/{name}.tflite")
        assert agreed.labels == ["pattern0", "pattern2"]
        assert {one.label for one in agreed.golden} <= {None, "pattern0", "pattern2"}
        assert agreed.confidence
        assert (agreed.confidence.pictures, agreed.confidence.rejected) == (60, 0)
    assert rows["int8"]["outliers_rejected"] >= 0.95


def test_evaluate_gives_the_same_shares_again_and_those_of_other_outliers(
    home: Path, call: Call, photos: Path
) -> None:
    run, keys = (
        home / "runs/tiny",
        ("rejected", "outliers", "outliers_rejected", "calibration_error"),
    )
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    again = as_json(call("evaluate", run, "--json"))["rows"]
    assert [[row[key] for key in keys] for row in again] == [
        [row[key] for key in keys] for row in rows
    ]
    result = call("evaluate", run, "--outliers", photos)
    assert result.exit_code == 0, result.output
    columns = "agreement", "ECE", "rejected", "outliers rejected"
    assert " ".join(columns) in " ".join(result.stdout.splitlines()[1].split())
    others = as_json(call("evaluate", run, "--outliers", photos, "--json"))["rows"]
    assert [row["outliers"] for row in others] == [None, None, None, 60, 60]
    both = [run / "exports" / f"{name}.tflite" for name in ("float32", "int8")]
    compared = as_json(call("compare", *both, "--json"))["targets"]
    assert [[row[key] for key in ("rejected", "calibration_error")] for row in compared] == [
        [row[key] for key in ("rejected", "calibration_error")] for row in rows[-2:]
    ]
    message = complaint(call("evaluate", run, "--outliers", "nowhere"))
    assert message.startswith("data folder nowhere does not exist.")


def test_a_place_without_pictures_is_named_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    found = {"lost": "does not exist", "file": "is a file", "empty": "holds no pictures"}
    for name, problem in found.items():
        folder = tmp_path / name
        with pytest.raises(UserError, match=f"^data folder {folder} {problem}\\.\n") as refusal:
            outliers_at(folder, Image(size=32), skip_strangers=False)
        hint = "Set data.pictures.path, or `--outliers`, to a folder of pictures."
        assert refusal.value.hint == hint


@pytest.mark.slow
def test_made_outliers_have_files_reject_photographs(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    own = "data={synthetic: {count: 900, number_of_classes: 3, side: 40}}"
    set_ = "--set", own, "--set", "train.made_outliers=true"
    run = as_json(call("train", "r.yaml", *set_, "--json"))["run"]
    rows = as_json(call("evaluate", run, "--outliers", photos, "--json"))["rows"]
    int8 = rows[-1]
    assert (int8["name"], int8["top1"], int8["outliers"]) == ("int8", 1.0, 60)
    assert int8["rejected"] <= 0.05
    assert int8["outliers_rejected"] >= 0.95


def test_too_few_pictures_for_a_threshold_are_said_before_the_training(
    call: Call, tmp_path: Path
) -> None:
    """It was said behind it, when the file had none."""
    (tmp_path / "r.yaml").write_text(RECIPE)
    own = "data={synthetic: {count: 120, number_of_classes: 3, side: 40}}"
    result = call("train", "r.yaml", "--set", own, "--set", "train.made_outliers=true")
    said = "outliers will be answered as others: 49 val pictures set a threshold for them"
    assert 0 < result.stderr.index(said) < result.stderr.index("\nfit ")


def test_predict_names_none_of_the_labels(home: Path, call: Call, tmp_path: Path) -> None:
    source = Synthetic(count=900, number_of_classes=3, side=40)
    model, test = home / "runs/tiny/exports/int8.tflite", source.split("test")
    known, strange = (test.labels.index(label) for label in (0, 1))
    from PIL import Image as Pillow

    for name, index in (("known", known), ("strange", strange)):
        Pillow.fromarray(test.read(index)).save(tmp_path / f"{name}.png")  # type: ignore[arg-type]
    result = call("predict", model, "known.png", "strange.png")
    assert result.exit_code == 0, result.output
    first, second = csv.reader(result.stdout.splitlines(), delimiter="\t")
    assert (first[:2], second) == (["known.png", "pattern0"], ["strange.png", "none of these", ""])
    assert 0.9 < float(first[2]) < 1  # as sure as 60 pictures allow
    asked = "predict", model, "known.png", "strange.png", "--top", "2"
    found = [json.loads(line) for line in call(*asked, "--json").stdout.splitlines()]
    assert [one["none_of_these"] for one in found] == [False, True]
    assert [len(one["answers"]) for one in found] == [2, 2]
    table = csv.DictReader(call(*asked, "--csv").stdout.splitlines())
    assert [row["none_of_these"] for row in table] == ["false", "false", "true", "true"]
    assert Predictor(model).predict("strange.png").none_of_these is True
    copied(tmp_path / "known.png", tmp_path / "known" / "pattern0")
    answered = evaluate_file(model, tmp_path / "known").answered
    assert answered
    assert answered.sure.tolist() == [pytest.approx(found[0]["answers"][0]["probability"])]


def test_a_file_of_an_older_contract_knows_no_threshold(
    home: Path, call: Call, tmp_path: Path
) -> None:
    for name in ("float32.tflite", "float32.json"):
        shutil.copy(home / "runs/tiny/exports" / name, tmp_path / name)
    model = tmp_path / "float32.tflite"
    model.write_bytes(model.read_bytes().partition(b"PK\x03\x04")[0])
    value = json.loads(contract.beside(model).read_text()) | {
        "minor": 2,
        "golden": [],
        "golden_sha256": None,
    }
    del value["confidence"]
    contract.beside(model).write_text(json.dumps(value))
    found = Predictor(model).predict(np.zeros((40, 40, 3), np.uint8))
    assert found.none_of_these is None
    asked = "evaluate", model, "--data", tmp_path, "--outliers", tmp_path
    assert "float32.tflite has no threshold, so it gives every picture a label." in complaint(
        call(*asked)
    )
    assert found.answers[0].label in ("pattern0", "pattern2")
