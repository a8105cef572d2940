"""`verify` names the first element that differs, in the input or the output, and what it means."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, TINY, Call, as_json, complaint, encoded, invoke, photograph
from PIL import Image as Pillow
from PIL import ImageOps

from tflite_light import contract
from tflite_light.contract import Contract, Image, Tensor
from tflite_light.data.synthetic import Synthetic
from tflite_light.export.float32 import Float32
from tflite_light.graph.convert import convert, converter_for
from tflite_light.measure.accuracy import answers
from tflite_light.measure.card import card
from tflite_light.measure.elsewhere import SCRIPT
from tflite_light.measure.goldens import input_of
from tflite_light.measure.mistakes import Cause, cause, mistaken
from tflite_light.measure.runners import KerasModel
from tflite_light.measure.sampling import samplings_of
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.preprocess import crop_and_resize, normalise
from tflite_light.runs.delivery import deliver
from tflite_light.runs.verifying import verify
from tflite_light.sockets import names
from tflite_light.stack import tf

BYTES = Tensor(shape=[1, 32, 32, 3], dtype="uint8", scale=1 / 128, zero_point=128)
FLOATS = Tensor(shape=[1, 32, 32, 3], dtype="float32")
SQUARE_AND_GREY = np.asarray(photograph().convert("L").convert("RGB").resize((32, 32)))
RUNTIMES = {
    version: ROOT / ".runtimes" / version / "bin" / "python" for version in ("2.14.0", "2.16.1")
}


def agreed(input_: Tensor, **image: Any) -> Contract:
    output = Tensor(shape=[1, 2], dtype="uint8", scale=0.5, zero_point=128)
    return Contract(
        model="m", image=Image(size=32, **image), labels=["a", "b"], input=input_, output=output
    )


@pytest.mark.parametrize("input_", [BYTES, FLOATS], ids=["uint8", "float32"])
@pytest.mark.parametrize(
    "image", [{}, {"resize": "stretch", "filter": "bicubic", "channels": "BGR"}], ids=str
)
def test_every_mistake_shows_on_a_test_card_of_any_picture(input_: Tensor, image: Any) -> None:
    (none, right), *others = mistaken(card(SQUARE_AND_GREY, 32), agreed(input_, **image))
    assert none == ()
    assert np.array_equal(
        right, input_of(decode(card(SQUARE_AND_GREY, 32)), agreed(input_, **image))
    )
    assert len(others) > 1000
    assert [names for names, values in others if np.array_equal(values, right)] == []


def test_a_square_grey_picture_of_the_model_s_size_hides_mistakes() -> None:
    """Why there is a test card."""
    content = encoded(Pillow.fromarray(SQUARE_AND_GREY), "PNG")
    (_, right), *others = mistaken(content, agreed(BYTES))
    hidden = {names for names, values in others if np.array_equal(values, right)}
    for mistake in ("`filter: bicubic`", "`channels: BGR`", "`resize: stretch`"):
        assert (mistake,) in hidden


def test_an_integer_input_that_is_rounded_otherwise_is_named() -> None:
    """Of a file for mean and std of 127.5, whose steps lie half-way between pixels."""
    content = card(SQUARE_AND_GREY, 32)
    halves = {"mean": (127.5,) * 3, "std": (127.5,) * 3}
    wanted = agreed(BYTES.model_copy(update={"scale": 1 / 127.5, "zero_point": 127}), **halves)
    real = normalise(
        crop_and_resize(decode(content), wanted.image).astype(np.float32), wanted.image
    )
    steps = real / np.float32(1 / 127.5) + np.float32(127)
    for name, values in (("halves rounded to even", np.rint(steps)), ("fractions cut off", steps)):
        made = values.clip(0, 255).astype(np.uint8)
        found = cause(content, wanted, partial(apart, made))
        assert found == Cause((name,), 0.0)


def apart(some: Any, others: Any) -> float:
    return float(np.abs(np.subtract(some, others, dtype=np.float32)).mean())


def test_the_nearest_pixel_is_pillow_s() -> None:
    nearest = samplings_of(Image(size=32))["the nearest pixel for a filter",]
    for side in (32, 33, 48, 64, 96, 97, 128, 500):
        picture = photograph().resize((side, side))
        expected = picture.resize((32, 32), Pillow.Resampling.NEAREST)
        assert np.array_equal(nearest(np.asarray(picture), Image(size=32)), np.asarray(expected))


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A copy of the exported files."""
    return Path(shutil.copytree(home / "app", tmp_path / "copy"))


