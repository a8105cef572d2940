"""A network that a user saved with Keras 2: imported, trained, and refused where it cannot be."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import Call, as_json, complaint, tflite_light

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.graph.build import build
from tflite_light.measure.predict import Predictor
from tflite_light.models.keras_file import KerasFile
from tflite_light.stack import keras, tf
from tflite_light.weights.run import Run

RECIPE = """
model: {keras_file: {path: mine.h5}}
data: {synthetic: {count: 120, number_of_classes: 10, side: 40}}
image: {size: 32, mean: 0, std: 255}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A saved network, and a recipe that imports it."""
    (tmp_path / "mine.yaml").write_text(RECIPE + "export: [float32, int8]\n")
    keras.utils.set_random_seed(0)  # some draws cannot tell the classes apart, and rounding decides
    return Path(KerasFile.example(tmp_path).path)


def test_a_saved_network_is_exported_up_to_its_logits(mine: Path, call: Call) -> None:
    made = as_json(call("export", "mine.yaml", "--out", "files", "--json"))
    assert made["exports"] == ["files/mine_float32.tflite", "files/mine_int8.tflite"]
    assert [row["agreement"] >= 0.95 for row in made["rows"]] == [True, True]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    (expected,) = keras.models.load_model(mine).predict(pixels[None] / np.float32(255), verbose=0)
    predictor = Predictor(made["exports"][0])
    assert predictor.contract.confidence
    cooled = expected ** (1 / predictor.contract.confidence.temperature)
    found = {
        answer.index: answer.probability for answer in predictor.predict(pixels, top=10).answers
    }
    assert max(abs(found[index] - cooled[index] / cooled.sum()) for index in range(10)) < 1e-6


@pytest.mark.parametrize("form", ["folder", "mine.keras"])
def test_other_forms_of_the_same_network_give_the_same_weights(form: str, mine: Path) -> None:
    keras.models.load_model(mine).save(mine.parent / form)
    one, other = (
        KerasFile(path=str(path)).build((32, 32, 3), 10) for path in (mine, mine.parent / form)
    )
    for here, there in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(here, there)


def test_it_is_trained_and_quantised_like_any_other(mine: Path, call: Call) -> None:
    (mine.parent / "mine.yaml").write_text(
        RECIPE + "train: {epochs: 1}\ncompress: [{qat: {epochs: 1}}]\n"
    )
    made = as_json(call("train", "mine.yaml", "--json"))
    assert [row["name"] for row in made["rows"]] == ["fit", "qat", "int8"]
    again = as_json(call("export", "--int8", "--out", "app", "--json"))
    assert again["exports"] == ["app/mine_int8.tflite"]


def refusal(path: Path, size: int = 32, classes: int = 10) -> str:
    with pytest.raises(UserError) as caught:
        KerasFile(path=str(path)).build((size, size, 3), classes)
    return f"{caught.value}\nhint: {caught.value.hint}"


def test_its_classifier_is_known_by_its_place(mine: Path, call: Call) -> None:
    """Whatever the name: it is trained alone first, follows the order of the classes, and is not
    given other classes."""
    Path("mine.yaml").write_text(
        RECIPE.replace("10,", "3,").replace("mine.h5", "three.h5")
        + "train: {epochs: 1, average: 0, freeze: {epochs: 1}}\nexport: [float32]\n"
    )
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, name="a")(image))
    keras.Model(image, keras.layers.Dense(3, name="head")(x)).save("three.h5")
    run = Path(as_json(call("train", "mine.yaml", "--json"))["run"])
    before = checkpoint.weights_of(KerasFile(path="three.h5").build((32, 32, 3), 3))
    after, _ = checkpoint.read(run / "checkpoints/classifier.npz")
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"head/kernel", "head/bias"}

    weights = Run(path=str(run))
    given = KerasFile(path="three.h5")  # recorded by its absolute path
    pixels = np.random.default_rng(0).uniform(0, 1, (4, 32, 32, 3)).astype(np.float32)
    answers = []
    for order in ("012", "201"):
        model = build(given, 32, 3, 0)
        remarks = weights.load(model, given, [f"pattern{label}" for label in order], whole=True)
        assert bool(remarks) == (order != "012")
        answers.append(model(pixels).numpy())
    assert np.abs(answers[1] - answers[0][:, [2, 0, 1]]).max() < 1e-6
    with pytest.raises(
        UserError, match=r"weights are for the classes pattern0, .* the model has x, y, z, and"
    ):
        weights.load(build(given, 32, 3, 0), given, ["x", "y", "z"], whole=True)


def test_separable_convolutions_are_two_layers_under_names_of_their_own(tmp_path: Path) -> None:
    """TF-MOT's own, `conv2d` here, would meet one that the network has already."""
    layers = keras.layers
    keras.backend.reset_uids()
    image = layers.Input((32, 32, 3))
    x = layers.SeparableConv2D(8, 3, strides=2, depth_multiplier=2, activation="relu")(image)
    twice = layers.SeparableConv2D(8, 3, padding="same", use_bias=False)
    x = layers.ReLU()(layers.BatchNormalization()(twice(twice(x))))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(x))
    saved = keras.Model(image, layers.Dense(3)(x))
    saved.save(tmp_path / "mine.h5")
    model = build(KerasFile(path=str(tmp_path / "mine.h5")), 32, 3, 0)
    assert not any(isinstance(one, layers.SeparableConv2D) for one in model.layers)
    assert model.count_params() == saved.count_params()
    pixels = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    assert np.abs(model(pixels) - saved(pixels)).max() < 1e-6


