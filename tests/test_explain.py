"""What a file lost, by layers: a spoilt layer is named first, and in float it is whole again."""

import functools
import gzip
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, TINY, Call, as_json, complaint, invoke, networks
from test_every_network_compressed import smallest

from tflite_light import recipe as recipes
from tflite_light.compress.qat import QAT
from tflite_light.contract import Image
from tflite_light.data.sign_digits import SignDigits
from tflite_light.errors import UserError
from tflite_light.export.dynamic_range import DynamicRange
from tflite_light.export.int8 import Int8
from tflite_light.graph.build import build
from tflite_light.graph.convert import convert, converter_for
from tflite_light.graph.naming import by_kernels
from tflite_light.graph.quantised import unquantised
from tflite_light.lowering import lowered
from tflite_light.measure.losses import Loss, losses
from tflite_light.measure.matching import matched
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models.keras_file import KerasFile
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.examples import Examples
from tflite_light.runs import explaining
from tflite_light.sockets import load
from tflite_light.stack import keras, tf

SPOILT = "block3_project_conv"
SLOW = pytest.mark.slow


@functools.cache
def sized(size: int) -> Examples:
    return SignDigits().load(Image(size=size)).train


def settled(model: Any, examples: Examples) -> Any:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(np.concatenate(list(examples.inputs(range(256)))), training=True)
    return model


@pytest.fixture(scope="module")
def model(examples: Examples) -> Any:
    """One output channel of a layer is 300 times what it was."""
    keras.utils.set_random_seed(0)
    network = settled(MobileNetV2(alpha=0.35).build((32, 32, 3), 10), examples)
    spoil(network)
    return network


def spoil(network: Any) -> None:
    layer = network.get_layer(SPOILT)
    kernel, *rest = layer.get_weights()
    kernel[..., 3] *= 300
    layer.set_weights([kernel, *rest])


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_spoilt_layer_is_named_first(rewritten: bool, model: Any, examples: Examples) -> None:
    """Its other channels are lost beside the one that is 300 times as large."""
    content = Int8(correct_bias=False).convert(model, examples)
    content = lowered(content, "any", lambda _: True) if rewritten else content
    found = explained(content, model, examples)
    assert max(found, key=lambda one: one.added).layer == SPOILT
    assert len(found) == 64
    assert all(0 <= one.lost <= 1 for one in found)


@pytest.mark.slow
def test_after_qat_the_layer_that_outgrows_its_range_is_named_first(examples: Examples) -> None:
    keras.utils.set_random_seed(0)
    network = settled(MobileNetV2(alpha=0.35).build((32, 32, 3), 10), examples)
    wrapped = QAT().wrap(network, {"kept": []}, 10)
    QAT().prepare(wrapped, network, {}, examples)
    wrapped.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    wrapped.fit(np.concatenate(list(examples.inputs(range(640)))), examples.labels[:640], verbose=0)
    kernel = next(one for one in wrapped.weights if one.name == f"{SPOILT}/kernel:0")
    kernel.assign(kernel.numpy() * np.where(np.arange(kernel.shape[-1]) == 3, 300, 1))
    found = explained(Int8().convert(wrapped, examples), unquantised(wrapped), examples)
    worst = max(found, key=lambda one: one.added)
    assert (worst.layer, worst.saturated > 0.02) == (SPOILT, True)


