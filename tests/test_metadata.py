"""What others read of a delivered file, and what the kit reads of theirs."""

import gzip
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflites
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from conftest import ROOT, Call, as_json, complaint, pack, photograph, unpack
from tflites import KINDS, OP, TYPE, Writer

from tflite_light import contract
from tflite_light.graph.convert import convert, converter_for
from tflite_light.measure.accuracy import Measured
from tflite_light.measure.foreign import gives_chances
from tflite_light.measure.predict import Predictor
from tflite_light.runs.describing import description, misfit
from tflite_light.runs.evaluating import evaluate_file
from tflite_light.stack import keras, tf
from tflite_light.tflite import metadata, tables
from tflite_light.tflite.attaching import attach
from tflite_light.tflite.file import File
from tflite_light.tflite.flatbuffer import Damage
from tflite_light.tflite.identity import network

NORMALISED = {1: {0: np.array([100.0], np.float32), 1: np.array([50.0], np.float32)}}
LABELS = "cat\ndog\nelephant\n"


def written(
    content: bytes,
    units: Any = (NORMALISED,),
    labels: str | None = LABELS,
    name: str | None = "names.txt",
) -> bytes:
    """A file with metadata as another tool's writer makes them."""
    options = [{0: np.uint8(1), **unit} for unit in units]
    files = [{0: name, 2: np.uint8(2)}] if name else None
    graph = {2: [{0: "in", 4: options or None}], 3: [{0: "out", 6: files}]}
    content = attach(content, metadata.NAME, tables.pack({3: [graph], 7: "1.0.0"}, b"M001"))
    if labels is None:
        return content
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a") as members:
        members.writestr("names.txt", labels)
    return archive.getvalue()


def classifier(
    shape: tuple[int, ...] = (1, 32, 32, 3),
    kind: int = TYPE.FLOAT32,
    softmax: bool = False,
    scale: Any = None,
) -> bytes:
    """The mean of each channel is a class; with a softmax behind, if asked for."""
    writer = Writer()
    graph = writer.graph("main")
    x, out = graph.tensor(shape, kind, quantization=scale), graph.tensor((1, shape[3]))
    image = x
    if kind != TYPE.FLOAT32:
        image = graph.tensor(shape)
        graph.op(OP.DEQUANTIZE, [x], [image], version=2)
    axes = graph.constant(np.array([1, 2], np.int32))
    graph.op(OP.MEAN, [image, axes], [out], schema.ReducerOptionsT())
    if softmax:
        chances = graph.tensor((1, shape[3]))
        graph.op(OP.SOFTMAX, [out], [chances], schema.SoftmaxOptionsT(beta=1.0))
        out = chances
    graph.ends([x], [out])
    return writer.bytes()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    photograph().save(path)
    return path


def ask(call: Call, content: bytes, picture: Path, top: int = 3) -> dict[str, float]:
    """The probability of each label, of a file on its own."""
    Path("net.tflite").write_bytes(content)
    found = as_json(call("predict", "net.tflite", picture, "--top", top, "--json"))
    return {one["label"]: one["probability"] for one in found["answers"]}


def means(picture: Path) -> Any:
    """Of the red, the green and the blue of a picture stretched to 32 x 32."""
    from PIL import Image as Pillow

    pixels = Pillow.open(picture).convert("RGB").resize((32, 32), Pillow.Resampling.BILINEAR)
    return np.asarray(pixels).mean(axis=(0, 1))


def shares(logits: Any) -> list[float]:
    powers = np.exp(logits - np.max(logits))
    return [float(share) for share in powers / powers.sum()]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "behind"])
def test_a_buffer_is_added_without_changing_the_network(kind: str) -> None:
    content = KINDS[kind]()
    with_buffer = attach(content, "NOTE", b"a note")
    assert with_buffer.endswith(content)
    assert (len(with_buffer) - len(content)) % 16 == 0
    assert network(with_buffer) == network(content)
    record = unpack(with_buffer)
    assert [entry.name for entry in record.metadata] == [b"NOTE"]
    assert bytes(record.buffers[record.metadata[0].buffer].data) == b"a note"
    assert with_buffer.index(b"a note") % 16 == 0
    File(with_buffer).check()


