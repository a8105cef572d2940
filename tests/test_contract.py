"""The contract of a file: bound to it, read by older and newer readers, shown by golden pictures."""

import contextlib
import io
import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_lines, complaint
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import ValidationError

from tflite_light import contract
from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.measure import goldens
from tflite_light.measure.accuracy import Measured, answers
from tflite_light.measure.predict import Answer, Predictor
from tflite_light.measure.runners import KerasModel, TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.report.measured import warnings
from tflite_light.runs.delivery import deliver
from tflite_light.tflite.identity import network

LABELS = ["pattern0", "pattern1", "pattern2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an int8 and a float32 file of an untrained network; tests only read it."""
    folder = tmp_path_factory.mktemp("made")
    data = Synthetic(count=60, number_of_classes=3, side=40).load(Image(size=32))
    network = Tiny(width=4).build((32, 32, 3), 3)
    logits = answers(KerasModel(network), data.test)
    for mode in (Int8(calibration_images=20), Float32()):
        row = deliver(mode, network, logits, data, (), folder / f"{mode.key}.tflite")
        assert row.calibration_pictures == {"int8": 20, "float32": None}[mode.key]
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    """The int8 file with what is beside it, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "copy")) / "int8.tflite"


def edit(model: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the contract beside a file."""
    value = json.loads(contract.beside(model).read_text())
    change(value)
    contract.beside(model).write_text(json.dumps(value))


def bare(model: Path) -> bytes:
    return model.read_bytes().partition(b"PK\x03\x04")[0]


def archive(model: Path, *members: tuple[str, str | bytes], **how: Any) -> None:
    """Give a file another archive."""
    content = io.BytesIO(bare(model))
    with zipfile.ZipFile(content, "a", **how) as written:
        for name, text in members:
            written.writestr(name, text)
    model.write_bytes(content.getvalue())


def findings(model: Path) -> list[goldens.Finding]:
    return goldens.check(contract.read(model), TFLiteModel(model.read_bytes()), model.parent)


def refusal(model: Path) -> str:
    with pytest.raises(UserError) as caught:
        contract.read(model)
    return str(caught.value)


def test_the_contract_names_its_flatbuffer_inside_and_beside(model: Path) -> None:
    content = model.read_bytes()
    start = content.index(b"PK\x03\x04")
    side, inside = contract.read(model), contract.read_inside(content, "")
    assert side.flatbuffer == contract.Flatbuffer.of(content[:start], network(content))
    assert side.flatbuffer.size_bytes == start
    assert side.bare() == inside
    assert (side.version, side.minor, side.calibration_pictures) == (1, 3, 20)


def test_labels_permuted_beside_a_file_are_refused(model: Path, call: Call) -> None:
    edit(model, lambda value: value["labels"].reverse())
    picture = model.parent / "int8_golden" / "0.png"
    message = complaint(call("predict", model, picture))
    assert message.startswith(
        f"{model.with_suffix('.json')} and the contract inside {model} disagree: labels differ.\n"
        f"hint: Remove {model.with_suffix('.json')}: the one inside was written with the file."
    )


def test_every_other_difference_is_named(model: Path) -> None:
    edit(model, lambda value: value["image"].update(filter="box", mean=[1, 2, 3]))
    assert "disagree: image.filter, image.mean differ." in refusal(model)


def test_a_contract_of_another_network_with_the_same_ends_is_refused(model: Path) -> None:
    """Bare files: nothing inside says which labels are theirs."""
    content = bytearray(bare(model))
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    assert refusal(model).startswith(
        f"{model.with_suffix('.json')} is another file's: the sha256 of {model} differs."
    )


def test_an_archive_may_be_extended_or_left_out(model: Path) -> None:
    side = contract.read(model)
    with zipfile.ZipFile(model, "a") as members:
        members.writestr("card.md", "a card")
    assert contract.read(model) == side
    model.write_bytes(bare(model))
    assert contract.read(model) == side


def test_other_labels_inside_the_archive_are_refused(model: Path) -> None:
    text = contract.to_json(contract.read(model).bare())
    archive(model, ("contract.json", text), ("contract_labels.txt", "pattern1\npattern0\n"))
    assert "contract.json and contract_labels.txt inside" in refusal(model)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_contracts_inside_a_file_are_refused(model: Path) -> None:
    text = contract.to_json(contract.read(model).bare())
    archive(model, ("contract.json", text), ("contract.json", text.replace("RGB", "BGR")))
    contract.beside(model).unlink()
    assert "cannot be read: it holds contract.json twice." in refusal(model)


@pytest.mark.parametrize(
    "text",
    [
        '{"class_name": "Functional", "keras_version": "2.21"}',
        '{"version": "1.0.0"}',
        "[]",
        "",
        "{",
    ],
)
def test_a_stray_json_beside_a_file_is_passed_over(
    model: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    side = contract.beside(model)
    side.write_text(text)
    assert contract.read(model).labels == LABELS
    assert capsys.readouterr().err == (
        f"{side} is not a contract: the one inside {model} is used\n"
    )
    content = bare(model)
    model.write_bytes(content)
    assert f"has no contract: {side} is not one and none is inside" in refusal(model)


def test_keys_of_a_newer_minor_version_are_taken(model: Path) -> None:
    before = contract.read(model)

    def newer(value: dict[str, Any]) -> None:
        value |= {"minor": 7, "licence": "MIT", "input": {**value["input"], "layout": "NHWC"}}
        value["image"]["gamma"] = 1.0
        value["golden"][0]["seconds"] = 0.1

    edit(model, newer)
    model.write_bytes(bare(model.parent / "float32.tflite"))  # so that nothing is inside
    flatbuffer = contract.Flatbuffer.of(model.read_bytes())
    edit(model, lambda value: value.update(flatbuffer=flatbuffer.model_dump()))
    assert contract.read(model) == before.model_copy(update={"minor": 7, "flatbuffer": flatbuffer})


def test_a_newer_major_version_is_refused(model: Path) -> None:
    edit(model, lambda value: value.update(version=2, labels={"0": "a"}))
    message = refusal(model)
    assert "int8.json has version 2; this tflite-light reads version 1.\nhint: Install" in message


def old(value: dict[str, Any]) -> None:
    """As version 0.1.0 wrote it."""
    for key in ("minor", "flatbuffer", "calibration_pictures", "golden_sha256"):
        del value[key]
    for golden in value["golden"]:
        del golden["input_sha256"], golden["runtime"]


def test_contracts_without_the_newer_keys_are_read(model: Path) -> None:
    edit(model, old)
    value = json.loads(contract.beside(model).read_text())
    archive(model, ("contract.json", json.dumps({**value, "golden": []})))
    agreed = contract.read(model)
    assert (agreed.minor, agreed.flatbuffer, agreed.labels) == (0, None, LABELS)
    assert findings(model) == []


def test_an_old_contract_with_too_few_labels_is_refused(model: Path) -> None:
    model.write_bytes(bare(model))
    edit(model, old)
    edit(model, lambda value: value["labels"].pop())
    with pytest.raises(UserError, match=r"has 2 labels, but the file answers with 3 classes"):
        Predictor(model)


def test_no_default_stands_for_what_a_contract_leaves_out(model: Path) -> None:
    edit(model, lambda value: value["image"].pop("mean"))
    assert "int8.json is damaged, image.mean: is missing." in refusal(model)


def test_labels_that_write_to_the_terminal_are_no_contract_s(model: Path) -> None:
    edit(model, lambda value: value["labels"].__setitem__(0, "\x1b[31mred"))
    assert (
        r"int8.json is damaged, labels: '\x1b[31mred' has characters that cannot be written."
        in refusal(model)
    )


@pytest.mark.parametrize(
    ("method", "size", "message"),
    [
        (zipfile.ZIP_DEFLATED, 64 << 20, "contract.json is larger than 16 MiB"),
        (zipfile.ZIP_BZIP2, 1 << 20, "contract.json is compressed in a way that is not known"),
        (zipfile.ZIP_LZMA, 1 << 20, "contract.json is compressed in a way that is not known"),
    ],
)
def test_a_bomb_inside_a_file_is_not_unpacked(
    model: Path, method: int, size: int, message: str
) -> None:
    """At most 16 MiB and their copies are taken, whatever the archive says."""
    archive(model, ("contract.json", bytes(size)), compression=method)
    tracemalloc.start()
    assert message in refusal(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 << 20


@pytest.mark.parametrize("key", ["labels", "golden"])
def test_a_contract_of_many_mistakes_takes_little_memory(model: Path, key: str) -> None:
    mistakes = "1," * (1 << 20) + "1"
    contract.beside(model).write_text(f'{{"version": 1, "{key}": [{mistakes}]}}')
    tracemalloc.start()
    assert "is damaged" in refusal(model)
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()


@st.composite
def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes changed, left out, added or repeated, or the end cut off."""
    start = draw(st.integers(0, len(content) - 1))
    end = draw(st.integers(start, min(start + 30, len(content))))
    middle = draw(st.one_of(st.binary(max_size=30), st.just(content[start:end] * 2)))
    rest = draw(st.sampled_from([content[end:]] * 9 + [b""]))
    return content[:start] + middle + rest


def require_a_message(folder: Path, count: int) -> None:
    """Contracts damaged inside a file, then beside it, are read or refused, in 2 s each."""
    model = folder / "int8.tflite"
    side, flatbuffer = contract.beside(model), bare(model)
    archive, text = model.read_bytes()[len(flatbuffer) :], side.read_bytes()

    def attempt(inside: bytes | None, beside: bytes | None) -> None:
        model.write_bytes(flatbuffer + (archive if inside is None else inside))
        side.unlink(missing_ok=True)
        if beside is not None:
            side.write_bytes(beside)
        with contextlib.suppress(UserError):
            contract.read(model)

    either = st.one_of(st.tuples(damage(archive), st.none()), st.tuples(st.none(), damage(text)))
    given(either)(
        settings(max_examples=count, deadline=2000, derandomize=True, database=None)(
            lambda both: attempt(*both)
        )
    )()


def test_damaged_contracts_end_in_a_message(model: Path) -> None:
    require_a_message(model.parent, 30)


@pytest.mark.slow
def test_thousands_of_damaged_contracts_end_in_a_message(model: Path) -> None:
    require_a_message(model.parent, 3000)


@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_golden_pictures_show_that_a_reader_preprocesses_right(made: Path, mode: str) -> None:
    path = made / f"{mode}.tflite"
    assert findings(path) == []
    golden = contract.read(path).golden[0]
    assert golden.runtime
    assert golden.runtime.startswith("ai-edge-litert 2.3.0, XNNPACK, ")
    pixels = np.asarray(
        Pillow.open(made / golden.picture).resize((32, 32), Pillow.Resampling.BILINEAR)
    )
    values = pixels if mode == "int8" else ((pixels.astype("<f4") - 128) / 128).astype("<f4")
    assert golden.input_sha256 == contract.sha256(values.tobytes())


def test_a_wrong_filter_and_another_runtime_are_distinguished(model: Path, call: Call) -> None:
    """Both may be a few steps off in the output."""
    model.write_bytes(bare(model))
    edit(model, lambda value: value["image"].update(filter="bicubic"))
    assert {finding.kind for finding in findings(model)} == {"input"}
    done = call("predict", model, model.parent / "int8_golden" / "0.png")
    assert done.exit_code == 0
    warned = f"warning: {model}: 8 golden pictures, first int8_golden/0.png: the input made of it"
    assert done.stderr.startswith(warned)
    shutil.rmtree(model.parent / "int8_golden")  # a file may travel without its pictures
    assert findings(model) == []


def test_golden_answers_that_were_changed_are_refused(model: Path) -> None:
    edit(model, lambda value: value["golden"][1]["output"].__setitem__(0, 0.0))
    assert "int8.json has other golden answers than it was written with." in refusal(model)
    edit(model, lambda value: value.update(golden=[]))
    assert "int8.json has other golden answers than it was written with." in refusal(model)


def without_digest(value: dict[str, Any]) -> None:
    value["golden_sha256"] = None


def test_each_finding_names_its_picture_and_what_differs(model: Path) -> None:
    model.write_bytes(bare(model))  # the contract beside it alone counts, and has no digest
    edit(model, without_digest)
    edit(model, lambda value: value["golden"][1]["output"].__setitem__(0, 0.0))
    Pillow.new("RGB", (40, 40)).save(model.parent / "int8_golden" / "2.png")
    (model.parent / "int8_golden" / "3.png").write_bytes(b"PNG")
    first, second, third = found = findings(model)
    assert (first.picture, first.kind) == ("int8_golden/1.png", "output")
    assert "steps, at most 0 are expected: ai-edge-litert" in first.text
    assert (second.picture, second.kind) == ("int8_golden/2.png", "input")
    assert (third.picture, third.kind) == ("int8_golden/3.png", "picture")
    assert len(goldens.warnings([*found, *found])) == 3


@pytest.mark.parametrize("name", ["../0.png", "int8_golden/../../0.png", "/dev/zero"])
def test_a_golden_picture_elsewhere_is_refused(model: Path, name: str) -> None:
    """A strange .json would have `android` pack any picture of this computer into an app."""
    edit(model, lambda value: value["golden"][1].update(picture=name))
    assert f"int8.json is damaged, golden.1.picture: {name!r} leads out of its folder." in refusal(
        model
    )


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "", "a..b"])
def test_a_golden_picture_that_is_no_file_is_passed_over(model: Path, name: str) -> None:
    edit(model, lambda value: value["golden"][0].update(picture=name))
    assert findings(model) == []


def test_another_runtime_may_be_ten_steps_off(model: Path) -> None:
    def other(value: dict[str, Any], off: int) -> None:
        for golden in value["golden"]:
            golden["runtime"] = "another 1.0"
            golden["output"] = [number + off for number in golden["output"]]

    model.write_bytes(bare(model))
    edit(model, without_digest)
    edit(model, lambda value: other(value, 10))
    assert findings(model) == []
    edit(model, lambda value: other(value, 1))
    assert [finding.kind for finding in findings(model)] == ["output"] * 8
    assert (
        "differs by 11 steps, at most 10 are expected: another 1.0 gave it"
        in findings(model)[0].text
    )


WRONG_UNITS = [
    ({"mean": 0.5, "std": 0.5}, "mean: 127.5, std: 127.5"),
    (
        {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]",
    ),
    ({"mean": 0, "std": 1 / 255}, "mean: 0, std: 1"),
    ({"mean": 0.5, "std": 1}, "mean: 127.5, std: 255"),
    ({"mean": 127.5, "std": 0.5}, "mean: 127.5, std: 127.5"),
    ({"mean": 0.5}, "mean: 127.5, std: 128"),
    ({"mean": [0, 0, 0.4], "std": 255}, "mean: [0, 0, 102], std: 255"),
]


@pytest.mark.parametrize(("fields", "right"), WRONG_UNITS)
def test_mean_and_std_of_pixels_of_0_to_1_are_refused(fields: Any, right: str) -> None:
    with pytest.raises(ValidationError, match=r"pixels are 0\.\.255 here") as caught:
        Image(**fields)
    assert caught.value.errors()[0]["msg"].endswith(f"Multiply them by 255: {right}")


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (0, 255), (127.5, 127.5), ([104, 117, 123], 1)])
def test_mean_and_std_of_pixels_of_0_to_255_are_taken(mean: Any, std: Any) -> None:
    assert Image(mean=mean, std=std).std[0] == std


def test_wrong_units_and_an_idle_crop_are_refused_by_check(call: Call, tiny: Path) -> None:
    message = complaint(call("check", tiny, "--set", "image={mean: 0.5, std: 0.5}"))
    assert "image: mean and std are of pixels of 0..1, but pixels are 0..255 here." in message
    message = complaint(call("check", tiny, "--set", "image={resize: stretch, crop: 0.9}"))
    assert "image: crop has no effect with resize: stretch; remove one of them" in message


def test_a_predictor_takes_paths_images_and_arrays(made: Path) -> None:
    predictor = Predictor(str(made / "float32.tflite"))  # int8's few steps hide what differs
    path = made / "float32_golden" / "0.png"
    image = Pillow.open(path)
    (answer,) = predictor.predict(path).answers
    assert isinstance(answer, Answer)
    assert answer.label == LABELS[answer.index]
    for picture in (str(path), image, np.asarray(image), image.convert("RGBA")):
        assert predictor.predict(picture).answers == [answer]
    assert len(predictor.predict(image.convert("CMYK"), top=9).answers) == 3
    turned = image.transpose(Pillow.Transpose.ROTATE_90)
    assert predictor.predict(turned).answers != [answer]
    turned.getexif()[0x0112] = 6
    assert predictor.predict(turned).answers == [answer]
    for wrong in (np.zeros((40, 40, 3), np.float32), np.zeros((40, 40), np.uint8), [[1]]):
        with pytest.raises(UserError, match=r"Give uint8 RGB \[height, width, 3\]"):
            predictor.predict(wrong)  # type: ignore[arg-type]


def test_a_predictor_answers_many_threads_as_it_answers_one(made: Path) -> None:
    predictor, draw = Predictor(str(made / "int8.tflite")), np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(20)]
    expected = [predictor.predict(one, top=3) for one in pictures]
    with ThreadPoolExecutor(8) as pool:
        assert [
            *pool.map(lambda one: predictor.predict(one, top=3), pictures * 50)
        ] == expected * 50
    for ask in (predictor.predict, predictor.predict_files):
        with pytest.raises(UserError, match=r"^top is 0\."):
            ask("x.png", top=0)


def test_a_picture_given_twice_is_answered_twice(made: Path, call: Call) -> None:
    picture = made / "int8_golden" / "0.png"
    found = as_lines(call("predict", made / "int8.tflite", picture, picture, "--json"))
    assert [one["picture"] for one in found] == [str(picture)] * 2


def test_labels_that_stand_twice_are_shown_with_their_index(model: Path, call: Call) -> None:
    model.write_bytes(bare(model))
    edit(model, lambda value: value.update(labels=["crane", "dog", "crane"]))
    picture = model.parent / "int8_golden" / "0.png"
    lines = call("predict", model, picture, "--top", 3).stdout.splitlines()
    assert {line.split("\t")[1] for line in lines} == {"crane (0)", "dog", "crane (2)"}


def test_advice_fits_the_file() -> None:
    def advice(pictures: int | None) -> str:
        (text,) = warnings([Measured("a", 9, 0.5, agreement=0.9, calibration_pictures=pictures)])
        return text.partition("\n")[2]

    assert advice(None) == ""
    assert advice(0) == "hint: give the qat stage more epochs."
    assert advice(200) == "hint: train the network with a qat stage."
    assert advice(1).startswith("hint: its ranges come from 1 picture; give more, or train")