def test_an_equalised_file_is_compared_with_the_equalised_network(examples: Examples) -> None:
    """Its channels are scaled, which is no loss: a layer's own noise is all that counts."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, activation="relu", name="a")(image)
    x = keras.layers.Conv2D(16, 3, activation="relu", name="b")(x)
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    scales = 10 ** np.random.default_rng(0).uniform(-1.5, 1.5, 16)
    first, second = network.get_layer("a"), network.get_layer("b")
    first.set_weights([one * scales for one in first.get_weights()])
    second.set_weights([second.get_weights()[0] / scales[:, None], second.get_weights()[1]])
    mode = Int8(weight_scales="tensor", equalise=True)
    content, pictures = mode.convert(network, examples), list(examples.inputs(range(16), 1))
    found, plain = (
        losses(content, float_, pictures, ["a", "b"])[0]
        for float_ in (
            mode.rounded_from(network, examples),
            convert(converter_for(network)),
        )
    )
    assert (found.layer, plain.layer) == ("a", "a")
    assert found.snr_db > 25
    assert found.saturated < 0.001
    assert plain.snr_db < 5


def own(body: Any, examples: Examples) -> Any:
    """A network of a body on an image of 32 px, with 10 classes."""
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(body(image))
    return settled(keras.Model(image, keras.layers.Dense(10, name="logits")(x)), examples)


def sloped(image: Any) -> Any:
    x = keras.layers.Conv2D(8, 3, 2, "same", name="first")(image)
    x = keras.layers.PReLU("random_uniform", shared_axes=[1, 2], name="slopes")(x)
    return keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="reader")(x)


def steep(examples: Examples) -> Any:
    """A slope is 600, and the weights behind it a 600th."""
    network = own(sloped, examples)
    slopes, reader = network.get_layer("slopes"), network.get_layer("reader")
    slopes.alpha.assign(np.where(np.arange(8) == 3, 600, slopes.alpha))
    kernel, bias = reader.get_weights()
    reader.set_weights([kernel / np.where(np.arange(8) == 3, 600, 1)[:, None], bias])
    return network


def joined(image: Any) -> Any:
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu", name="first")(image)
    parts = [keras.layers.Conv2D(8, 1, activation="relu", name=one)(x) for one in ("good", "far")]
    x = keras.layers.Concatenate(name="join")(parts)
    return keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="reader")(x)


def lopsided(examples: Examples) -> Any:
    """A branch of a concatenation is 2,000 times as large, and the weights behind it a 2,000th."""
    network = own(joined, examples)
    far, reader = network.get_layer("far"), network.get_layer("reader")
    far.set_weights([one * 2000 for one in far.get_weights()])
    kernel, bias = reader.get_weights()
    reader.set_weights([kernel / np.where(np.arange(16) < 8, 1, 2000)[:, None], bias])
    return network


def snr(content: bytes, network: Any, examples: Examples) -> float:
    """Of the logits, in dB."""
    images = np.concatenate(list(examples.inputs(range(24))))
    real = network.predict(images, verbose=0)
    noise = np.square(TFLiteModel(content).logits([images]) - real).mean()
    return float(10 * np.log10(real.var() / noise))


@pytest.mark.parametrize(
    ("made", "spoilt", "kept"),
    [
        (steep, "slopes", ("slopes", "reader")),
        (lopsided, "far", ("far", "good", "join", "reader")),
    ],
)
def test_what_shares_the_spoilt_layer_s_steps_goes_with_it(
    made: Any, spoilt: str, kept: tuple[str, ...], examples: Examples
) -> None:
    """A slope, or a branch whose concatenation gives the other its steps: neither it nor what reads
    it is whole if one of them is in float."""
    network = made(examples)
    mode = Int8(calibration_images=50)
    content = mode.convert(network, examples)
    pictures = list(examples.inputs(range(16), 1))
    found = losses(content, mode.rounded_from(network, examples), pictures, by_kernels(network))
    worst = max(found, key=lambda one: one.added)
    assert (worst.layer, set(worst.float_layers)) == (spoilt, set(kept))
    assert worst.added > 0.8
    alone, together = (
        Int8(calibration_images=50, float_layers=names).convert(network, examples)
        for names in ([spoilt], [*kept])
    )
    figures = [snr(one, network, examples) for one in (content, alone, together)]
    assert max(figures[:2]) < 14  # 1.5 and 13.5, and with what goes with it 41.6 and 43.1
    assert figures[2] > 40


def test_a_rewritten_relu_is_compared_behind_its_padding(examples: Examples) -> None:
    """ShuffleNet v1's: `lowering/pools.py` puts the padding last."""
    keras.utils.set_random_seed(0)
    network = settled(build(smallest("shufflenet_v1"), 64, 10, 0), sized(64))
    mode = Int8(calibration_images=20)
    content = lowered(mode.convert(network, sized(64)), "any", lambda _: True)
    pictures = list(sized(64).inputs(range(4), 1))
    found = losses(content, mode.rounded_from(network, sized(64)), pictures, by_kernels(network))
    assert [one.layer for one in found if one.operator == "RELU"] == [
        f"stage{stage}_unit0_shortcut_pool_relu" for stage in (2, 3, 4)
    ]
    names = {layer.name for layer in network.layers}
    assert all(one.layer in names for one in found)