def test_a_buffer_of_the_same_name_is_replaced() -> None:
    content = attach(attach(attach(tflites.plain(), "A", b"1"), "B", b"2"), "A", b"3")
    record = unpack(content)
    found = {entry.name: bytes(record.buffers[entry.buffer].data) for entry in record.metadata}
    assert found == {b"A": b"3", b"B": b"2"}
    with pytest.raises(Damage, match="behind the flatbuffer"):
        attach(tflites.behind(), "A", b"1")


@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_a_delivered_file_answers_as_without_its_metadata(home: Path, mode: str) -> None:
    content = (home / "app" / f"signs_{mode}.tflite").read_bytes()
    record = unpack(content)
    record.metadata = [one for one in record.metadata if one.name != metadata.NAME.encode()]
    answers = []
    for file in (content, pack(record)):
        interpreter = Interpreter(model_content=file)
        interpreter.allocate_tensors()
        (end,) = interpreter.get_input_details()
        pixels = np.random.default_rng(0).integers(0, 256, end["shape"]).astype(end["dtype"])
        interpreter.set_tensor(end["index"], pixels)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert np.array_equal(*answers)


def test_a_delivered_file_says_what_its_contract_says(home: Path) -> None:
    path = home / "app" / "signs_int8.tflite"
    agreed, content = contract.read(path), path.read_bytes()
    found = metadata.read(content)
    assert found == metadata.Found([128.0] * 3, [128.0] * 3, "contract_labels.txt")
    assert agreed.minor == 3
    assert agreed.flatbuffer
    assert agreed.flatbuffer.network_sha256 == network(content)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["contract.json", "contract_labels.txt"]
        assert archive.read("contract_labels.txt") == b"pattern0\npattern1\npattern2\n"
    (entry,) = [one for one in unpack(content).metadata if one.name == b"TFLITE_METADATA"]
    nested = bytes(unpack(content).buffers[entry.buffer].data)
    assert nested[4:8] == b"M001"
    for text in (b"tiny, int8, 3 classes; made by tflite-light", b"Top-1 0.", b"1.0.0\0"):
        assert text in nested


def test_a_licence_of_the_recipe_is_in_the_metadata(home: Path, call: Call) -> None:
    made = ("--set", "license=CC-BY-4.0", "--float32", "--out", "app", "--json")
    as_json(call("export", home / "signs.yaml", *made))
    assert b"CC-BY-4.0\0" in Path("app/signs_float32.tflite").read_bytes()


def test_a_file_that_another_tool_packed_anew_is_read(model: Path, call: Call) -> None:
    """As tflite-support's writers do: other bytes, and a `labels.txt` beside ours."""
    content = model.read_bytes()
    start = content.index(b"PK\x03\x04")
    packed = io.BytesIO(pack(unpack(content)))
    with zipfile.ZipFile(packed, "a") as into, zipfile.ZipFile(io.BytesIO(content)) as old:
        for name in old.namelist():
            into.writestr(name, old.read(name))
        into.writestr("labels.txt", "pattern0\npattern1\npattern2")
    assert packed.getvalue()[:start] != content[:start]
    Path("net.tflite").write_bytes(packed.getvalue())
    golden = model.parent / "signs_int8_golden" / "0.png"
    ours, theirs = (
        as_json(call("predict", one, golden, "--json")) for one in (model, "net.tflite")
    )
    assert ours == theirs


