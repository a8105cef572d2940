"""Times side by side: what is measured and said of it. No test holds a time to a figure."""

from pathlib import Path

import pytest
from conftest import ROOT, Call, as_json, complaint
from tflites import OP, TYPE, Writer

from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.export.int8 import Int8
from tflite_light.graph.convert import convert, converter_for
from tflite_light.measure.profiling import profile
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.tiny import Tiny
from tflite_light.stack import keras, tf


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small network, and one of 40 times as many multiply-adds."""
    folder = tmp_path_factory.mktemp("files")
    networks = {
        "tiny": Tiny().build((32, 32, 3), 3),
        "large": MobileNetV2(alpha=0.5).build((128, 128, 3), 1000),
    }
    for name, network in networks.items():
        (folder / f"{name}.tflite").write_bytes(convert(converter_for(network)))
    return [folder / f"{name}.tflite" for name in networks]


def test_files_are_timed_in_turn_and_compared(files: list[Path], call: Call) -> None:
    tiny, large = files
    command = ("benchmark", tiny, large, "--against", large, "--threads", "1,2", "--runs", "10")
    found = as_json(call(*command, "--json"))
    rows = [(row["file"], row["threads"]) for row in found["rows"]]
    assert rows == [(str(one), threads) for threads in (1, 2) for one in files]
    for row in found["rows"]:
        assert 0 < row["p5_ms"] <= row["ms"] <= row["p95_ms"]
    assert [row["ratio"] for row in found["rows"]][1::2] == [1, 1]
    for first, second in zip(found["rows"][::2], found["rows"][1::2], strict=True):
        assert first["ratio"] == pytest.approx(first["ms"] / second["ms"], abs=1e-3)
    assert found["operators"] == {str(tiny): 11, str(large): 64}
    assert found["peak_bytes"][str(large)] > 8_000_000 > found["peak_bytes"][str(tiny)]
    assert (found["against"], found["profiles"]) == (str(large), {})
    page = (ROOT / "docs" / "benchmark.md").read_text()
    assert all(f"`{key}`" in page for key in (*found, "ms", "p5_ms", "p95_ms", "ratio"))
    shown = call(*command).stdout
    assert "milliseconds for a picture, inference alone" in shown
    assert f"ratio: to {large}" in shown


def test_a_yardstick_that_anyone_can_rebuild_is_the_default(files: list[Path], call: Call) -> None:
    found = as_json(call("benchmark", files[0], "--runs", "10", "--json"))
    assert found["against"].startswith("MobileNetV2 1.0 of tf_keras.applications, 224 px, float32")
    first, yardstick = found["rows"]
    assert yardstick["ratio"] == 1
    assert first["ratio"] == pytest.approx(first["ms"] / yardstick["ms"], abs=1e-3)


def test_a_profile_says_what_kernels_take(files: list[Path], call: Call) -> None:
    _, large = files
    found = profile(large, 1)
    kernels = {one.kernel: one.calls for one in found.kernels}
    assert sum(calls for name, calls in kernels.items() if "DWConv" in name) == 17
    assert sum(calls for name, calls in kernels.items() if "GEMM" in name) == 36  # and the stem
    assert (found.partitions, found.outside) == (1, [])
    assert found.kernels == sorted(found.kernels, key=lambda one: -one.ms)
    shown = call("benchmark", large, "--against", large, "--runs", "10", "--profile").stdout
    assert f"{large}: 1 part by XNNPACK" in shown


def test_a_profile_counts_the_kernels_of_all_parts(tmp_path: Path) -> None:
    """An int8 mean of four values is for TFLite's own kernel, and cuts the file in two."""
    image = keras.layers.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(image)
    x = keras.layers.Conv2D(8, 3)(keras.layers.AveragePooling2D(2)(x))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    pictures = Synthetic(count=20, side=32).load(Image(size=32)).train
    path = tmp_path / "parts.tflite"
    path.write_bytes(Int8().convert(model, pictures))
    found = profile(path, 1)
    kernels = {one.kernel: one.calls for one in found.kernels}
    assert found.partitions == 2
    assert kernels["Convolution (NHWC, QC8) IGEMM"] == 2
    assert "AVERAGE_POOL_2D" in found.outside


RUN_FILES = "Name one of its files: run/exports/float32.tflite, run/exports/int8.tflite"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], f"run is a folder.\nhint: {RUN_FILES}\n"),
        (["good.tflite", "--against", "run"], f"run is a folder.\nhint: {RUN_FILES}\n"),
        (["none.tflite"], "none.tflite cannot be read: No such file"),
        (["broken.tflite"], "broken.tflite"),
        (["two.tflite"], "cannot be timed: it has 2 inputs and 2 outputs"),
        (["open.tflite"], "cannot be timed: it leaves the size of its pictures open"),
        (["good.tflite", "--threads", "1,x"], "--threads: '1,x' is not a list of numbers"),
        (["good.tflite", "--threads", "\u00b2"], "'\u00b2' is not a list of numbers from 1 to 64"),
        (["good.tflite", "--threads", "9" * 5000], "9' is not a list of numbers from 1 to 64"),
        (["good.tflite", "--threads", "65"], "'65' is not a list of numbers from 1 to 64"),
        (["good.tflite", "--against", "none.tflite"], "none.tflite cannot be read: No such file"),
    ],
)
def test_what_cannot_be_timed_is_named(
    arguments: list[str], message: str, files: list[Path], call: Call
) -> None:
    Path("run/exports").mkdir(parents=True)
    for name in ("int8.tflite", "float32.tflite", "float16.broken.tflite"):
        Path("run/exports", name).touch()
    Path("good.tflite").write_bytes(files[0].read_bytes())
    Path("broken.tflite").write_bytes(files[0].read_bytes()[:3000])
    Path("two.tflite").write_bytes(_two_ends())
    Path("open.tflite").write_bytes(_open())
    assert message in complaint(call("benchmark", *arguments, "--runs", "10"))


def _two_ends() -> bytes:
    writer = Writer()
    graph = writer.graph("main")
    inputs = [graph.tensor((1, 4), TYPE.FLOAT32) for _ in range(2)]
    outputs = [graph.tensor((1, 4), TYPE.FLOAT32) for _ in range(2)]
    for source, made in zip(inputs, outputs, strict=True):
        graph.op(OP.RELU, [source], [made])
    graph.ends(inputs, outputs)
    return writer.bytes()


def _open() -> bytes:
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    content: bytes = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    return content