def edit(model: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a contract; only the one beside the file is left, and its goldens' digest goes."""
    side = contract.beside(model)
    value = json.loads(side.read_text())
    model.write_bytes(model.read_bytes()[: value["flatbuffer"]["size_bytes"]])
    value["golden_sha256"] = None
    change(value)
    side.write_text(json.dumps(value))


def refuted(result: Any) -> tuple[str, dict[str, Any]]:
    """What is wrong, by exit code 2, and the report on stdout."""
    assert result.exit_code == 2, result.output
    return result.stderr.partition("error: ")[2], json.loads(result.stdout)


@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_a_file_as_it_was_exported_is_equal_to_the_bit(folder: Path, call: Call, mode: str) -> None:
    model = folder / f"signs_{mode}.tflite"
    found = as_json(call("verify", model, "--json"))
    assert found["passed"]
    assert found["runtime"].startswith("ai-edge-litert 2.3.0, XNNPACK, ")
    assert [one["verdict"] for one in found["pictures"]] == ["pass"] * 8
    assert {one["off"] for one in found["pictures"]} == {0}
    lines = call("verify", model).stdout.splitlines()
    assert lines[1] == f"signs_{mode}_golden/0.png\tpass\tequal to the bit"
    assert len(lines) == 9


CONTRACTS: list[tuple[dict[str, Any], str]] = [
    ({"filter": "bicubic"}, "`filter: bilinear`"),
    ({"channels": "BGR"}, "`channels: RGB`"),
    ({"resize": "stretch"}, "`resize: crop, crop: 1`"),
    ({"crop": 0.875}, "`crop: 1`"),
    ({"filter": "box", "channels": "BGR"}, "`filter: bilinear` and `channels: RGB`"),
]


@pytest.mark.parametrize(("changed", "right"), CONTRACTS, ids=str)
@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_what_a_changed_contract_said_before_is_named(
    folder: Path, call: Call, mode: str, changed: dict[str, Any], right: str
) -> None:
    model = folder / f"signs_{mode}.tflite"
    edit(model, lambda value: value["image"].update(changed))
    message, found = refuted(call("verify", model, "--json"))
    assert f"It was made with {right} when the file was exported" in message
    assert {one["verdict"] for one in found["pictures"]} <= {"pass", "input"}
    assert found["pictures"][-1]["verdict"] == "input"
    assert "the input differs first at row " in found["pictures"][-1]["text"]


@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_a_changed_mean_contradicts_the_metadata(folder: Path, call: Call, mode: str) -> None:
    model = folder / f"signs_{mode}.tflite"
    edit(model, lambda value: value["image"].update(mean=[127.0] * 3))
    message = complaint(call("verify", model, "--json"))
    assert "and its contract have different mean: the input differs." in message


def consumer(picture: Pillow.Image, **wrong: Any) -> Any:
    """How an app in Python may come from a picture to the float input, written without this kit."""
    if not wrong.get("exif"):
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "RGBA":
        white = Pillow.new("RGBA", picture.size, "white")
        picture = picture if wrong.get("alpha") else Pillow.alpha_composite(white, picture)
    picture = picture.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    if not wrong.get("whole"):
        picture = picture.crop((left, top, left + side, top + side))
    if wrong.get("tensorflow"):
        pixels = np.round(tf.image.resize(np.asarray(picture), (32, 32)))
    else:
        filter_ = wrong.get("filter", Pillow.Resampling.BILINEAR)
        pixels = np.asarray(picture.resize((32, 32), filter_))
    pixels = pixels[..., ::-1] if wrong.get("bgr") else pixels
    return (pixels.astype(np.float32) - wrong.get("mean", 128)) / np.float32(wrong.get("std", 128))


def dump(model: Path, into: Path, kind: str = ".npy", **wrong: Any) -> Path:
    """The inputs that the consumer makes of a file's golden pictures."""
    into.mkdir(exist_ok=True)
    for number in range(8):
        picture = Pillow.open(model.with_name(f"{model.stem}_golden") / f"{number}.png")
        values = consumer(picture, **wrong)
        if "int8" in model.stem:
            values = np.floor(values * 128 + 128.5).clip(0, 255).astype(np.uint8)
        if kind == ".npy":
            np.save(into / f"{number}.npy", values[None])
        else:
            (into / f"{number}.bin").write_bytes(values.tobytes())
    return into


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"filter": Pillow.Resampling.BICUBIC}, "is exactly what comes of `filter: bicubic`."),
    (
        {"filter": Pillow.Resampling.NEAREST},
        "is exactly what comes of the nearest pixel for a filter.",
    ),
    ({"bgr": True}, "is exactly what comes of `channels: BGR`."),
    ({"whole": True}, "is exactly what comes of `resize: stretch`."),
    ({"mean": 127}, "is exactly what comes of `mean: 127`."),
    ({"exif": True}, "is exactly what comes of EXIF ignored."),
    (
        {"exif": True, "alpha": True},
        "is exactly what comes of EXIF ignored and transparency ignored.",
    ),
    (
        {"exif": True, "alpha": True, "whole": True, "filter": Pillow.Resampling.BICUBIC},
        "EXIF ignored and transparency ignored and `resize: stretch` and `filter: bicubic`.",
    ),
    ({"tensorflow": True}, "what comes of bilinear without antialiasing"),
    ({"mean": 127.5, "std": 127.5}, "is exactly what comes of `mean: 127.5, std: 127.5`."),
]