@pytest.mark.parametrize("part", ["weights", "operator", "scale"])
def test_another_network_packed_anew_is_refused(model: Path, part: str, call: Call) -> None:
    record = unpack(model.read_bytes())
    graph = record.subgraphs[0]
    if part == "weights":
        kernel = max(record.buffers, key=lambda one: 0 if one.data is None else len(one.data))
        kernel.data = kernel.data ^ 1
    elif part == "scale":
        output = graph.tensors[graph.outputs[0]].quantization
        output.scale = output.scale * 2
    else:
        options = next(
            op.builtinOptions for op in graph.operators if hasattr(op.builtinOptions, "padding")
        )
        options.padding = 1 - options.padding
    Path("net.tflite").write_bytes(pack(record))
    shutil.copy(contract.beside(model), "net.json")
    message = complaint(call("predict", "net.tflite", "x.png"))
    assert message.startswith("net.json is another file's: the sha256 of net.tflite differs.")


@pytest.mark.parametrize(
    ("units", "labels", "differs"),
    [
        ((NORMALISED,), "pattern0\npattern1\npattern2\n", "mean"),
        ((), "pattern1\npattern0\npattern2\n", "labels"),
    ],
)
def test_metadata_that_contradict_the_contract_are_refused(
    model: Path, call: Call, units: Any, labels: str, differs: str
) -> None:
    content = model.read_bytes()
    own = content.index(b"PK\x03\x04")
    Path("net.tflite").write_bytes(written(content[:own], units, labels))
    shutil.copy(contract.beside(model), "net.json")
    message = complaint(call("predict", "net.tflite", "x.png"))
    assert f"the metadata of net.tflite and its contract have different {differs}" in message


def test_inspect_shows_what_the_metadata_say(home: Path, call: Call, tmp_path: Path) -> None:
    delivered = home / "app" / "signs_int8.tflite"
    agreed = contract.read(delivered)
    found = as_json(call("inspect", delivered, "--json"))["metadata"]
    mean, std = (list(values) for values in (agreed.image.mean, agreed.image.std))
    assert found == {"mean": mean, "std": std, "labels": contract.LABELS}
    path = tmp_path / "other.tflite"
    path.write_bytes(written(classifier()))
    shown = call("inspect", path).stdout
    assert "metadata        mean 100, std 50, labels names.txt" in shown
    path.write_bytes(attach(classifier(), metadata.NAME, b"none of a schema"))
    shown = call("inspect", path).stdout
    assert "metadata        cannot be read: its metadata are not of a schema that is known" in shown
    path.write_bytes(classifier())
    assert as_json(call("inspect", path, "--json"))["metadata"] is None
    assert "metadata        none: other tools must be told" in call("inspect", path).stdout


def test_files_of_minor_1_are_read(model: Path, call: Call) -> None:
    """With `labels.txt` and no metadata."""
    content = model.read_bytes()
    record = unpack(content)
    record.metadata = None
    bare = pack(record)
    agreed = contract.read(model).bare()
    old = agreed.model_copy(update={"minor": 1, "flatbuffer": contract.Flatbuffer.of(bare)})
    packed = io.BytesIO(bare)
    with zipfile.ZipFile(packed, "a") as members:
        members.writestr("contract.json", contract.to_json(old))
        members.writestr("labels.txt", "pattern0\npattern1\npattern2\n")
    golden = model.parent / "signs_int8_golden" / "0.png"
    expected = as_json(call("predict", model, golden, "--json"))
    Path("old.tflite").write_bytes(packed.getvalue())
    assert as_json(call("predict", "old.tflite", golden, "--json")) == expected


def test_a_file_of_another_tool_is_run_by_its_metadata(call: Call, picture: Path) -> None:
    found = ask(call, written(classifier()), picture)
    expected = shares((means(picture) - 100) / 50)
    assert found == pytest.approx(dict(zip(LABELS.split(), expected, strict=True)), abs=1e-4)
    done = call("predict", "net.tflite", picture)
    assert done.stderr == (
        "net.tflite has no contract: its metadata are used, and pictures are stretched to 32 x 32, "
        "as MediaPipe does\n"
    )


