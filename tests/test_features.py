"""Learning a teacher's feature maps: which they are, how they are compared, refusals, going on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_json, complaint, invoke

from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import evaluation, training
from tflite_light.recipe.distil import Distil
from tflite_light.runs import chain
from tflite_light.runs.folder import open_run
from tflite_light.runs.teacher import open_teacher
from tflite_light.sockets import load, names
from tflite_light.stack import keras, tf
from tflite_light.training.distillation import Distillation
from tflite_light.training.features import Maps, alignment, feature_maps

STUDENT = """
model: {tiny: {width: 4}}
data: {synthetic: {count: 60, number_of_classes: 3, side: 40}}
image: {size: 32}
augment: {translate: 0.1}
train: {epochs: 2, batch_size: 8, learning_rate: 0.01, warmup_epochs: 1}
distil: {teacher: TEACHER, features: 5}
export: [float32]
"""
DRAWN = [name for name in names("models") if not load("models", name).brings_weights]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of wider maps; tests only read it."""
    folder = tmp_path_factory.mktemp("teacher")
    text = STUDENT.replace("distil: {teacher: TEACHER, features: 5}\n", "")
    (folder / "teacher.yaml").write_text(text.replace("width: 4", "width: 8"))
    as_json(invoke("train", folder / "teacher.yaml", "--runs", folder / "runs", "--json"))
    return folder / "runs" / "teacher"


@pytest.fixture
def student(tmp_path: Path, teacher: Path) -> Path:
    path = tmp_path / "student.yaml"
    path.write_text(STUDENT.replace("TEACHER", str(teacher)))
    return path


SIDES = {  # of maps at 96 px; these pad and pool so that a side is lost
    "squeezenet": [5, 11, 23],
    "tiny": [6, 12, 24],
}


@pytest.mark.parametrize("part", DRAWN)
def test_maps_are_those_of_the_three_coarsest_resolutions(part: str) -> None:
    model = load("models", part)().build((96, 96, 3), 10)
    maps = list(feature_maps(model).values())
    assert [one.shape[1] for one in maps] == SIDES.get(part, [3, 6, 12])
    assert all(one.shape[1] == one.shape[2] for one in maps)
    if part == "mobilenet_v2":
        assert [tuple(one.shape[1:]) for one in maps] == [(3, 3, 1280), (6, 6, 576), (12, 12, 192)]


def test_pictures_margins_and_shuffles_are_no_maps() -> None:
    """Also behind layers without kernels, such as a ReLU over padding."""
    layers = keras.layers
    image = layers.Input((64, 64, 3))
    x = layers.Rescaling(2.0)(layers.Resizing(36, 36)(image[:, 2:-2, 2:-2]))
    x = layers.PReLU()(layers.ZeroPadding2D(3)(layers.Normalization(axis=(1, 2, 3))(x)))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(x)
    x = layers.MaxPooling2D(name="pool")(layers.ReLU()(layers.ZeroPadding2D(1)(x)))
    x = layers.Permute((2, 1, 3))(layers.Reshape((11, 11, 8))(x))
    logits = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    maps = feature_maps(keras.Model(image, logits))
    assert {key: one.node.layer.name for key, one in maps.items()} == {3: "pool", 2: "first"}


def test_alignment_is_that_of_kernels_whatever_the_channels() -> None:
    """By the n x n kernels of the definition; turned, scaled and shifted channels are the same."""
    random = np.random.default_rng(0)
    one = random.normal(size=(4, 3, 3, 5)).astype(np.float32)
    other = random.normal(size=(4, 3, 3, 7)).astype(np.float32)
    kernels = []
    for maps in (one, other):
        rows = maps.reshape(36, -1).astype(np.float64)
        kernels.append((rows - rows.mean(0)) @ (rows - rows.mean(0)).T)
    expected = np.sum(kernels[0] * kernels[1]) / np.prod([np.linalg.norm(k) for k in kernels])
    assert alignment(one, other).numpy() == pytest.approx(expected, rel=1e-5)
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    turned = (3 * one @ turn + 1).astype(np.float32)
    assert alignment(one, turned).numpy() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 1e6])
def test_alignment_does_not_hang_on_the_scale(scale: float) -> None:
    one = np.random.default_rng(0).normal(size=(8, 14, 14, 64)).astype(np.float32)
    assert alignment(scale * one, one).numpy() == pytest.approx(1, abs=1e-5)


def test_maps_without_a_difference_have_a_finite_gradient() -> None:
    maps = tf.Variable(tf.zeros((2, 3, 3, 4)))
    with tf.GradientTape() as tape:
        found = alignment(maps, tf.zeros((2, 3, 3, 2)))
    assert found.numpy() == 0
    assert np.isfinite(tape.gradient(found, maps)).all()