def explained(content: bytes, float_: Any, examples: Examples) -> list[Loss]:
    names = [layer.name for layer in float_.layers if layer.weights]
    pictures = list(examples.inputs(range(16), 1))
    return losses(content, convert(converter_for(float_)), pictures, names)


REWRITTEN = ("shufflenet_v1", "ghostnet")  # by most rewrites
EACH = [
    pytest.param(name, key, marks=() if key == "int8" and name in REWRITTEN else SLOW)
    for name in networks()
    for key in ("int8", "int16x8", "dynamic_range")
]


@pytest.mark.parametrize(("name", "key"), EACH)
def test_every_network_s_files_are_compared_channel_by_channel(
    name: str, key: str, examples: Examples
) -> None:
    """Whatever rewrites they went through; of 21 files, 7 were said to be of another network."""
    keras.utils.set_random_seed(0)
    network = settled(build(smallest(name), 64, 10, 0), sized(64))
    mode = load("export", key)(calibration_images=20) if key != "dynamic_range" else DynamicRange()
    for target in ("any", "cpu"):
        content = lowered(mode.convert(network, sized(64)), target, lambda _: True)
        pictures = list(sized(64).inputs(range(8), 1))
        found = losses(content, mode.rounded_from(network, sized(64)), pictures, [])
        assert np.median([one.cosine for one in found]) > 0.9
        assert min(one.cosine for one in found) > 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "tiny.yaml").write_text(TINY)
    command = ("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json")
    as_json(invoke(*command, "--set", "compress=[]", "--set", "export=[int8]"))
    return folder / "runs" / "tiny"


def test_explain_shows_layers_and_how_to_exempt_the_worst(run: Path, call: Call) -> None:
    file = run / "exports" / "int8.tflite"
    found = as_json(call("explain", file, "--against", run, "--json"))
    layers = {one["layer"]: one for one in found["layers"]}
    assert {"stem_conv", "logits"} <= set(layers)
    assert set(layers["stem_conv"]) == {
        "layer", "operator", "added", "lost", "snr_db", "cosine", "saturated", "float_layers",
    }  # fmt: skip
    page = (ROOT / "docs" / "explain.md").read_text()
    assert all(f"`{key}`" in page for key in (*layers["stem_conv"], "worst"))
    shown = call("explain", file, "--against", run).stdout
    assert f"export: [int8: {{float_layers: [{found['worst'][0]}]}}]" in shown


def test_explain_adds_to_the_layers_that_are_kept_in_float(call: Call, tmp_path: Path) -> None:
    KerasFile.example(tmp_path)
    Path("mine.yaml").write_text(
        RECIPE.replace("spoilt", "mine").replace("[int8]", "[{int8: {float_layers: [conv2d*]}}]")
    )
    as_json(call("export", "mine.yaml", "--out", "files", "--json"))
    shown = call("explain", "files/mine_int8.tflite", "--against", "mine.yaml").stdout
    assert re.search(r"export: \[int8: \{float_layers: \[conv2d\*, \w+\]\}\]", shown)


def test_explain_names_no_field_that_a_mode_lacks(run: Path, call: Call) -> None:
    as_json(call("export", run, "--int16x8", "--out", "files", "--json"))
    shown = call("explain", "files/tiny_int16x8.tflite", "--against", run).stdout
    assert shown.rstrip().endswith(" adds most.")


RECIPE = """
model: {keras_file: {path: spoilt.h5}}
data: {sign_digits: {}}
image: {size: 32}
export: [int8]
"""