def test_a_network_with_separable_convolutions_is_quantised(call: Call, tmp_path: Path) -> None:
    layers = keras.layers
    keras.backend.reset_uids()
    image = layers.Input((32, 32, 3))
    x = layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, padding="same")(x))
    keras.Model(image, layers.Dense(10)(x)).save("mine.h5")
    Path("mine.yaml").write_text(
        RECIPE + "train: {epochs: 1}\ncompress: [{qat: {epochs: 1}}]\nexport: [int8]\n"
    )
    made = as_json(call("train", "mine.yaml", "--json"))
    assert made["rows"][-1]["agreement"] >= 0.95


def test_a_network_of_other_pictures_or_classes_is_refused(mine: Path) -> None:
    assert "takes 32 x 32 x 3, and the recipe's pictures are 96 x 96 x 3." in refusal(mine, 96)
    assert "answers with 10 numbers, and there are 3 classes." in refusal(mine, 32, 3)


def test_what_keras_does_not_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no network")
    assert "text.h5 cannot be read by Keras 2: " in refusal(tmp_path / "text.h5")
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    message = refusal(tmp_path / "other")
    assert "other is a SavedModel, but none of Keras." in message or "cannot be read" in message
    assert "does not exist" in refusal(tmp_path / "none.h5")


def test_a_damaged_file_ends_the_process_with_code_2(tmp_path: Path) -> None:
    """It was 139 after the message: h5py closed the file after Python's end."""
    (tmp_path / "text.h5").write_text("no network")
    recipe = tmp_path / "text.yaml"
    recipe.write_text("model: {keras_file: {path: text.h5}}\ndata: sign_digits\n")
    done = tflite_light("inspect", recipe, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "text.h5 cannot be read by Keras 2: " in done.stderr


@pytest.mark.parametrize("form", ["code.h5", "code.keras", "code"])
def test_code_in_a_saved_network_is_not_run(form: str, tmp_path: Path) -> None:
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda value: value * 2)(image))
    keras.Model(image, keras.layers.Dense(10)(x)).save(tmp_path / form)
    assert "has a Lambda layer, whose code would be run." in refusal(tmp_path / form)
    if form == "code.h5":  # as another writer may have spelt it
        with h5py.File(tmp_path / form, "r+") as file:
            text = str(file.attrs["model_config"])
            file.attrs["model_config"] = text.replace(': "Lambda"', ':"\\u004cambda"')
            assert '"Lambda"' not in file.attrs["model_config"]
        assert "has a Lambda layer, whose code would be run." in refusal(tmp_path / form)


def test_one_damaged_description_hides_no_code_behind_it(tmp_path: Path) -> None:
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda value: value * 2)(image))
    keras.Model(image, keras.layers.Dense(10)(x)).save(tmp_path / "code")
    path = tmp_path / "code/keras_metadata.pb"
    held = keras.protobuf.saved_metadata_pb2.SavedMetadata.FromString(path.read_bytes())
    held.nodes[0].metadata = "{"
    path.write_bytes(held.SerializeToString())
    assert "has a Lambda layer, whose code would be run." in refusal(tmp_path / "code")


@pytest.mark.parametrize("last", ["softmax", "Softmax", "Activation", "moved", "network", "none"])
def test_every_softmax_is_left_out(last: str, tmp_path: Path) -> None:
    layers = keras.layers
    image = layers.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Dense(5, activation="softmax" if last == "softmax" else None)(x)
    ends: dict[str, Any] = {"Softmax": layers.Softmax(), "Activation": layers.Activation("softmax")}
    x = ends[last](x) if last in ends else x
    if last == "network":
        end = layers.Input(x.shape[1:])
        x = keras.Model(end, layers.Activation("softmax")(layers.Dropout(0.1)(end)))(x)
    if last == "moved":  # as networks of mixed precision end
        x = layers.Activation("linear", dtype="float32")(layers.Activation("softmax")(x))
    keras.Model(image, x).save(tmp_path / "mine.h5")
    logits = KerasFile(path=str(tmp_path / "mine.h5")).build((32, 32, 3), 5)
    pixels = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    found = logits.predict(pixels, verbose=0)
    expected = keras.models.load_model(tmp_path / "mine.h5").predict(pixels, verbose=0)
    assert np.allclose(found if last == "none" else tf.nn.softmax(found), expected, atol=1e-6)
    assert not np.allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("last", ["sigmoid", "Softmax"])