def test_floats_stand_for_themselves_whatever_scale_a_file_gives_them(
    call: Call, picture: Path
) -> None:
    steps = schema.QuantizationParametersT(scale=[0.5], zeroPoint=[3])
    found = [ask(call, written(classifier(scale=one)), picture) for one in (None, steps)]
    assert found[0] == found[1]


def test_labels_of_another_tool_leave_the_terminal_and_the_columns_alone(
    call: Call, picture: Path
) -> None:
    labels = "\x1b]0;owned\x07red\t1\ngr\u2028ün\n\u200cname\\t\n"  # the last is as it should be
    shown = {r"\x1b]0;owned\x07red\t1", r"gr\u2028ün", "\u200cname\\t"}
    assert set(ask(call, written(classifier(), labels=labels), picture)) == shown
    done = call("predict", "net.tflite", picture, "--top", "3")
    assert {line.split("\t")[1] for line in done.stdout.splitlines()} == shown
    assert {line.count("\t") for line in done.stdout.splitlines()} == {2}


def test_the_files_that_google_hosts_say_how_they_are_used(tmp_path: Path) -> None:
    """Their metadata have a mean and a deviation of 127.5, which is the uint8 pixel within a step."""
    packed = ROOT / "tests" / "hosted" / "mobilenet_v1_0.25_128_quant.tflite.gz"
    (tmp_path / "hosted.tflite").write_bytes(gzip.decompress(packed.read_bytes()))
    agreed = Predictor(tmp_path / "hosted.tflite").contract
    assert (agreed.image.size, agreed.image.mean[0], agreed.image.std[0]) == (128, 128, 128)
    assert (agreed.output_is, len(agreed.labels)) == ("probabilities", 1001)
    assert agreed.labels[:2] == ["background", "tench, Tinca tinca"]


def test_what_is_a_probability_already_is_not_made_one_again(call: Call, picture: Path) -> None:
    found = ask(call, written(classifier(softmax=True)), picture)
    expected = shares((means(picture) - 100) / 50)
    assert found == pytest.approx(dict(zip(LABELS.split(), expected, strict=True)), abs=1e-4)


BEHIND: dict[str, Callable[[Any], Any]] = {
    "one class dropped": lambda shares: shares[:, 1:],
    "another order": lambda shares: tf.gather(shares, [2, 0, 1], axis=1),
    "the mean of two": lambda shares: (shares + shares[:, ::-1]) / 2,
    "clipped": lambda shares: tf.clip_by_value(shares, 1e-7, 1.0),
}


@pytest.mark.parametrize("form", BEHIND)
def test_probabilities_are_known_whatever_is_behind_them(
    form: str, call: Call, picture: Path
) -> None:
    image = keras.layers.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    network = keras.Model(image, BEHIND[form](tf.nn.softmax(pooled)))
    size = network.output_shape[1]
    content = written(convert(converter_for(network)), labels="\n".join(LABELS.split()[:size]))
    found = ask(call, content, picture)
    chances = np.array([shares((means(picture) - 100) / 50)], np.float32)
    expected = map(float, np.asarray(BEHIND[form](chances))[0])
    assert found == pytest.approx(dict(zip(LABELS.split(), expected, strict=False)), abs=1e-4)


def test_a_measurement_takes_probabilities_as_they_are(call: Call, picture: Path) -> None:
    """As sure as `predict` says, on a report's page, too."""
    content = written(classifier(softmax=True))
    found = ask(call, content, picture)
    Path("net.tflite").write_bytes(content)
    (Path("photos") / LABELS.split()[0]).mkdir(parents=True)
    shutil.copy(picture, Path("photos") / LABELS.split()[0])
    answered = evaluate_file("net.tflite", "photos").answered
    assert answered
    assert answered.sure.tolist() == [pytest.approx(max(found.values()), abs=1e-4)]


