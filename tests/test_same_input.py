"""A picture becomes the same input, to the bit, wherever this kit takes pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, photograph
from PIL import Image as Pillow

from tflite_light import contract
from tflite_light.contract import Contract, Image, sha256
from tflite_light.export import Mode, _calibration
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.measure.accuracy import answers
from tflite_light.measure.goldens import golden, prepare
from tflite_light.measure.predict import Predictor
from tflite_light.measure.runners import KerasModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import evaluation, training
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.pipeline.pictures import pictures_of
from tflite_light.pipeline.reading import read
from tflite_light.runs.delivery import deliver
from tflite_light.runs.verifying import verify
from tflite_light.tflite.ends import quantise

IMAGE = Image(
    size=32,
    crop=0.875,
    filter="bicubic",
    channels="BGR",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
)


def kinds() -> dict[str, bytes]:
    """A photograph in each kind of PNG, and others that decoders of one library agree on."""
    picture, turned = photograph(), Pillow.Exif()
    clear = picture.convert("RGBA")
    clear.putalpha(picture.convert("L"))
    turned[0x0112] = 6
    deep = np.asarray(picture.convert("L")).astype(np.uint16) * 256 + 99
    return {
        "plain.png": encoded(picture, "PNG"),
        "turned.png": encoded(picture, "PNG", exif=turned),
        "clear.png": encoded(clear, "PNG"),
        "clear_turned.png": encoded(clear, "PNG", exif=turned),
        "deep.png": encoded(Pillow.fromarray(deep), "PNG"),
        "palette.png": encoded(picture.quantize(64), "PNG"),
        "clear_palette.png": encoded(picture.quantize(8), "PNG", transparency=0),
        "grey.png": encoded(clear.convert("LA"), "PNG"),
        "black_and_white.png": encoded(picture.convert("1"), "PNG"),
        "turned.jpg": encoded(picture, "JPEG", exif=turned),
        "small.webp": encoded(picture.resize((20, 31)), "WEBP"),
    }


@pytest.mark.parametrize(
    "mode", [Float32(), Int8(), Int8(io="int8")], ids=["float32", "uint8", "int8"]
)
def test_the_input_of_a_picture_is_the_same_everywhere(mode: Mode, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in kinds()]
    for path, content in zip(paths, kinds().values(), strict=True):
        path.write_bytes(content)
    pictures = pictures_of([(path, number % 2) for number, path in enumerate(paths)])
    examples = read({"all": pictures}, IMAGE)["all"]
    network, file = Tiny(width=4).build((32, 32, 3), 2), tmp_path / "model.tflite"
    data = Data(["a", "b"], examples, examples, examples)
    deliver(mode, network, answers(KerasModel(network), examples), data, (), file)
    predictor = Predictor(file)
    agreed = predictor.contract
    shown = [golden(path.read_bytes(), path.name, None, agreed, predictor.model) for path in paths]
    expected = [str(one.input_sha256) for one in shown]
    assert len(set(expected)) == len(kinds())
    assert [sha256(prepare(one, tmp_path, agreed).values.tobytes()) for one in shown] == expected
    assert [_predicted(predictor, path) for path in paths] == expected
    assert _digests(evaluation(examples, 2), agreed) == expected
    assert sorted(_digests(training(examples, 2, 1, Augment(), 0, range(1)), agreed)) == sorted(
        expected
    )
    complete = agreed.with_golden(shown)
    assert agreed.flatbuffer
    file.write_bytes(file.read_bytes()[: agreed.flatbuffer.size_bytes])  # whose contract has others
    contract.beside(file).write_text(contract.to_json(complete))
    assert [one.verdict for one in verify(file).pictures] == ["pass"] * len(kinds())
    if isinstance(mode, Int8):
        assert _calibrated(examples, agreed) == expected[1:]


def _predicted(predictor: Predictor, path: Path) -> str:
    """What lies in the interpreter's input after `predict`."""
    predictor.predict(path)
    model = predictor.model
    return sha256(model._interpreter.get_tensor(model._input["index"])[0].tobytes())


def _digests(batches: Any, agreed: Contract) -> list[str]:
    return [
        sha256(quantise(one, agreed.input).tobytes())
        for batch, _ in batches
        for one in batch.numpy()
    ]


def _calibrated(examples: Examples, agreed: Contract) -> list[str]:
    """All but the first, which gets a black and a white pixel."""
    _, *others = _calibration.inputs(examples, range(len(examples)), len(examples))
    return [sha256(quantise(batch[0], agreed.input).tobytes()) for (batch,) in others]
