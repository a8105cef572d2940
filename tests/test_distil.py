"""Distillation: its losses by hand, the teacher's views, kinds of teacher, refusals, going on."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_json, complaint, invoke

from tflite_light import recipe as recipes
from tflite_light.contract import Image, without_archive
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.measure.accuracy import Measured
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import picture_errors, training
from tflite_light.pipeline.pictures import Pictures
from tflite_light.pipeline.preprocess import normalise, translated
from tflite_light.recipe.distil import Distil
from tflite_light.report.measured import show
from tflite_light.runs import chain
from tflite_light.runs.folder import open_run
from tflite_light.runs.teacher import open_teacher
from tflite_light.stack import keras, tf
from tflite_light.training import history
from tflite_light.training.distillation import Distillation, correlation, divergence
from tflite_light.training.phase import _weighed

STUDENT = """
model: {tiny: {width: 4}}
data: {synthetic: {count: 120, number_of_classes: 3, side: 40}}
image: {size: 32}
augment: {translate: 0.1, contrast: 0.2}
train: {epochs: 2, batch_size: 8, learning_rate: 0.01, warmup_epochs: 1}
distil: {teacher: TEACHER, loss: dist}
export: [float32]
"""
QUICK = ("--set", "distil.loss=kd", "--set", "train.epochs=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished teacher, `runs/teacher`; tests only read it."""
    folder = tmp_path_factory.mktemp("home")
    text = STUDENT.replace("distil: {teacher: TEACHER, loss: dist}\n", "")
    (folder / "teacher.yaml").write_text(text.replace("epochs: 2", "epochs: 8"))
    as_json(invoke("train", folder / "teacher.yaml", "--runs", folder / "runs", "--json"))
    return folder


@pytest.fixture
def student(tmp_path: Path, home: Path) -> Path:
    path = tmp_path / "student.yaml"
    path.write_text(STUDENT.replace("TEACHER", str(home / "runs" / "teacher")))
    return path


def softmax(logits: Any, temperature: float) -> Any:
    powers = np.exp(logits / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


TAUGHT, LEARNT = np.random.default_rng(0).normal(0, 3, (2, 5, 4)).astype(np.float32)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_the_divergence_of_softened_probabilities(temperature: float) -> None:
    p, q = softmax(TAUGHT, temperature), softmax(LEARNT, temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1)
    np.testing.assert_allclose(divergence(TAUGHT, LEARNT, temperature), expected, rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dist_is_what_correlation_lacks_of_1_by_picture_and_by_class(temperature: float) -> None:
    p, q = softmax(TAUGHT, temperature), softmax(LEARNT, temperature)
    pictures = [1 - np.corrcoef(p[n], q[n])[0, 1] for n in range(5)]
    classes = [1 - np.corrcoef(p[:, c], q[:, c])[0, 1] for c in range(4)]
    expected = temperature**2 * (np.array(pictures) + np.mean(classes))
    np.testing.assert_allclose(correlation(TAUGHT, LEARNT, temperature), expected, rtol=1e-4)


def test_the_loss_shares_out_and_is_the_cross_entropy_alone_without_a_teacher() -> None:
    labels = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0]]
    targets = np.concatenate([labels, tf.nn.log_softmax(TAUGHT)], axis=1)
    settings = Distil(teacher="any", loss="kd", weight=0.3, temperature=2)
    loss = Distillation(KerasModel(None), settings, label_smoothing=0.1).loss()
    smooth = 0.9 * labels + 0.1 / 4
    hard = -(smooth * np.log(softmax(LEARNT, 1))).sum(axis=1)
    np.testing.assert_allclose(loss(labels, tf.constant(LEARNT)), hard, rtol=1e-5)
    expected = 0.7 * hard + 0.3 * divergence(TAUGHT, LEARNT, 2).numpy()
    np.testing.assert_allclose(loss(targets, tf.constant(LEARNT)), expected, rtol=1e-4)


@pytest.mark.parametrize("compare", [correlation, divergence])
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_answers_that_are_alike_or_certain_have_a_finite_gradient(
    compare: Any, scale: float
) -> None:
    logits = tf.constant(np.eye(4, dtype=np.float32)[[0, 0, 0]] * scale)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = compare(tf.nn.log_softmax(logits), logits, 1.0)
    assert np.isfinite(tape.gradient(loss, logits)).all()
    assert np.isfinite(loss).all()


def test_the_default_temperature_suits_the_loss() -> None:
    assert Distil(teacher="any").softening == 2
    assert Distil(teacher="any", loss="dist").softening == 1
    assert Distil(teacher="any", loss="dist", temperature=3).softening == 3


