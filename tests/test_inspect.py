"""What networks cost: counted by hand here, and alike from a recipe and from its file."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Call, as_json, complaint, networks, pack, unpack

from tflite_light.cost import of_file as cost_of_file
from tflite_light.cost import of_model as cost_of_model
from tflite_light.cost.guidelines import guidelines
from tflite_light.cost.inspection import Inspected, network_of
from tflite_light.cost.network import Network
from tflite_light.errors import UserError
from tflite_light.export.float32 import Float32
from tflite_light.graph.convert import convert, converter_for
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.runs.inspecting import inspect
from tflite_light.sockets import load
from tflite_light.stack import keras, tf
from tflite_light.tflite.file import File
from tflite_light.tflite.runtimes import newest_of, oldest

MODELS = networks()
HOSTED = ROOT / "tests" / "hosted"
PAGE = ROOT / "docs" / "networks.md"


def small_model() -> Any:
    """Widened by 4 and narrowed again, with a shortcut; 8x8x4 pictures, 3 classes."""
    layers = keras.layers
    image = layers.Input((8, 8, 4))
    x = layers.Conv2D(16, 1, use_bias=False, name="wide")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(4, 1, use_bias=False, name="narrow")(x)
    x = layers.Add(name="sum")([image, layers.BatchNormalization()(x)])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(3, name="logits")(x))


@pytest.fixture(scope="module")
def small() -> Network:
    return cost_of_model.network(small_model())


def export(model: Any) -> bytes:
    return Float32().convert(model, None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.tflite"
    path.write_bytes(export(_drawn(small_model())))
    return path


def _drawn(model: Any) -> Any:
    """Random weights everywhere: the converter leaves out a bias that is all zeros."""
    draw = np.random.default_rng(0)
    model.set_weights([draw.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return model


def test_norms_and_activations_cost_nothing_of_their_own(small: Network) -> None:
    assert [row.name for row in small.operators] == ["wide", "narrow", "sum", "pool", "logits"]
    assert [row.parameters for row in small.operators] == [4 * 16 + 32, 16 * 4 + 8, 0, 0, 15]
    assert [row.multiply_adds for row in small.operators] == [4096, 4096, 0, 0, 12]


def test_memory_access_is_input_output_and_folded_weights(small: Network) -> None:
    assert [row.int8_bytes for row in small.operators] == [
        256 + 1024 + 64 + 4 * 16,
        1024 + 256 + 64 + 4 * 4,
        256 + 256 + 256,
        256 + 4,
        4 + 3 + 12 + 4 * 3,
    ]
    assert small.operators[0].float32_bytes == 4 * (256 + 1024 + 64 + 16)
    assert (small.int8_bytes, small.float32_bytes) == (3827, 4 * (3827 - 3 * 23))  # 23 biases


def test_a_shortcut_is_live_until_it_is_added(small: Network) -> None:
    assert small.live == (256 + 1024, 256 + 1024 + 256, 3 * 256, 256 + 4, 4 + 3)
    assert small.peak_operator
    assert (small.peak, small.peak_operator.name) == (1536, "narrow")


def test_a_reshape_is_free_and_keeps_its_memory() -> None:
    image = keras.layers.Input((8, 8, 4))
    x = keras.layers.Reshape((64, 2, 2), name="split")(image)
    x = keras.layers.Permute((1, 3, 2), name="swap")(x)
    network = cost_of_model.network(keras.Model(image, x))
    assert [row.int8_bytes for row in network.operators] == [0, 512]
    assert network.live == (256, 512)


def test_a_relu_that_is_not_alone_in_reading_stays_an_operator() -> None:
    image = keras.layers.Input((8, 8, 4))
    conv = keras.layers.Conv2D(4, 1, name="conv")(image)
    model = keras.Model(image, keras.layers.Add(name="sum")([conv, keras.layers.ReLU()(conv)]))
    kinds = ["conv", "activation", "add"]
    assert [row.kind for row in cost_of_model.network(model).operators] == kinds
    file = File(export(_drawn(model)))
    assert [row.kind for row in cost_of_file.network(file).operators] == kinds


def test_unequal_widths_are_measured_by_their_bound(small: Network) -> None:
    first = guidelines(small)[0]
    assert first.figure == pytest.approx((256 + 1024 + 64) / (2 * 64 * 8 + 64))
    assert [finding.layer for finding in first.findings] == ["wide", "narrow"]
    assert first.findings[0].why == "4 to 16 channels at 8x8"


def test_groups_are_measured_by_an_ungrouped_convolution_of_equal_work() -> None:
    image = keras.layers.Input((8, 8, 8))
    model = keras.Model(image, keras.layers.Conv2D(16, 1, groups=4, name="grouped")(image))
    network = cost_of_model.network(model)
    assert network.operators[0].groups == 4
    assert guidelines(network)[1].figure == pytest.approx((512 + 1024 + 32) / (512 + 256 + 32))
    file = cost_of_file.network(File(export(_drawn(model))))
    assert (file.operators[0].groups, file.multiply_adds) == (4, 64 * 8 * 16 // 4)
    stored = file.operators[0].stored
    assert stored
    assert (stored.op, stored.version, stored.min_runtime) == ("CONV_2D", 6, "2.9")


def test_branches_are_reported_where_they_join() -> None:
    image = keras.layers.Input((8, 8, 4))
    right = keras.layers.Conv2D(4, 1)(keras.layers.Conv2D(4, 1)(image))
    sides = [keras.layers.Conv2D(4, 1)(image), right]
    model = keras.Model(image, keras.layers.Concatenate(name="join")(sides))
    third = guidelines(cost_of_model.network(model))[2]
    assert third.figure == pytest.approx(4 / 3)
    assert [(found.layer, found.why) for found in third.findings] == [
        ("join", "joins branches of 1 and 2 operators")
    ]


def test_a_bare_shortcut_is_no_branch_and_an_addition_is_element_wise(small: Network) -> None:
    _, _, third, fourth = guidelines(small)
    assert (third.figure, third.findings) == (1.0, ())
    assert fourth.figure == pytest.approx(768 / 3827)
    assert [finding.layer for finding in fourth.findings] == ["sum"]


def test_mobilenet_v2_has_the_published_counts() -> None:
    network = network_of(MobileNetV2(), 224, 1000)
    assert (network.parameters, network.multiply_adds) == (3_504_872, 300_774_272)
    assert network.peak == 112 * 112 * 96 + 56 * 56 * 96  # the first expansion, and what reads it
    assert network.peak_operator
    assert network.peak_operator.name == "block1_spatial_depthwise"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "xception" else ()) for n in MODELS]
)
def test_a_recipe_and_its_file_cost_the_same(name: str) -> None:
    keras.backend.clear_session()
    architecture: Any = load("models", name)()
    model = _drawn(architecture.build((32, 32, 3), 11))
    file = File(export(model))
    ours, theirs = cost_of_model.network(model), cost_of_file.network(file)
    assert ours.multiply_adds == theirs.multiply_adds
    for count in ("weights", "biases"):
        assert ours.total(lambda row: getattr(row, count)) == theirs.total(  # noqa: B023
            lambda row: getattr(row, count)  # noqa: B023
        )
    assert ours.peak == theirs.peak
    assert Inspected("", theirs, [], file=file).min_runtime == _written_runtime(file)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_transposed_convolution_costs_the_same_in_a_recipe_and_its_file(
    strides: int, use_bias: bool
) -> None:
    """In a file it had no multiply-adds. Each weight multiplies at each place that it reads."""
    layers = keras.layers
    image = layers.Input((8, 8, 4))
    fields = {"use_bias": use_bias, "padding": "same"}
    x = layers.Conv2DTranspose(6, (2, 3), strides, name="up", **fields)(image)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(3)(x))
    model.set_weights([np.random.default_rng(0).random(one.shape) for one in model.weights])
    file = File(export(model))
    ours, theirs = cost_of_model.network(model), cost_of_file.network(file)
    assert theirs.multiply_adds == ours.multiply_adds == 8 * 8 * 2 * 3 * 4 * 6 + 6 * 3
    figures = [
        [(row.kind, row.weights, row.biases, row.parameters, row.kernel, row.groups) for row in one]
        for one in (ours.operators[:1], theirs.operators[:1])
    ]
    assert figures[0] == figures[1]
    assert Inspected("", theirs, [], file=file).uncounted_operators == []


def _written_runtime(file: File) -> str:
    """What the converter itself wrote into the file."""
    model = unpack(file.content)
    (entry,) = (one for one in model.metadata if one.name == b"min_runtime_version")
    text: str = bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()
    return text.removesuffix(".0")


def test_zeros_and_distinct_values_are_counted_in_the_file() -> None:
    image = keras.layers.Input((8, 8, 2))
    model = keras.Model(image, keras.layers.Conv2D(4, 1, name="conv")(image))
    kernel = np.array([[0, 0, 0.5, 1], [0, 0.5, 2, 2]], np.float32).reshape(1, 1, 2, 4)
    model.set_weights([kernel, np.ones(4)])
    (row,) = cost_of_file.network(File(export(model))).operators
    assert row.stored
    assert (row.stored.zero_weights, row.stored.distinct_values) == (3, 4)
    assert row.stored.types == ("float32",) * 3


def test_weights_that_loading_unpacks_are_no_operators_but_need_their_runtime(
    tmp_path: Path,
) -> None:
    image = keras.layers.Input((8, 8, 64))
    converter = converter_for(_drawn(keras.Model(image, keras.layers.Conv2D(64, 1)(image))))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path = tmp_path / "float16.tflite"
    path.write_bytes(convert(converter))
    found = inspect(path)
    (row,) = found.network.operators
    assert (row.weights, row.biases, row.multiply_adds) == (4096, 64, 64 * 4096)
    assert row.stored
    assert row.stored.types == ("float32", "float16", "float32")
    assert found.runtimes == {"CONV_2D 1": "1.5", "DEQUANTIZE 3": "1.15"}
    assert found.min_runtime == "1.15"


def test_runtimes_are_known_by_operator_and_version() -> None:
    assert oldest("FULLY_CONNECTED", 12) == "2.17"
    assert [oldest("CONV_2D", 99), oldest("NOVELTY", 1), oldest("BROADCAST_TO", 1)] == [None] * 3
    assert newest_of(["2.9", "1.14", "2.17"]) == "2.17"


def test_an_operator_that_is_too_new_is_named(small_file: Path, tmp_path: Path) -> None:
    model = unpack(small_file.read_bytes())
    model.operatorCodes[0].version = 99
    path = tmp_path / "new.tflite"
    path.write_bytes(pack(model))
    found = inspect(path)
    assert (found.unknown_operators, found.min_runtime) == (["CONV_2D 99"], "1.6")


GOOGLE = {  # parameters (kernels and biases), multiply-adds
    "mobilenet_v1_0.25_128_quant": (467_593, 13_570_304),
    "mobilenet_v1_0.5_160_quant": (1_326_633, 76_525_312),
    "mobilenet_v2_1.0_224_quant": (3_489_097, 300_775_552),
}


@pytest.mark.parametrize("name", GOOGLE)
def test_files_of_others_are_read(name: str, tmp_path: Path) -> None:
    """Google's hosted files (Apache 2.0), as of 2018, with zeros for the values of large kernels."""
    path = tmp_path / "hosted.tflite"
    path.write_bytes(gzip.decompress((HOSTED / f"{name}.tflite.gz").read_bytes()))
    found = inspect(path)
    assert (found.network.parameters, found.network.multiply_adds) == GOOGLE[name]
    assert (found.min_runtime, found.unknown_operators) == ("1.5", [])
    first = found.network.operators[0].stored
    assert first
    assert first.types == ("uint8",) * 3