@pytest.mark.parametrize(
    ("kind", "zero_point", "scale", "units"),
    [
        (TYPE.UINT8, 100, 0.02, ()),
        (TYPE.UINT8, 100, 1.25, ()),
        (TYPE.UINT8, 100, 0.02, (NORMALISED,)),
        (TYPE.INT8, -28, 0.02, (NORMALISED,)),
    ],
)
def test_integer_pixels_are_normalised_where_metadata_say_so(
    call: Call, picture: Path, kind: int, zero_point: int, scale: float, units: Any
) -> None:
    """Without, uint8 pixels are given as they are."""
    steps = schema.QuantizationParametersT(scale=[scale], zeroPoint=[zero_point])
    found = ask(call, written(classifier(kind=kind, scale=steps), units), picture)
    mean = means(picture)
    expected = shares((mean - 100) / 50 if units else (mean - 100) * scale)
    assert found == pytest.approx(dict(zip(LABELS.split(), expected, strict=True)), abs=0.01)


def test_of_several_signatures_the_first_answers(call: Call, picture: Path) -> None:
    record = unpack(classifier())
    for number, key in enumerate(("infer", "reset")):
        end = [schema.TensorMapT(name="x", tensorIndex=0)]
        record.subgraphs += [unpack(tflites.identity()).subgraphs[0]] * number
        record.signatureDefs = [
            *(record.signatureDefs or []),
            schema.SignatureDefT(end, end, key, number),
        ]
    found = ask(call, written(pack(record)), picture)
    assert found["cat"] == pytest.approx(shares((means(picture) - 100) / 50)[0], abs=1e-4)


@pytest.mark.parametrize(
    ("image", "dtype", "scale", "why"),
    [
        ({}, "uint8", 1 / 128, None),
        ({"mean": 127.5, "std": 127.5}, "uint8", 1 / 127.5, None),
        ({}, "float32", 0, None),
        ({}, "int8", 1 / 128, "it takes uint8 and float32 pixels"),
        ({"channels": "BGR"}, "float32", 0, "it knows RGB alone"),
        (
            {"mean": 0, "std": 255},
            "uint8",
            1 / 128,
            "it gives uint8 pixels as they are, without mean and std",
        ),
        ({"mean": (123, 117, 104)}, "float32", 0, "it has one mean and std for all channels"),
    ],
)
def test_pixels_that_mediapipe_would_not_give_are_named(
    image: Any, dtype: Any, scale: float, why: str | None
) -> None:
    """Then the input is not called RGB, so that MediaPipe refuses it."""
    side = contract.Image(size=32, **image)
    zero_point = 128 if dtype == "uint8" else 0
    ends = contract.Tensor(shape=[1, 32, 32, 3], dtype=dtype, scale=scale, zero_point=zero_point)
    agreed = contract.Contract(model="m", image=side, labels=["a", "b"], input=ends, output=ends)
    assert misfit(agreed) == why
    assert description(agreed, Measured("m", 1, None), None).is_rgb == (why is None)


def test_a_label_file_that_is_a_bomb_is_refused(call: Call) -> None:
    content = io.BytesIO(written(classifier(), labels=None))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as members:
        members.writestr("names.txt", bytes(64 << 20))
    Path("net.tflite").write_bytes(content.getvalue())
    message = complaint(call("predict", "net.tflite", "x.png"))
    assert "names.txt is larger than 16 MiB" in message


