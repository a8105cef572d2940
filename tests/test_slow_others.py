"""Delivered files in MediaPipe and tflite-support themselves, from PyPI: two minutes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, as_json, invoke
from PIL import Image as Pillow

from tflite_light import contract
from tflite_light.data.sign_digits import SignDigits
from tflite_light.measure.predict import Predictor
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.preprocess import crop_and_resize

pytestmark = pytest.mark.slow
PICTURES = 50
SIZE = 96
RECIPE = """
model: {mobilenet_v2: {alpha: 0.35}}
data: {sign_digits: {}}
image: {size: 96}
license: Apache-2.0
train: {epochs: 2, batch_size: 32, learning_rate: 0.004, warmup_epochs: 1}
export: [float32, int8]
"""
Ask = Callable[..., Any]


def _environment(folder: Path, *packages: str) -> Ask:
    """What asks `others.py` in an environment with these packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)

    def ask(*arguments: object) -> Any:
        command = [str(one) for one in (python, ROOT / "tests" / "others.py", *arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@pytest.fixture(scope="module")
def mediapipe(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    return _environment(tmp_path_factory.mktemp("mediapipe"), "mediapipe==1.2.2")


@pytest.fixture(scope="module")
def tflite_support(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    folder = tmp_path_factory.mktemp("support")
    return _environment(folder, "tflite-support==0.4.4", "numpy<2")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "signs.yaml").write_text(RECIPE)
    as_json(invoke("train", folder / "signs.yaml", "--runs", folder / "runs", "--json"))
    return folder / "runs" / "signs" / "exports"


@pytest.fixture(scope="module")
def pictures(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs at the input size, so that nobody resizes them."""
    folder, image = (
        tmp_path_factory.mktemp("pictures"),
        contract.read(exports / "int8.tflite").image,
    )
    photographs = SignDigits().split("test")
    for number in range(PICTURES):
        content = photographs.read(number * 7)
        assert isinstance(content, bytes)
        pixels = crop_and_resize(decode(content), image)
        Pillow.fromarray(pixels).save(folder / f"{number:02}.png")
    return sorted(folder.glob("*.png"))


@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_mediapipe_gives_the_answers_of_predict(
    exports: Path, pictures: list[Path], mediapipe: Ask, mode: str
) -> None:
    """Its score is the logit; the same label, and a score within one step of the output."""
    predictor = Predictor(exports / f"{mode}.tflite")
    ours = predictor.predict_files([*pictures], top=10)
    step = predictor.contract.output.scale or 1e-4
    assert predictor.contract.confidence
    heat = predictor.contract.confidence.temperature  # which MediaPipe does not know
    for theirs, predicted in zip(
        mediapipe("mediapipe", exports / f"{mode}.tflite", *pictures), ours, strict=True
    ):
        scores = np.array([score for _, _, score in theirs])
        assert theirs[0][:2] == [predicted.answers[0].label, predicted.answers[0].index]
        chances = {answer.index: answer.probability for answer in predicted.answers}
        shares = np.array([chances[index] for _, index, _ in theirs])
        logits = heat * np.log(shares)
        assert np.abs((scores - scores[0]) - (logits - logits[0])).max() < 1.01 * step
        powers = np.exp((scores - scores.max()) / heat)
        assert np.abs(powers / powers.sum() - shares).max() < 1e-4
        assert {name for name, _, _ in theirs} == set(predictor.contract.labels)


@pytest.mark.parametrize("mode", ["int8", "float32"])
def test_tflite_support_reads_a_file_and_adds_to_it(
    exports: Path,
    pictures: list[Path],
    tflite_support: Ask,
    mediapipe: Ask,
    tmp_path: Path,
    mode: str,
) -> None:
    model, out, labels = (
        exports / f"{mode}.tflite",
        tmp_path / "out.tflite",
        tmp_path / "labels.txt",
    )
    agreed = contract.read(model)
    labels.write_text("\n".join(agreed.labels))
    found = tflite_support("tflite-support", model, out, labels, 128, 128)
    said = found["metadata"]
    assert (said["name"], said["license"]) == ("mobilenet_v2", "Apache-2.0")
    assert said["min_parser_version"] == "1.0.0"
    assert "Top-1 0." in said["description"]
    (graph,) = said["subgraph_metadata"]
    (image,), (output,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert image["process_units"][0]["options"] == {"mean": [128.0] * 3, "std": [128.0] * 3}
    assert image["content"]["content_properties"]["default_size"] == {"width": SIZE, "height": SIZE}
    assert output["associated_files"][0]["type"] == "TENSOR_AXIS_LABELS"
    assert sorted(found["files"]) == ["contract.json", "contract_labels.txt"]
    assert out.read_bytes() != model.read_bytes()
    before, after = (Predictor(one).predict_files([*pictures], 10) for one in (model, out))
    assert before == after
    assert mediapipe("mediapipe", model, *pictures) == mediapipe("mediapipe", out, *pictures)