def test_inspect_tells_a_recipe_layer_by_layer(call: Call, tiny: Path) -> None:
    found = as_json(call("inspect", tiny, "--set", "model.tiny.width=8", "--json"))
    assert (found["title"], found["input_shape"]) == ("tiny width 8", [1, 32, 32, 3])
    assert found["size_bytes"] is None
    assert sum(layer["multiply_adds"] for layer in found["layers"]) == found["multiply_adds"]
    assert [guideline["name"] for guideline in found["guidelines"]] == ["G1", "G2", "G3", "G4"]
    message = call("inspect", tiny).stdout
    assert "block3_expand_conv" in message
    assert "multiply-adds" in message


def test_a_recipe_is_counted_where_its_pictures_are_not(call: Call) -> None:
    path = ROOT / "recipes" / "mobilenet_v2.yaml"
    result = call("inspect", path, "--set", "data.directory.path=nowhere", "--json")
    assert "data folder nowhere does not exist" in result.stderr
    assert "Counted with 1000 classes." in result.stderr
    assert as_json(result)["parameters"] == 1_677_128
    assert "1 mistake" in complaint(call("inspect", path, "--set", "train.epochs=0"))


def test_inspecting_prepares_no_dataset(call: Call, tmp_path: Path) -> None:
    path = ROOT / "recipes" / "imagenet" / "mobilenet_v2.yaml"
    result = call("inspect", path, "--set", f"data.tfds.data_dir={tmp_path / 'sets'}", "--json")
    assert as_json(result)["parameters"] == 3_504_872
    assert not (tmp_path / "sets").exists()