def test_fix_that_reaches_nothing_says_how_near_it_came(
    examples: Examples, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing of int8 is left to be rounded."""
    network = steep(examples)
    network.save("spoilt.h5")
    Path("spoilt.yaml").write_text(RECIPE)
    as_json(call("export", "spoilt.yaml", "--out", "files", "--json"))
    tops = iter([1.0])
    monkeypatch.setattr(explaining, "top1", lambda *_: next(tops, 0.25))
    asked = ("files/spoilt_int8.tflite", "--against", "spoilt.yaml", "--fix", "1")
    message = complaint(call("explain", *asked))
    assert re.search(r"5 layers in float leave the file at 0\.2500, more than 1 points", message)


def test_explain_shows_what_else_the_file_s_mode_has(
    examples: Examples, call: Call, tmp_path: Path
) -> None:
    KerasFile.example(tmp_path)
    fields = "name: te, runtime: '2.15', weight_scales: tensor"
    Path("mine.yaml").write_text(
        RECIPE.replace("spoilt", "mine").replace("[int8]", f"[{{int8: {{{fields}}}}}]")
    )
    as_json(call("export", "mine.yaml", "--out", "files", "--json"))
    found = call("explain", "files/mine_te.tflite", "--against", "mine.yaml").stdout
    shown = re.search(r"export: (.*)", found)
    assert shown
    assert re.fullmatch(
        r'\[int8: \{name: te, runtime: "2\.15", weight_scales: tensor, float_layers: \[\w+\]\}\]',
        shown[1],
    )
    Path("mine.yaml").write_text(RECIPE.replace("spoilt", "mine").replace("[int8]", shown[1]))
    (read,) = recipes.load(Path("mine.yaml")).modes(())
    assert (read.stem, read.runtime) == ("te", "2.15")


@pytest.mark.slow
def test_fix_keeps_layers_in_float_until_the_file_is_within_reach(
    examples: Examples, call: Call
) -> None:
    """A channel is 300 times as large, and its weights behind it as much smaller."""
    keras.utils.set_random_seed(0)
    network = Tiny(width=16).build((32, 32, 3), 10)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.concatenate(list(examples.inputs(range(len(examples)))))
    network.fit(images, examples.labels, 32, 12, verbose=0)
    norm, dense = network.get_layer("last_project_norm"), network.get_layer("logits")
    factors = np.where(np.arange(128) == 3, 3000, 1)
    gamma, beta, *statistics = norm.get_weights()
    norm.set_weights([gamma * factors, beta * factors, *statistics])
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel / factors[:, None], bias])
    network.save("spoilt.h5")
    Path("spoilt.yaml").write_text(RECIPE)
    as_json(call("export", "spoilt.yaml", "--out", "files", "--json"))
    command = ("explain", "files/spoilt_int8.tflite", "--against", "spoilt.yaml")
    Path("fixed.yaml").write_text("old")
    asked = (*command, "--fix", "2", "-o", "fixed.yaml")
    assert "fixed.yaml exists already." in complaint(call(*asked))
    found = as_json(call(*asked, "--force", "--json"))
    assert found["worst"][0] == "last_project_conv"
    assert "last_project_conv" in found["fixed"]
    *_, last = found["fixed"].values()
    assert last >= found["float_top1"] - 0.02
    rows = as_json(call("export", "fixed.yaml", "--out", "fixed", "--json"))["rows"]
    before = as_json(call("export", "spoilt.yaml", "--out", "files", "--json"))["rows"]
    assert rows[0]["top1"] > before[0]["top1"] + 0.1


def test_files_of_other_modes_are_explained_but_for_floats(run: Path, call: Call) -> None:
    command = ("export", run, "--dynamic_range", "--float32", "--out", "app", "--json")
    dynamic, real = sorted(as_json(call(*command))["exports"])
    found = as_json(call("explain", dynamic, "--against", run, "--json"))
    assert min(one["cosine"] for one in found["layers"]) > 0.99
    message = complaint(call("explain", dynamic, "--against", run, "--fix", "1"))
    assert "is not int8, and --fix is for int8" in message
    message = complaint(call("explain", real, "--against", run))
    assert "has no int8 weights: nothing in it is rounded" in message


def test_a_file_of_uint8_is_not_said_to_be_of_floats() -> None:
    packed = ROOT / "tests/hosted/mobilenet_v1_0.25_128_quant.tflite.gz"
    with pytest.raises(UserError, match="weights are uint8, by the scheme before int8"):
        matched(b"", gzip.decompress(packed.read_bytes()))


def test_a_run_s_recipe_is_not_changed(run: Path, call: Call) -> None:
    message = complaint(
        call("explain", run / "exports/int8.tflite", "--against", run, "--set=seed=3")
    )
    assert f"`--set` changes a recipe, but {run} is a run." in message


def test_a_run_is_explained_with_moved_pictures(call: Call, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "model: {tiny: {width: 4}}\ndata: {directory: {path: photos}}\nimage: {size: 32}\n"
        "train: {epochs: 1, batch_size: 8}\nexport: [int8]\n"
    )
    made = as_json(call("train", "mine.yaml", "--json"))
    (file,) = made["exports"]
    command = ("explain", file, "--against", made["run"], "--json")
    before = as_json(call(*command))
    photos.rename(tmp_path / "moved")
    assert "Name where the pictures are now with `--data`" in complaint(call(*command))
    assert as_json(call(*command, "--data", "moved")) == before


def test_a_file_of_another_network_is_refused(run: Path, examples: Examples, call: Call) -> None:
    keras.utils.set_random_seed(0)
    network = settled(MobileNetV2(alpha=0.35).build((32, 32, 3), 10), examples)
    Path("other.tflite").write_bytes(Int8().convert(network, examples))
    message = complaint(call("explain", "other.tflite", "--against", run))
    assert "the file is not of this network: of its 64 operators that compute, " in message


def test_a_file_of_other_weights_is_refused(run: Path, call: Call, tmp_path: Path) -> None:
    command = ("train", run.parent.parent / "tiny.yaml", "--set", "export=[int8]", "--json")
    other = Path(as_json(call(*command, "--set", "compress=[]", "--set", "seed=1"))["run"])
    message = complaint(call("explain", other / "exports/int8.tflite", "--against", run))
    assert f"{other}/exports/int8.tflite is a file of another run than {run}." in message
    assert message.endswith("hint: Give its own: `--against runs/tiny`.\n")
    (other / "exports/int8.tflite").rename("moved.tflite")
    message = complaint(call("explain", "moved.tflite", "--against", run))
    found = re.search(r"other weights than this network: (0\.\d\d) of them agree", message)
    assert found
    assert float(found[1]) < 0.3


@pytest.mark.parametrize("fields", [{}, {"equalise": True}, {"rounding": "adaptive"}])
def test_a_network_a_little_later_in_its_training_is_another(
    fields: dict[str, Any], examples: Examples
) -> None:
    """Its weights have the signs of the first, of which it began."""
    mode, network = Int8(calibration_images=20, **fields), build(Tiny(), 32, 10, 0)
    content = mode.convert(network, examples)
    matched(mode.rounded_from(network, examples), content)
    for weight in network.trainable_weights:
        weight.assign(weight * tf.random.stateless_uniform(weight.shape, (0, 1), 0.8, 1.2))
    with pytest.raises(UserError, match=r"other weights than this network: 0\.[0-7]\d of them"):
        matched(mode.rounded_from(network, examples), content)


def test_a_recipe_that_is_still_to_be_trained_is_refused(run: Path, call: Call) -> None:
    """It has the same signs as the run that began with it, and every figure would be nonsense."""
    recipe, file = run.parent.parent / "tiny.yaml", run / "exports/int8.tflite"
    shutil.copy(file, "moved.tflite")
    own = os.path.relpath(run)
    for given, named in ((file, own), (Path("moved.tflite"), "runs/NAME")):
        assert complaint(call("explain", given, "--against", recipe)) == (
            f"{recipe} has no weights before it is trained, and {given} is compared with what it "
            f"was exported from.\nhint: Give the run: `--against {named}`.\n"
        )


def test_where_no_layer_has_to_be_in_float_none_is_named(run: Path, call: Call) -> None:
    command = ("explain", run / "exports/int8.tflite", "--against", run, "--fix")
    assert complaint(call(*command, "nan")).startswith("fix is nan: no number of points, 0 to 100.")
    shown = call(*command, "100").stdout
    assert "no layer in float is needed; int8_fixed.yaml has it so." in shown
    assert "Kept in float by" not in shown


def test_a_file_is_of_the_mode_whose_name_is_longest(tmp_path: Path) -> None:
    """`all_int8` ends as `int8` does."""
    recipe = tmp_path / "two.yaml"
    exports = "export: [int8, {int8: {name: all_int8, float_layers: 2}}]"
    recipe.write_text(f"model: tiny\nclasses: 3\n{exports}\n")
    made = recipes.load(recipe)
    for name, wanted in (("all_int8", "all_int8"), ("my_all_int8", "all_int8"), ("int8", "int8")):
        assert explaining._mode(made, Path(f"{name}.tflite")).stem == wanted