@pytest.mark.parametrize(("wrong", "named"), MISTAKES, ids=str)
@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_a_consumer_s_mistake_is_named_and_no_runtime_s_rounding(
    home: Path, tmp_path: Path, call: Call, mode: str, wrong: dict[str, Any], named: str
) -> None:
    model = home / "app" / f"signs_{mode}.tflite"
    folder = dump(model, tmp_path / "inputs", **wrong)
    message, found = refuted(call("verify", model, "--inputs", folder, "--json"))
    assert message.startswith(f"{model}: the input differs for ")
    assert named in message
    assert {one["verdict"] for one in found["pictures"]} <= {"pass", "input"}
    assert found["pictures"][-1]["verdict"] == "input"


def test_the_first_element_that_differs_is_the_consumer_s(
    home: Path, tmp_path: Path, call: Call
) -> None:
    model = home / "app" / "signs_int8.tflite"
    folder = dump(model, tmp_path / "inputs", ".bin")
    assert as_json(call("verify", model, "--inputs", folder, "--json"))["passed"]
    values = np.fromfile(folder / "3.bin", np.uint8).reshape(32, 32, 3)
    values[5, 7, 1] ^= 1
    values.tofile(folder / "3.bin")
    message, found = refuted(call("verify", model, "--inputs", folder, "--json"))
    assert "the input differs for 1 of 8 golden pictures. No mistake" in message
    assert found["pictures"][3]["text"] == (
        f"the input differs first at row 5, column 7, green: {values[5, 7, 1]}, "
        f"expected {values[5, 7, 1] ^ 1}"
    )


def test_float32_s_own_rounding_is_told_from_a_mistake(
    home: Path, tmp_path: Path, call: Call
) -> None:
    """As (pixel * (1 / std) - mean / std) does."""
    model = home / "app" / "signs_float32.tflite"
    folder = dump(model, tmp_path / "inputs")
    for path in folder.iterdir():
        np.save(path, np.nextafter(np.load(path), np.float32(9)))
    message, _ = refuted(call("verify", model, "--inputs", folder, "--json"))
    assert "Only float32's rounding differs: subtract mean first" in message


def test_zero_has_no_sign_that_matters(home: Path, tmp_path: Path, call: Call) -> None:
    model = home / "app" / "signs_float32.tflite"
    folder = dump(model, tmp_path / "inputs")
    for path in folder.iterdir():
        values = np.load(path)
        np.save(path, np.where(values == 0, np.float32(-0.0), values))
    assert as_json(call("verify", model, "--inputs", folder, "--json"))["passed"]


def test_inputs_that_are_not_given_and_files_of_no_picture_are_said(
    home: Path, tmp_path: Path, call: Call
) -> None:
    model = home / "app" / "signs_int8.tflite"
    folder = dump(model, tmp_path / "inputs")
    assert "golden picture" not in call("verify", model, "--inputs", folder).stderr
    for number in range(2, 8):
        (folder / f"{number}.npy").unlink()
    (folder / "1.npy").rename(folder / "01.npy")
    found = call("verify", model, "--inputs", folder)
    assert found.exit_code == 0
    pictures = ", ".join(f"{number}.png" for number in range(1, 8))
    assert found.stderr.splitlines()[-2:] == [
        f"{folder} has inputs of 1 of 8 golden pictures: none of {pictures}",
        f"01.npy in {folder} belongs to no golden picture",
    ]
    (folder / "0.bin").write_bytes(b"")
    message = complaint(call("verify", model, "--inputs", folder))
    assert message == (
        f"{folder} has 0.npy and 0.bin, both for signs_int8_golden/0.png.\n"
        "hint: Keep one of them there.\n"
    )