def test_the_teacher_is_asked_about_the_student_s_very_pixels(student: Path) -> None:
    """Its answers beside each batch are what it answers to that batch, altered and mixed up."""
    recipe = recipes.load(student)
    data = recipe.source.load(recipe.image)
    teacher = open_teacher(recipe, data.classes)
    assert teacher
    assert recipe.distil
    augment = Augment(translate=0.3, rotate=30, mixup=0.5)
    batches = training(data.train, 3, 8, augment, 0, range(1))
    model = chain.fitted(open_run(teacher.path))
    seen = 0
    for inputs, targets in Distillation(teacher, recipe.distil).labelled(batches):
        expected = tf.nn.log_softmax(model(inputs, training=False))
        np.testing.assert_allclose(targets[:, 3:], expected, atol=1e-5)
        np.testing.assert_allclose(divergence(targets[:, 3:], model(inputs), 4.0), 0, atol=1e-5)
        np.testing.assert_allclose(tf.reduce_sum(targets[:, :3], axis=1), 1, atol=1e-6)
        assert (np.argmax(targets, axis=1) < 3).all()  # what accuracy and class weights rely on
        seen += len(inputs)
    assert seen == 80


def test_accuracy_and_class_weights_go_by_the_label() -> None:
    """A network that always answers class 1, and a teacher that is certain of class 2."""
    model = keras.Sequential([keras.layers.Lambda(lambda x: x)])
    settings = Distil(teacher="any", loss="kd", weight=1e-9)
    labels = np.eye(3, dtype=np.float32)[[1, 0]]
    targets = tf.concat([labels, tf.nn.log_softmax([[0.0, 0, 500]] * 2)], axis=1)
    logits = tf.constant([[0.0, 4, 0]] * 2)
    objective = Distillation(KerasModel(model), settings)
    model.compile("sgd", loss=objective.loss(), metrics=[objective.accuracy()])
    batch = tf.data.Dataset.from_tensors((logits, targets))
    plain, weighted = (
        model.fit(batch, class_weight=weights, verbose=0).history
        for weights in (None, {0: 0.0, 1: 1.0, 2: 9.0})
    )
    hard = -np.log(softmax(np.array(logits), 1))[0]
    assert plain["accuracy"] == weighted["accuracy"] == [0.5]
    assert plain["loss"] == pytest.approx([(hard[1] + hard[0]) / 2], rel=1e-4)
    assert weighted["loss"] == pytest.approx([hard[1] / 2], rel=1e-4)


def test_a_mixture_weighs_by_the_shares_of_its_classes() -> None:
    """It had the weight of its greater class alone; what is of no class weighs 1."""
    train = Pictures([*"abcdefgh"], [0] * 6 + [1] * 2, lambda index: b"")
    data: Any = SimpleNamespace(classes=["a", "b"], train=train)
    targets = tf.constant([[1, 0, -9], [0, 1, 0], [0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1.0]])
    batches = _weighed(tf.data.Dataset.from_tensors((targets, targets)), data)
    ((_, kept, weights),) = batches
    assert np.array_equal(kept, targets)
    np.testing.assert_allclose(weights, [2 / 3, 2, 1, 1.5, 1], rtol=1e-6)


def test_inputs_become_those_of_the_teacher_s_contract() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    given = Image(size=32)
    own = Image(size=32, channels="BGR", mean=(103.9, 116.8, 123.7), std=(57, 58, 59))
    inputs = normalise(pixels, given)
    np.testing.assert_allclose(translated(inputs, given, own), normalise(pixels, own), atol=1e-5)
    assert translated(inputs, given, given.model_copy(update={"crop": 0.9})) is inputs
    flat = np.full((1, 32, 32, 3), 77, np.float32)
    larger = translated(normalise(flat, given), given, own.model_copy(update={"size": 48}))
    np.testing.assert_allclose(larger, normalise(np.full((1, 48, 48, 3), 77.0), own), atol=1e-5)


