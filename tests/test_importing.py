"""A recipe without `train`: weights from elsewhere become files that answer as their network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Call, as_json, complaint

from tflite_light import contract
from tflite_light.data._examples import write_photographs
from tflite_light.data.directory import Directory
from tflite_light.measure.predict import open_file
from tflite_light.models.tiny import Tiny

SHARED = ROOT.parent / "shared"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Of a network for five classes."""
    model = Tiny(width=4).build((32, 32, 3), 5)
    numbers = np.random.default_rng(0)
    arrays = {
        one.name.removesuffix(":0"): numbers.uniform(0.1, 1, one.shape) for one in model.weights
    }
    np.savez(tmp_path / "five.npz", **arrays)
    return tmp_path / "five.npz"


def recipe(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "mine.yaml"
    text = ["model: {tiny: {width: 4}}", "weights: {npz: {path: five.npz}}", "image: {size: 32}"]
    path.write_text("\n".join([*text, *lines]) + "\n")
    return path


def test_classes_without_data_give_a_file_compared_on_photographs(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    path = recipe(tmp_path, "classes: 5")
    report = as_json(call("export", path, "--float32", "--out", "app", "--json"))
    assert report["exports"] == ["app/mine_float32.tflite"]
    (row,) = report["rows"]
    assert (row["top1"], row["agreement"], row["pictures"]) == (None, 1.0, 32)
    agreed = contract.read(Path("app/mine_float32.tflite"))
    assert agreed.labels == ["0", "1", "2", "3", "4"]
    assert [golden.label for golden in agreed.golden] == [None] * 8


def test_labels_name_the_classes_and_data_calibrates(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", classes=3, each=20)
    (tmp_path / "labels.txt").write_text("other\nsign0\nsign1\nsign2\nmore\n")
    path = recipe(tmp_path, "labels: labels.txt", "data: {directory: {path: photos}}")
    report = as_json(call("export", path, "--float32", "--int8", "--out", "app", "--json"))
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == ["float32", "int8"]
    model, agreed = open_file(tmp_path / "app" / "mine_int8.tflite")
    assert model.input.dtype == "uint8"
    assert agreed.labels == ["other", "sign0", "sign1", "sign2", "more"]
    *pictures, card = (golden.label for golden in agreed.golden)
    assert (len(pictures), card) == (7, None)
    assert set(pictures) == {"sign0", "sign1", "sign2"}
    test = Directory(path="photos").split("test")
    table = ["path,label", *(f"{n},sign{m}" for n, m in zip(test.names, test.labels, strict=True))]
    (tmp_path / "test.csv").write_text("\n".join(table))
    found = as_json(call("evaluate", "app/mine_int8.tflite", "--data", "test.csv", "--json"))
    assert found["rows"][0]["top1"] == rows["int8"]["top1"]


def test_pictures_without_labels_calibrate(call: Call, weights: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", classes=2, each=20)
    path = recipe(tmp_path, "classes: 5", "data: {pictures: {path: photos}}", "export: [int8]")
    (row,) = as_json(call("export", path, "--out", "app", "--json"))["rows"]
    assert (row["top1"], row["name"]) == (None, "int8")
    assert row["agreement"] is not None


REFUSED = [
    (["classes: 5"], ["--int8", "--out", "app"], "int8 needs pictures to set its ranges by"),
    (["data: {pictures: {path: alone}}"], ["--out", "app"], "data alone names 0 classes"),
    (["data: {directory: {path: alone}}"], ["--out", "app"], "data alone names 1 classes"),
    (["classes: 5"], ["--float32"], "missing option `--out`: the folder for the files.\nhint: `tflite-light export mine.yaml --out FOLDER`"),
    (["classes: 4"], ["--float32", "--out", "app"], "weights are for 5 classes, the model has 4"),
    (["classes: 1"], ["--out", "app"], "classes: Input should be greater than or equal to 2"),
    (["classes: 5"], ["--float32", "--out", "empty.txt/app"], "cannot write into empty.txt/app: empty.txt: Not a directory.\nhint: Choose another folder."),
    (["classes: 5", "data: {pictures: {path: alone}}"], ["--out", "app"], "alone has too few pictures: of its 2, none fell to t"),
    (["labels: none.txt"], ["--float32", "--out", "app"], "none.txt cannot be read"),
    (["labels: empty.txt"], ["--float32", "--out", "app"], "empty.txt names 0 classes, but a classifier needs two"),
    (["labels: a.txt", "classes: 5"], ["--out", "app"], "labels and classes both name the classes; keep one"),
    (["labels: ''"], ["--out", "app"], "labels: must not be empty"),
    ([], ["--out", "app"], "needs one of labels: FILE or classes: N"),
    (["classes: 5", "compress: [qat]"], ["--out", "app"], "compress needs train"),
    (["classes: 5", "train: {}"], ["--out", "app"], "train needs data"),
    (["data: synthetic", "train: {}"], ["--out", "app"], "mine.yaml has train:, and only a recipe without it is exported directly.\nhint: Train it first: `tflite-light train mine.yaml`"),
    (["classes: 5", "data: {synthetic: {}}"], ["--out", "app"], "data synthetic has classes that are not among the 5 labels: pattern0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "options", "message"), REFUSED, ids=lambda value: str(value)[:50]
)
def test_what_cannot_be_imported_is_refused(
    call: Call, weights: Path, tmp_path: Path, lines: list[str], options: list[str], message: str
) -> None:
    recipe(tmp_path, *lines)
    (tmp_path / "empty.txt").write_text("\n\n")
    write_photographs(tmp_path / "alone", classes=1, each=2)
    before = set(tmp_path.rglob("*"))
    assert message in complaint(call("export", "mine.yaml", *options))
    assert set(tmp_path.rglob("*")) == before


def test_an_import_is_not_trained(call: Call, weights: Path, tmp_path: Path) -> None:
    message = complaint(call("train", recipe(tmp_path, "classes: 5")))
    assert "has no train:, so it is an import" in message


@pytest.mark.slow
@pytest.mark.skipif(
    not SHARED.exists(), reason="the licence of ImageNet's photographs keeps them out"
)
@pytest.mark.parametrize(
    ("model", "image", "least"),
    [
        (
            "{model: {mobilenet_v2: {}}, weights: {npz: {path: WEIGHTS/mobilenet_v2_1.0_224.npz}}",
            "{size: 224, mean: 127.5, std: 127.5, filter: box}",
            {"float32": 0.87, "int8": 0.86},
        ),
        (
            "{model: {squeezenet: {version: '1.0'}}, weights: {torch: {path: WEIGHTS/squeezenet1_0_deep_compressed.npz}}",
            "{size: 227, channels: BGR, mean: [104, 117, 123], std: 1}",
            {"float32": 0.63},
        ),
    ],
    ids=["mobilenet_v2", "squeezenet"],
)
def test_imagenet_weights_reach_their_accuracy_in_the_file(
    call: Call, tmp_path: Path, model: str, image: str, least: dict[str, float]
) -> None:
    samples = sorted((SHARED / "data" / "imagenet_samples").glob("*.jpg"))
    rows = [f"{path},{int(path.name[:4])}" for path in samples]
    (tmp_path / "samples.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    text = model.replace("WEIGHTS", str(SHARED / "weights")) + f", image: {image}, classes: 1000"
    (tmp_path / "known.yaml").write_text(text + ", data: {csv: {path: samples.csv}}}")
    modes = [f"--{mode}" for mode in least]
    as_json(call("export", "known.yaml", *modes, "--out", "app", "--json"))
    for mode, bound in least.items():
        file = f"app/known_{mode}.tflite"
        (row,) = as_json(call("evaluate", file, "--data", "samples.csv", "--json"))["rows"]
        assert (row["pictures"], row["top1"] >= bound) == (200, True), row


@pytest.mark.slow
def test_fine_tuning_keeps_batch_norm_and_starts_with_the_classifier(
    call: Call, weights: Path, tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", classes=3, each=20)
    path = recipe(
        tmp_path,
        "data: {directory: {path: photos}}",
        "train: {epochs: 2, batch_size: 8, freeze: {epochs: 2}}",
        "compress: [{prune: {epochs: 1, sparsity: 0.3}}, {qat: {epochs: 1}}]",
    )
    report = as_json(call("train", path, "--json"))
    assert [row["name"] for row in report["rows"]] == ["classifier", "fit", "prune", "qat", "int8"]
    loaded = np.load(weights)
    phases: dict[str, Any] = {
        phase: np.load(tmp_path / "runs" / "mine" / "checkpoints" / f"{phase}.npz")
        for phase in ("classifier", "fit", "prune")
    }
    for phase, arrays in phases.items():
        for name in loaded.files:
            same = np.array_equal(arrays[name], loaded[name].astype(np.float32))
            kept = "norm/" in name or (phase == "classifier" and not name.startswith("logits"))
            if not name.startswith("logits") and "bias" not in name:
                assert same == kept, (phase, name)
    assert not np.array_equal(phases["classifier"]["logits/kernel"], phases["fit"]["logits/kernel"])