def test_inputs_in_another_container_or_of_another_length_are_refused(
    home: Path, tmp_path: Path, call: Call
) -> None:
    model = home / "app" / "signs_float32.tflite"
    folder = dump(model, tmp_path / "inputs", ".bin")
    content = (folder / "0.bin").read_bytes()
    (folder / "0.bin").write_bytes(content + b"xy")
    message = complaint(call("verify", model, "--inputs", folder))
    assert "0.bin cannot be read: buffer size must be a multiple of element size." in message
    (folder / "0.bin").unlink()
    with (folder / "0.npy").open("wb") as file:
        np.savez(file, values=np.zeros((32, 32, 3), np.float32))
    message = complaint(call("verify", model, "--inputs", folder))
    assert "0.npy cannot be read: the magic string is not correct" in message


def test_inputs_of_another_type_or_of_no_picture_are_refused(
    home: Path, tmp_path: Path, call: Call
) -> None:
    model, inputs = home / "app" / "signs_int8.tflite", tmp_path / "inputs"
    inputs.mkdir()
    message = complaint(call("verify", model, "--inputs", inputs))
    assert message.startswith(f"{inputs} has no input of a golden picture.\nhint: Write what is")
    np.save(inputs / "0.npy", np.zeros((32, 32, 3), np.float32))
    message = complaint(call("verify", model, "--inputs", inputs))
    assert "0.npy is float32 [32, 32, 3], but the file takes uint8 [1, 32, 32, 3]." in message
    np.save(inputs / "0.npy", np.zeros((2, 32, 32, 3), np.uint8))
    message = complaint(call("verify", model, "--inputs", inputs))
    assert "0.npy is uint8 [2, 32, 32, 3], but the file takes uint8 [1, 32, 32, 3]." in message
    for content in (b"", b"NPY", b"\x93NUMPY\x01\x00"):
        (inputs / "0.npy").write_bytes(content)
        assert "0.npy cannot be read: " in complaint(call("verify", model, "--inputs", inputs))


def test_a_picture_that_was_edited_is_told_from_a_contract_that_was(
    folder: Path, call: Call
) -> None:
    model = folder / "signs_int8.tflite"
    last = folder / "signs_int8_golden" / "7.png"
    stripped = Pillow.open(last)
    stripped.load()
    stripped.save(last, exif=b"")
    message, found = refuted(call("verify", model, "--json"))
    assert "The picture itself is another: it was replaced, edited, or lost its EXIF" in message
    assert [one["verdict"] for one in found["pictures"]] == ["pass"] * 7 + ["input"]


def test_a_picture_written_anew_without_loss_is_the_same(folder: Path, call: Call) -> None:
    for path in (folder / "signs_int8_golden").iterdir():
        picture = Pillow.open(path)
        picture.save(path, "PNG", exif=picture.getexif(), compress_level=0)
    assert as_json(call("verify", folder / "signs_int8.tflite", "--json"))["passed"]


def test_pictures_that_lack_are_no_proof(folder: Path, call: Call) -> None:
    model = folder / "signs_int8.tflite"
    (folder / "signs_int8_golden" / "3.png").write_bytes(b"PNG")
    message, _ = refuted(call("verify", model, "--json"))
    assert "1 of 8 golden pictures cannot be read." in message
    (folder / "signs_int8_golden" / "2.png").unlink()
    message, found = refuted(call("verify", model, "--json"))
    assert message.startswith(f"{model}: 1 of 8 golden pictures are missing.")
    assert [one["verdict"] for one in found["pictures"]][2:4] == ["missing", "picture"]
    shutil.rmtree(folder / "signs_int8_golden")
    message = complaint(call("verify", model))
    assert "has no golden pictures to verify it by: " in message
    assert "0.png and the others are missing.\nhint: Copy NAME.json and NAME_golden/" in message
    contract.beside(model).unlink()
    message = complaint(call("verify", model))
    assert "signs_int8.json, which lists them, is missing." in message


def test_an_output_beyond_rounding_names_its_element(folder: Path, call: Call) -> None:
    model = folder / "signs_int8.tflite"
    before = contract.read(model).golden[1].output

    def shift(value: dict[str, Any], steps: int) -> None:
        value["golden"][1] |= {"runtime": "another 1.0"}
        value["golden"][1]["output"][2] -= steps

    edit(model, lambda value: shift(value, 10))
    assert as_json(call("verify", model, "--json"))["pictures"][1]["off"] == 10
    edit(model, lambda value: shift(value, 1))
    message, found = refuted(call("verify", model, "--json"))
    assert "the output differs for 1 of 8 golden pictures.\nhint: The inputs are" in message
    shown = call("verify", model)
    assert shown.exit_code == 2
    assert shown.stdout.splitlines()[2].startswith(
        "signs_int8_golden/1.png\toutput\tthe output dif"
    )
    assert shown.stderr == f"error: {message}"
    assert found["pictures"][1]["text"].endswith(
        f"first at output 2 (pattern2): {before[2]:g}, expected {before[2] - 11:g}"
    )
    assert (
        "differs by 11 steps, at most 10 are expected: another 1.0" in found["pictures"][1]["text"]
    )