def test_probabilities_that_cannot_be_left_out_are_refused(
    last: str, call: Call, tmp_path: Path
) -> None:
    """Files would make probabilities of them once more."""
    layers = keras.layers
    image = layers.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Dense(10, activation="sigmoid" if last == "sigmoid" else None, name="last")(x)
    if last == "Softmax":
        x = layers.Dropout(0.1)(layers.Softmax(name="last_but_one")(x))
    keras.Model(image, x).save(tmp_path / "mine.h5")
    (tmp_path / "mine.yaml").write_text(RECIPE + "export: [float32]\n")
    message = complaint(call("export", "mine.yaml", "--out", "files"))
    layer = "last" if last == "sigmoid" else "last_but_one"
    assert f"its layer {layer} makes probabilities of the logits ({last.lower()})." in message
    assert not (tmp_path / "files").exists()


class _Square(keras.layers.Layer):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return inputs * inputs


class _Coded(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.body = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])

    def call(self, inputs: Any) -> Any:
        return self.body(inputs)


def _of_a_body(body: Any) -> Any:
    image = keras.Input((8, 8, 3))
    return keras.Model(image, body(keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(image))))


def _masked(features: Any) -> Any:
    logits = keras.layers.Dense(3)(features)
    return keras.layers.Softmax()(logits, mask=tf.constant([[True, True, False]]))


@pytest.mark.parametrize(
    ("model", "form", "message"),
    [
        (
            lambda: _of_a_body(lambda x: keras.layers.Dense(3)(_Square()(x))),
            "folder",
            "of its own code",
        ),
        (lambda: _of_a_body(_masked), "my.keras", "answers otherwise when its layers are built"),
        (lambda: _of_a_body(keras.layers.Dense(3, tf.math.cos)), "folder", "of its own code"),
        (_Coded, "folder", "folder is a model of code, not of layers."),
    ],
    ids=["a layer of one's own", "a mask", "a function of one's own", "code"],
)
def test_what_keras_builds_anew_otherwise_or_not_at_all_is_refused(
    model: Any, form: str, message: str, tmp_path: Path
) -> None:
    """Loading a folder gives the functions that it was saved with; its layers alone do not."""
    made = model()
    made(np.zeros((1, 8, 8, 3), np.float32))
    made.save(tmp_path / form)
    with pytest.raises(UserError, match=message) as caught:
        KerasFile(path=str(tmp_path / form)).build((8, 8, 3), 3)
    assert "as a classifier of Keras' own layers" in caught.value.hint


def test_a_network_of_one_picture_at_a_time_that_takes_no_more_is_refused(tmp_path: Path) -> None:
    image = keras.Input(batch_shape=(1, 8, 8, 3))
    flat = tf.reshape(keras.layers.GlobalAveragePooling2D()(image), (1, 3))
    keras.Model(image, keras.layers.Dense(3)(flat)).save(tmp_path / "one.h5")
    with pytest.raises(UserError, match=r"its logits are \(1, 3\)"):
        build(KerasFile(path=str(tmp_path / "one.h5")), 8, 3, 0)


def test_a_network_in_a_network_is_flattened(tmp_path: Path) -> None:
    """As Keras' guide to transfer learning builds them; the inner layers' names may be taken."""
    layers = keras.layers
    inside = layers.Input((16, 16, 4))
    x = layers.Conv2D(6, 3, padding="same", name="conv", activation="relu")(inside)
    x = layers.BatchNormalization(name="norm")(layers.Add()([x, layers.Conv2D(6, 1)(inside)]))
    base = keras.Model(inside, [x], name="base")
    base.trainable = False
    top = keras.Sequential([layers.Dropout(0.2), layers.Dense(10, name="top")], name="head")
    image = layers.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, 2, "same", name="conv", activation="relu")(image)
    x = base(x, training=False)
    keras.Model(image, top(layers.GlobalAveragePooling2D()(x))).save(tmp_path / "mine.h5")
    saved = keras.models.load_model(tmp_path / "mine.h5")
    model = build(KerasFile(path=str(tmp_path / "mine.h5")), 32, 10, seed=0)
    names = [layer.name for layer in model.layers]
    assert {"conv", "base_conv", "norm", "top"} <= set(names)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert {one.name.split("/")[0] for one in model.weights} <= set(names)
    pixels = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    assert np.allclose(
        model.predict(pixels, verbose=0), saved.predict(pixels, verbose=0), atol=1e-6
    )


def test_a_run_of_a_network_that_was_saved_anew_is_refused(mine: Path, call: Call) -> None:
    """Its weights would go into other activations."""
    (mine.parent / "mine.yaml").write_text(RECIPE + "train: {epochs: 1}\nexport: [float32]\n")
    as_json(call("train", "mine.yaml", "--json"))
    before = sha256(mine.read_bytes()).hexdigest()
    model = keras.models.load_model(mine)
    model.layers[1].activation = keras.activations.tanh
    model.save(mine)
    named = f"mine.h5 (SHA-256 {before} then, {sha256(mine.read_bytes()).hexdigest()} now)"
    for command in ("evaluate", "export"):
        message = complaint(call(command, "runs/mine"))
        assert message == (
            f"runs/mine was begun with another {named}.\nhint: Restore it, or train again.\n"
        )


def test_a_recipe_that_names_no_file_says_so(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE)
    message = complaint(call("check", "mine.yaml"))
    assert "model.keras_file.path: mine.h5 does not exist" in message
