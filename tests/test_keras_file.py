"""A network that a user saved with Keras 2: imported, trained, and refused where it cannot be."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import Call, as_json, complaint

from tflite_light.errors import UserError
from tflite_light.graph.build import build
from tflite_light.measure.predict import Predictor
from tflite_light.models.keras_file import KerasFile
from tflite_light.stack import keras, tf

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