def test_evaluate_takes_a_file_of_another_tool(call: Call, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        photograph().save(tmp_path / "photos" / label / "0.png")
    Path("net.tflite").write_bytes(written(classifier()))
    (row,) = as_json(call("evaluate", "net.tflite", "--data", "photos", "--json"))["rows"]
    assert (row["pictures"], row["calibration_pictures"]) == (2, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            classifier(),
            "has no contract: net.json is missing and none is inside the file. It has no standard metadata, with labels and normalisation, either.",
        ),
        (
            written(classifier(), ()),
            "Its metadata lack the normalisation (NormalizationOptions of the input), which float32 pixels need.",
        ),
        (
            written(classifier(), name=None),
            "Its metadata lack the labels (a file of type TENSOR_AXIS_LABELS of the output).",
        ),
        (written(classifier(), labels=None), "of the output): names.txt is not in the file."),
        (
            written(classifier(), labels="cat\ndog\n"),
            "net.tflite answers with 3 classes, but its metadata have 2 labels.",
        ),
        (
            written(classifier(), ({1: {0: np.zeros(2, np.float32), 1: np.ones(2, np.float32)}},)),
            "have 2 means and 2 standard deviations for 3 channels.",
        ),
        (
            written(classifier(), ({1: {0: np.zeros(1, np.float32), 1: np.zeros(1, np.float32)}},)),
            "net.tflite cannot be used, image.std",
        ),
        (
            written(classifier(), ({1: {0: np.full(1, 0.5, "f"), 1: np.full(1, 0.25, "f")}},)),
            "mean and std are of pixels of 0..1, but pixels are 0..255 here.",
        ),
        (
            written(classifier((1, 3, 32, 32))),
            "takes [1, 3, 32, 32] (channels first), not one square RGB picture",
        ),
        (written(classifier((1, 32, 32, 1))), "takes [1, 32, 32, 1], not one square RGB picture"),
        (written(classifier((2, 32, 32, 3))), "takes [2, 32, 32, 3], not one square RGB picture"),
        (
            written(classifier(kind=TYPE.FLOAT16)),
            "is float16, where float32, int8 and uint8 are known",
        ),
        (
            written(tflites.loop()),
            "it has 2 inputs and 1 output, where a classifier has one of each.",
        ),
        (written(tflites.state()), "takes [1, 8], not one square RGB picture"),
        (
            attach(classifier(), metadata.NAME, b"no metadata at all"),
            "the metadata of net.tflite cannot be read: its metadata are not of a schema that is known.",
        ),
        (
            attach(classifier(), metadata.NAME, b"\xff\xff\0\0M001"),
            "the metadata of net.tflite cannot be read: an offset leads out of the file.",
        ),
    ],
)
def test_what_a_file_of_another_tool_lacks_is_named(
    call: Call, content: bytes, message: str
) -> None:
    Path("net.tflite").write_bytes(content)
    Path("x.png").touch()
    assert message in complaint(call("predict", "net.tflite", "x.png"))


def test_a_softmax_is_seen_behind_what_leaves_values_as_they_are() -> None:
    assert [gives_chances(File(classifier(softmax=one)).graphs[0]) for one in (True, False)] == [
        True,
        False,
    ]


def test_a_file_that_ends_its_process_is_refused(call: Call) -> None:
    """LiteRT aborts where a sum of integers has no scale."""
    writer = Writer()
    graph = writer.graph("main")
    scale = schema.QuantizationParametersT(scale=[0.1], zeroPoint=[0])
    x = graph.tensor((1, 32, 32, 3), TYPE.INT8, quantization=scale)
    y = graph.tensor((1, 32, 32, 3), TYPE.INT8)
    graph.op(OP.ADD, [x, x], [y], schema.AddOptionsT())
    graph.ends([x], [y])
    Path("net.tflite").write_bytes(written(writer.bytes()))
    message = complaint(call("predict", "net.tflite", "x.png"))
    assert "net.tflite cannot be run: it ends the process that runs it, by SIG" in message


def test_a_file_that_needs_gigabytes_is_refused(call: Call) -> None:
    writer = Writer()
    graph = writer.graph("main")
    x, y = graph.tensor((1, 32, 32, 3)), graph.tensor((1, 32, 32, 3))
    large = graph.tensor((1, 32, 32, 3 << 20))
    times = graph.constant(np.array([1, 1, 1, 1 << 20], np.int32))
    graph.op(OP.TILE, [x, times], [large])
    graph.op(OP.ADD, [x, large], [y], schema.AddOptionsT())
    graph.ends([x], [y])
    Path("net.tflite").write_bytes(written(writer.bytes()))
    assert "net.tflite cannot be run: " in complaint(call("predict", "net.tflite", "x.png"))