def test_a_run_teaches_and_the_report_has_its_row(
    student: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = as_json(call("train", student, *QUICK, "--json"))["rows"]
    assert [row["name"] for row in rows] == ["teacher", "fit", "float32"]
    show([Measured("teacher", 24, 1.0, latency_ms=1.0)])
    assert capsys.readouterr().out.splitlines()[-3].split() == ["teacher", "1.0000"]
    teacher = next(row for row in rows if row["name"] == "teacher")
    assert teacher["top1"] == 1.0
    recipe = recipes.load(student)
    opened = open_teacher(recipe, recipe.source.classes())
    assert opened
    data = json.loads(Path("runs/student/data.json").read_text())
    assert data["teacher"] == opened.digest == open_run("runs/student").origin.teacher


@pytest.mark.slow
def test_a_recipe_and_a_tflite_teach_as_the_run_does(
    student: Path, home: Path, call: Call, tmp_path: Path
) -> None:
    run = home / "runs" / "teacher"
    (tmp_path / "import.yaml").write_text(
        f"model: {{tiny: {{width: 4}}}}\nweights: {{run: {{path: {run}}}}}\n"
        "data: {synthetic: {number_of_classes: 3}}\nimage: {size: 32}\n"
    )
    shutil.copy(run / "exports" / "float32.tflite", tmp_path)
    weights = []
    for number, teacher in enumerate([run, "import.yaml", "float32.tflite"]):
        change = ("--set", f"distil.teacher={teacher}")
        made = call("train", student, *QUICK, *change, "--name", f"n{number}", "--json")
        assert as_json(made)["rows"][0]["top1"] == 1.0
        weights.append(checkpoint.read(Path(f"runs/n{number}/checkpoints/fit.npz"))[0])
        slow = "float32.tflite: a .tflite answers picture by picture" in made.stderr
        assert slow == (number == 2)
    assert recipes.load("runs/n1/recipe.yaml").distil == Distil(
        teacher=str(tmp_path / "import.yaml"), loss="kd"
    )
    for name, values in weights[0].items():
        assert np.array_equal(values, weights[1][name]), name
        np.testing.assert_allclose(values, weights[2][name], atol=1e-3)


@pytest.mark.slow
def test_a_teacher_of_other_pixels_is_shown_the_same_views(student: Path, call: Call) -> None:
    """Its accuracy is the same through mean and channels of the student's; a size is remarked."""
    image = "image={size: 32, mean: 100, std: 50, channels: BGR, filter: box}"
    made = call("train", student, *QUICK, "--set", image, "--json")
    assert as_json(made)["rows"][0]["top1"] == 1.0
    assert "was trained with filter: bilinear; it sees the student's pictures" in made.stderr
    made = call("train", student, *QUICK, "--set", "image.size=40", "--json")
    assert as_json(made)["rows"][0]["top1"] >= 0.9
    assert "pictures of 40 px are resized to 32 px" in made.stderr


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, nothing is cleaned up."""


@pytest.mark.slow
@pytest.mark.parametrize("features", [0, 5])
def test_a_killed_run_goes_on_to_the_same_weights(
    student: Path, call: Call, monkeypatch: pytest.MonkeyPatch, features: float
) -> None:
    options = ("--set", "compress=[{qat: {epochs: 2}}]", "--set", f"distil.features={features}")
    as_json(call("train", student, *options, "--name", "whole", "--json"))
    written = history.write_history

    def killing(phase: str) -> Any:
        def kill(home: Path, rows: list[dict[str, Any]]) -> None:
            if rows[-1]["phase"] == phase:
                raise Killed
            written(home, rows)

        return kill

    target: tuple[object, ...] = (student, *options, "--name", "killed")
    for phase in ("fit", "qat"):
        with monkeypatch.context() as patch:
            patch.setattr(history, "write_history", killing(phase))
            with pytest.raises(Killed):
                call("train", *target)
        target = ("runs/killed", "--resume")
    as_json(call("train", *target, "--json"))
    for name in ("fit", "qat"):
        whole, ended = (
            checkpoint.read(Path(f"runs/{run}/checkpoints/{name}.npz"))[0]
            for run in ("whole", "killed")
        )
        assert all(np.array_equal(ended[key], whole[key]) for key in whole)
    files = [Path(f"runs/{run}/exports/float32.tflite").read_bytes() for run in ("whole", "killed")]
    assert files[0] == files[1]


def test_a_teacher_that_was_changed_since_is_refused(student: Path, home: Path, call: Call) -> None:
    shutil.copytree(home / "runs" / "teacher", "runs/other")
    change = ("--set", "distil.teacher=runs/other")
    as_json(call("train", student, *QUICK, *change, "--json"))
    Path("runs/student/metrics.json").unlink()
    fit = Path("runs/other/checkpoints/fit.npz")
    arrays, note = checkpoint.read(fit)
    arrays["logits/bias"] += 1
    checkpoint.write(fit, arrays, note)
    message = complaint(call("train", "runs/student", "--resume"))
    assert "runs/other has other weights, or another image, than when runs/student was" in message
    shutil.rmtree("runs/other")
    message = complaint(call("train", "runs/student", "--resume"))
    assert "runs/other does not exist." in message


def test_teachers_that_cannot_be_used_are_refused_before_anything_is_written(
    student: Path, home: Path, call: Call, tmp_path: Path
) -> None:
    unfinished = Path(shutil.copytree(home / "runs" / "teacher", "unfinished"))
    (unfinished / "metrics.json").unlink()
    Path("empty").mkdir()
    Path("weights.npz").write_bytes(b"PK")
    Path("words.tflite").write_text("words")
    Path("drawn.yaml").write_text("model: tiny\nclasses: 3\nimage: {size: 32}\n")
    exports = home / "runs" / "teacher" / "exports"
    bare = without_archive((exports / "float32.tflite").read_bytes())
    Path("chances.tflite").write_bytes(bare)
    agreed = json.loads((exports / "float32.json").read_text())
    Path("chances.json").write_text(json.dumps(agreed | {"output_is": "probabilities"}))
    refusals = {
        "chances.tflite": "distil.teacher: chances.tflite answers with probabilities, and a teacher "
        "needs logits.",
        "none": f"distil.teacher: none does not exist in {tmp_path}, where the command is typed.",
        "empty": "empty is not a run: it has no recipe.yaml.",
        "unfinished": "unfinished is unfinished: it stopped at the export.",
        "weights.npz": "weights.npz is neither run, recipe nor .tflite.",
        "words.tflite": "words.tflite is not a TFLite file",
        "drawn.yaml": "drawn.yaml names no weights, so it would be drawn at random.",
        "student.yaml": "student.yaml has train:, so it is no finished model.",
    }
    for teacher, problem in refusals.items():
        message = complaint(call("train", student, "--set", f"distil.teacher={teacher}"))
        assert problem in message, (teacher, message)
        assert message.count("distil.teacher: ") == 1
        assert "\nhint: " in message
    assert not Path("runs").exists()
    message = complaint(call("check", student, "--set", "distil.teacher=none"))
    assert "distil.teacher: none does not exist" in message


def test_a_teacher_that_answers_with_no_numbers_is_named() -> None:
    broken = keras.Sequential([keras.layers.Lambda(lambda x: x[:, 0, 0] * np.nan)])
    objective = Distillation(KerasModel(broken), Distil(teacher="any"))
    batches = tf.data.Dataset.from_tensors((tf.zeros((2, 4, 4, 3)), tf.eye(2, 3)))
    with (
        pytest.raises(UserError, match=r"distil\.teacher: the network answers with NaN"),
        picture_errors(),
    ):
        list(objective.labelled(batches))


def test_a_classifier_saved_by_keras_is_a_teacher(
    student: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = chain.fitted(open_run(home / "runs" / "teacher"))
    model.save("teacher.h5")
    Path("labels.txt").write_text("pattern0\npattern1\npattern2\n")
    Path("teacher.yaml").write_text(
        "model: {keras_file: {path: teacher.h5}}\nlabels: labels.txt\nimage: {size: 32}\n"
    )
    recipe = recipes.load(student, ["distil.teacher=teacher.yaml"])
    teacher = open_teacher(recipe, ["pattern0", "pattern1", "pattern2"])
    assert teacher
    inputs = np.random.default_rng(0).normal(0, 1, (4, 32, 32, 3)).astype(np.float32)
    expected = KerasModel(model).logits([inputs])
    np.testing.assert_allclose(teacher.logits([inputs]), expected, atol=1e-5)


def test_a_teacher_of_other_classes_or_another_order_is_refused(
    student: Path, home: Path, call: Call
) -> None:
    more = ("--set", "data.synthetic.number_of_classes=4")
    message = complaint(call("train", student, *more))
    assert "knows other classes than the data has: pattern3 missing." in message
    fewer = ("--set", "data.synthetic.number_of_classes=2")
    assert "has: pattern2 new." in complaint(call("train", student, *fewer))
    run = home / "runs" / "teacher"
    Path("labels.txt").write_text("pattern0\npattern2\npattern1\n")
    Path("turned.yaml").write_text(
        f"model: {{tiny: {{width: 4}}}}\nweights: {{run: {{path: {run}}}}}\n"
        "labels: labels.txt\nimage: {size: 32}\n"
    )
    message = complaint(call("train", student, "--set", "distil.teacher=turned.yaml"))
    assert "has: class 1 is pattern2, not pattern1.\nhint: " in message
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("train=null", "distil needs train:"),
        ("distil.weight=0", "distil.weight: "),
        ("distil.temperature=0", "distil.temperature: "),
        ("distil.loss=dust", "distil.loss: "),
        ("distil={loss: kd}", "distil.teacher: "),
        ("distil.features=-1", "distil.features: "),
        ("distil.techer=x", "distil.techer: unknown name, did you mean teacher?"),
        ("train.batch_size=1", "distil.loss: dist compares the pictures of a batch"),
    ],
)
def test_mistakes_in_the_section_are_named(
    student: Path, call: Call, change: str, problem: str
) -> None:
    assert problem in complaint(call("check", student, "--set", change))