def test_a_run_is_its_recipe(call: Call, tiny: Path) -> None:
    Path("run").mkdir()
    Path("run/recipe.yaml").write_text(tiny.read_text())
    run, recipe = as_json(call("compare", "run", tiny, "--json"))["targets"]
    assert run.pop("target") == "run"
    assert recipe.pop("target") == str(tiny)
    assert run == recipe


def test_every_key_is_documented(call: Call, small_file: Path) -> None:
    page = (ROOT / "docs" / "inspect.md").read_text()
    found = as_json(call("inspect", small_file, "--json"))
    plain = {"name", "kind", "input_shapes", "output_shape", "kernel", "groups"}
    for key in {*found, *found["layers"][0]} - plain:
        assert f"`{key}`" in page


def test_compare_puts_a_recipe_beside_a_file(call: Call, tiny: Path, small_file: Path) -> None:
    recipe, file = as_json(call("compare", tiny, small_file, "--json"))["targets"]
    assert (recipe["min_runtime"], file["min_runtime"]) == (None, "1.6")
    assert (file["multiply_adds"], file["size_bytes"]) == (8204, small_file.stat().st_size)
    message = call("compare", tiny, small_file).stdout
    assert f"8,204 ({8204 / recipe['multiply_adds']:.2f}x)" in message