def test_old_files_are_verified(folder: Path, call: Call) -> None:
    """As minor 1 and 0 wrote them."""
    model = folder / "signs_int8.tflite"

    def old(value: dict[str, Any], *keys: str) -> None:
        for golden in value["golden"]:
            for key in keys:
                del golden[key]

    edit(model, lambda value: old(value, "decoded_sha256"))
    assert as_json(call("verify", model, "--json"))["passed"]
    edit(model, lambda value: old(value, "input_sha256", "runtime"))
    assert as_json(call("verify", model, "--json"))["passed"]


def test_another_environment_s_runtime_answers(home: Path, call: Call) -> None:
    for mode in ("int8", "float32"):
        model = home / "app" / f"signs_{mode}.tflite"
        here = as_json(call("verify", model, "--json"))
        assert as_json(call("verify", model, "--runtime", sys.executable, "--json")) == here


def test_what_another_environment_runs_is_python_3_8() -> None:
    """Old enough for `tflite-runtime` 2.5 to 2.14."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))


def test_an_environment_that_cannot_run_files_is_refused(
    home: Path, tmp_path: Path, call: Call
) -> None:
    model = home / "app" / "signs_int8.tflite"
    message = complaint(call("verify", model, "--runtime", tmp_path / "none"))
    assert message.startswith(f"{tmp_path / 'none'} cannot be run: No such file")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    message = complaint(call("verify", model, "--runtime", tmp_path / "bare/bin/python"))
    assert "ended before it answered: ModuleNotFoundError: No module named 'numpy'." in message


def test_a_run_is_verified_by_its_file(home: Path, tmp_path: Path, call: Call) -> None:
    """Also one whose name ends as weights do."""
    run = tmp_path / "run.h5"
    shutil.copytree(home / "app", run / "exports")
    for path in (run / "exports").glob("signs_float32*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert as_json(call("verify", run, "--json"))["file"].endswith("signs_int8.tflite")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every mode; rounding makes little of answers that training has set apart."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY)
    every = f"export=[{', '.join(names('export'))}]"
    as_json(
        invoke(
            *("train", folder / "tiny.yaml", "--runs", folder / "runs", "--json"),
            *("--set", "compress=[]", "--set", every),
        )
    )
    return folder / "runs" / "tiny" / "exports"


needs_runtimes = pytest.mark.skipif(
    not all(python.exists() for python in RUNTIMES.values()), reason="make runtimes sets them up"
)


@pytest.mark.slow
@needs_runtimes
@pytest.mark.parametrize("mode", names("export"))
@pytest.mark.parametrize("version", RUNTIMES)
def test_every_mode_s_file_answers_on_the_runtimes_of_phones(
    trained: Path, version: str, mode: str
) -> None:
    found = verify(trained / f"{mode}.tflite", RUNTIMES[version])
    assert version in found.runtime
    assert found.failed == []


class Hybrid(Float32):
    """Weights int8, one scale a channel, also of the dense layer: what old runtimes lack."""

    def convert(self, model: Any, examples: Examples) -> bytes:
        converter = converter_for(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return convert(converter)


@pytest.mark.slow
@needs_runtimes
@pytest.mark.parametrize("version", RUNTIMES)
def test_a_runtime_too_old_for_an_operator_is_told_what_the_file_needs(
    tmp_path: Path, call: Call, version: str
) -> None:
    data = Synthetic(count=60, number_of_classes=3, side=40).load(Image(size=32))
    network = Tiny(width=256).build((32, 32, 3), 3)
    path = tmp_path / "hybrid.tflite"
    deliver(
        Hybrid(runtime="2.17"), network, answers(KerasModel(network), data.test), data, (), path
    )
    assert as_json(call("verify", path, "--json"))["passed"]
    message = complaint(call("verify", path, "--runtime", RUNTIMES[version]))
    assert "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'" in message
    assert (
        "hint: Its operators need TFLite 2.17 or newer, for FULLY_CONNECTED version 12." in message
    )