def test_the_loss_is_what_the_maps_lack_and_validation_has_none(student: Path) -> None:
    """One step, by hand: of views altered alike, mean over the resolutions, times the weight."""
    recipe = recipes.load(student, ["distil.weight=1e-9"])
    data = recipe.source.load(recipe.image)
    asked, model = open_teacher(recipe, data.classes), chain.build(recipe, data.classes)
    assert asked
    assert recipe.distil
    own = chain.fitted(open_run(asked.path))
    objective = Distillation(asked, recipe.distil, 0, asked.maps)
    given = training(data.train, 3, 8, Augment(translate=0.2, mixup=0.5), 0, range(1))
    ((inputs, *maps), _), *_ = objective.labelled(given)
    expected = keras.Model(own.input, [*feature_maps(own).values()])(inputs, training=False)
    for map_, right in zip(maps, expected, strict=True):
        np.testing.assert_allclose(map_, right, atol=1e-5)
    learner = objective.learner(model)
    assert [one.ref() for one in learner.trainable_variables] == [
        one.ref() for one in model.trainable_variables
    ]
    learner((inputs, *maps), training=True)
    seen = keras.Model(model.input, [*feature_maps(model).values()])(inputs, training=True)
    lacks = [1 - alignment(*pair) for pair in zip(seen, maps, strict=True)]
    assert sum(learner.losses).numpy() == pytest.approx(5 * np.mean(lacks), rel=1e-4)
    learner.compile("sgd", loss=objective.loss(), metrics=[objective.accuracy()])
    val = evaluation(data.val, 3)
    loss, accuracy = learner.evaluate(objective.validated(val), verbose=0)
    logits = KerasModel(model).logits(inputs for inputs, _ in val)
    labels = np.concatenate([labels for _, labels in val])
    hard = keras.losses.categorical_crossentropy(labels, logits, from_logits=True)
    assert loss == pytest.approx(np.mean(hard), rel=1e-5)
    assert accuracy == pytest.approx(np.mean(logits.argmax(1) == labels.argmax(1)))


def test_maps_meet_where_sides_were_halved_as_often(capsys: pytest.CaptureFixture[str]) -> None:
    """A teacher's of larger pictures are resized; where its coarsest has one place in the student,
    that is left out, and the others do not slip."""
    build = load("models", "mobilenet_v2")(alpha=0.35).build
    model, larger = build((32, 32, 3), 3), build((96, 96, 3), 3)
    shapes: Any = {key: tuple(one.shape[1:]) for key, one in feature_maps(larger).items()}
    assert {key: shape[0] for key, shape in shapes.items()} == {5: 3, 4: 6, 3: 12}
    assert [one.shape[1] for one in feature_maps(model).values()] == [2, 4, 8]
    learner = Maps(lambda inputs: [], shapes, 2).learner(model)
    assert "distil.features: 2 resolutions in common with the teacher" in capsys.readouterr().err
    inputs = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    taught = [np.ones((4, *shape), np.float32) for shape in shapes.values()]
    logits = learner([inputs, *taught], training=True)
    assert sum(learner.losses).numpy() == pytest.approx(2)  # constant ones have nothing in common
    assert logits.shape == (4, 3)
    with pytest.raises(UserError, match="no resolution in common"):
        Maps(lambda inputs: [], {7: (3, 3, 8)}, 2).learner(model)


@pytest.mark.slow
def test_every_phase_learns_them(student: Path, call: Call) -> None:
    """Also of layers that a stage wraps; without features the same recipe ends elsewhere."""
    options = ("--set", "export=[float32, int8]", "--set", "compress=")
    stages = "[{prune: {sparsity: 0.5, epochs: 1}}, {qat: {epochs: 1}}]"
    ends = {}
    for weight in (5, 0):
        changes = (*options[:3], options[3] + stages, "--set", f"distil.features={weight}")
        made = as_json(call("train", student, *changes, "--name", f"by{weight}", "--json"))
        assert [row["name"] for row in made["rows"]][:4] == ["teacher", "fit", "prune", "qat"]
        folder = Path(f"runs/by{weight}/checkpoints")
        ends[weight] = {
            name: checkpoint.read(folder / f"{name}.npz")[0] for name in ("fit", "prune", "qat")
        }
    for phase, own in ends[5].items():
        assert own.keys() == ends[0][phase].keys()
        assert any(not np.array_equal(own[key], ends[0][phase][key]) for key in own)


def test_what_has_no_maps_is_refused(student: Path, teacher: Path, call: Call) -> None:
    file = teacher / "exports" / "float32.tflite"
    message = complaint(call("train", student, "--set", f"distil.teacher={file}"))
    assert f"distil.features: {file} has no feature maps that could be read.\nhint: " in message
    keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    ).save("flat.keras")
    flat = ("--set", "model={keras_file: {path: flat.keras}}")
    message = complaint(call("train", student, *flat))
    assert "distil.features: the network has no feature maps" in message
    outliers = ("--set", "train.made_outliers=true")
    message = complaint(call("check", student, *outliers))
    assert "distil.features: it compares the pictures of a batch, and train.made" in message
    assert not Path("runs").exists()


def test_they_are_off_by_default() -> None:
    assert Distil(teacher="any").features == 0