def test_a_file_is_inspected_without_tensorflow(small_file: Path) -> None:
    code = (
        "import sys; from tflite_light.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print([name for name in ('tensorflow', 'tf_keras') if name in sys.modules])"
    )
    for command in ("inspect", "compare"):
        done = subprocess.run(
            [sys.executable, "-c", code, command, str(small_file)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.endswith("[]\n")


def test_what_is_no_network_is_refused(call: Call, small_file: Path) -> None:
    content = small_file.read_bytes()
    noise = np.random.default_rng(0).bytes(10_000)
    cases = {
        "cut.tflite": (content[: len(content) // 2], "damaged or was cut off"),
        "stub.tflite": (content[:8], "damaged or was cut off"),
        "noise.tflite": (content[:8] + noise, "damaged or was cut off"),
        "empty.tflite": (b"", "is not a TFLite file"),
        "net.pth": (
            b"PK",
            "net.pth holds weights, not a network.\nhint: Inspect a recipe that names them",
        ),
        "photo.jpg": (b"\xff\xd8\xff\xe0" + noise, "is not a TFLite file"),
    }
    for name, (bytes_, message) in cases.items():
        Path(name).write_bytes(bytes_)
        assert message in complaint(call("inspect", name))
    Path("folder").mkdir()
    assert "folder is not a run" in complaint(call("inspect", "folder"))
    assert "none does not exist" in complaint(call("inspect", "none"))
    assert "none.yaml does not exist" in complaint(call("compare", small_file, "none.yaml"))
    assert "is not one" in complaint(call("inspect", small_file, "--set", "train.epochs=2"))


@pytest.mark.parametrize("name", MODELS)
def test_published_variants_are_variants(name: str) -> None:
    architecture: Any = load("models", name)
    published = architecture.published()
    assert published
    assert len({(variant.variant, variant.size) for variant in published}) == len(published)
    for variant in published:
        architecture(**variant.fields)
        assert variant.top1 is None or 0.4 <= variant.top1 <= 0.8
        assert bool(variant.source) == (variant.top1 is not None)


@pytest.mark.parametrize("name", MODELS)
def test_the_page_has_every_variant_with_today_s_counts(name: str) -> None:
    architecture: Any = load("models", name)
    section = PAGE.read_text().partition(f"## {name}\n")[2].partition("## ")[0]
    published = architecture.published()
    for variant in published:
        assert f"| {variant.variant} | {variant.size} | " in section
    for variant in (published[0], published[-1]):  # a change of the code seldom spares both
        keras.backend.clear_session()
        network = network_of(architecture(**variant.fields), variant.size, 1000)
        row = f"| {variant.size} | {network.parameters:,} | {network.multiply_adds:,} | "
        assert f"| {variant.variant} {row}" in section


def test_a_layer_that_is_used_twice_costs_twice_and_is_stored_once() -> None:
    layers, image = keras.layers, keras.layers.Input((8, 8, 4))
    again = layers.Conv2D(4, 3, 2, "same", name="again")
    x = layers.ReLU(name="relu")(again(again(image)))
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.Flatten(name="flat")(x)))
    ours = cost_of_model.network(model)
    theirs = cost_of_file.network(File(export(_drawn(model))))
    assert [row.name for row in ours.operators] == ["again", "again", "flat", "logits"]
    assert [row.parameters for row in ours.operators] == [4 * 36 + 4, 0, 0, 16 * 3 + 3]
    assert [row.multiply_adds for row in ours.operators] == [16 * 144, 4 * 144, 0, 16 * 3]
    for figure in ("multiply_adds", "parameters", "peak", "int8_bytes"):
        assert getattr(ours, figure) == getattr(theirs, figure), figure


@pytest.mark.parametrize("trainable", [True, False])
def test_a_network_as_a_layer_cannot_be_counted(trainable: bool) -> None:
    inner = keras.Sequential([keras.layers.Conv2D(4, 3)], name="inner")
    image = keras.layers.Input((8, 8, 4))
    model = keras.Model(image, inner(image))
    inner.trainable = trainable
    with pytest.raises(UserError, match="layer inner cannot be counted: what the weights of Seq"):
        cost_of_model.network(model)


def test_a_run_has_its_own_classes_wherever_its_pictures_are(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "model: {tiny: {width: 4}}\ndata: {directory: {path: photos}}\nimage: {size: 32}\n"
        "train: {epochs: 1, batch_size: 8}\nexport: [float32]\n"
    )
    run = as_json(call("train", "mine.yaml", "--json"))["run"]
    before = as_json(call("inspect", run, "--json"))
    photos.rename(tmp_path / "moved")
    assert as_json(call("inspect", run, "--json")) == before
