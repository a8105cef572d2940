"""Files of each mode and Python's answers to photographs, which the Android demo has to give, too."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import PngImagePlugin

from tflite_light import contract
from tflite_light.contract import Contract, Image, sha256
from tflite_light.data import sign_digits
from tflite_light.export import Mode
from tflite_light.export.int8 import Int8
from tflite_light.measure.accuracy import answers as logits
from tflite_light.measure.goldens import input_of
from tflite_light.measure.runners import KerasModel, TFLiteModel
from tflite_light.models import Architecture
from tflite_light.models.mobilenet_v2 import MobileNetV2
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.pipeline.pictures import UNKNOWN, Pictures
from tflite_light.pipeline.reading import read
from tflite_light.runs.delivery import deliver
from tflite_light.sockets import load, names
from tflite_light.stack import keras

IMAGENET_SAMPLES = Path(__file__).parents[2] / "shared/data/imagenet_samples"
PHOTOGRAPHS = 50  # of each kind
UNITS: dict[str, Any] = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}


def answers(folder: Path) -> dict[str, Any]:
    """Writes photographs and files to `folder`, and gives each file's answer to each photograph."""
    folder.mkdir(exist_ok=True)
    asked = _decoded(folder, photographs())
    decoded = asked | _decoded(folder, kinds())
    return {
        "decoded": {name: sha256(one.tobytes()) for name, one in decoded.items()},
        "answers": {name: answered(folder / name, asked) for name in exported(folder)},
    }


def _decoded(folder: Path, pictures: dict[str, bytes]) -> dict[str, Any]:
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    return {name: np.ascontiguousarray(decode(content)) for name, content in pictures.items()}


def photographs() -> dict[str, bytes]:
    """Sign digits that nothing was trained with; ImageNet's where they are."""
    archive = zipfile.ZipFile(sign_digits.ARCHIVE)
    signs = sorted(one for one in archive.namelist() if one.startswith("test/") and one[-1] != "/")
    files = sorted(IMAGENET_SAMPLES.glob("*.jpg"))[:PHOTOGRAPHS]
    found = {f"sign_{place}.jpg": archive.read(signs[place * 7]) for place in range(PHOTOGRAPHS)}
    return found | {f"imagenet_{place}.jpg": file.read_bytes() for place, file in enumerate(files)}


def kinds() -> dict[str, bytes]:
    """A photograph in each kind of file; what a PNG says of its colours changes no pixel here."""
    photograph = Pillow.open(io.BytesIO(photographs()["sign_0.jpg"]))
    clear, linear, turned = photograph.convert("RGBA"), PngImagePlugin.PngInfo(), Pillow.Exif()
    clear.putalpha(photograph.convert("L"))
    linear.add(b"gAMA", struct.pack(">I", 100_000))
    turned[0x0112] = 6
    written: dict[str, tuple[Pillow.Image, str, dict[str, Any]]] = {
        "grey.jpg": (photograph.convert("L"), "JPEG", {}),
        "cmyk.jpg": (photograph.convert("CMYK"), "JPEG", {}),
        "progressive.jpg": (photograph, "JPEG", {"progressive": True, "subsampling": 0}),
        "turned.jpg": (photograph, "JPEG", {"exif": turned}),
        "linear.png": (photograph, "PNG", {"pnginfo": linear}),
        "clear.png": (clear, "PNG", {}),
        "palette.png": (photograph.quantize(32), "PNG", {}),
        "turned.png": (photograph, "PNG", {"exif": turned}),
        "lossy.webp": (photograph, "WEBP", {}),
        "clear.webp": (clear, "WEBP", {"lossless": True}),
        "turned.webp": (photograph, "WEBP", {"exif": turned}),
        "plain.bmp": (photograph, "BMP", {}),
    }
    return {f"kind_{name}": encoded(*how) for name, how in written.items()}


def encoded(picture: Pillow.Image, kind: str, options: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def networks() -> dict[str, tuple[Architecture, int, Image]]:
    """Untrained, with other sizes, numbers of labels, channels, units and ways of resizing."""
    stretched = Image(size=161, resize="stretch", filter="bicubic", channels="BGR", **UNITS)
    return {
        "mobilenet_v2": (MobileNetV2(alpha=0.35), 10, Image()),
        "stretched": (Tiny(width=8), 1000, stretched),
        "cropped": (Tiny(width=8), 2, Image(size=224, crop=0.875, filter="box", **UNITS)),
    }


def exported(folder: Path) -> list[str]:
    """The files' names: every mode, and int8 with another type at its ends."""
    modes: dict[str, Mode] = {name: load("export", name)() for name in names("export")}
    written = []
    for network, (architecture, classes, image) in networks().items():
        for mode, how in (modes | {"int8_io": Int8(io="int8")}).items():
            written.append(f"{network}_{mode}.tflite")
            _export(folder / written[-1], architecture, classes, image, how)
    return written


def _settled(model: Any, examples: Examples) -> Any:
    """With norms that have seen photographs: without, an int8 file answers alike to all."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(next(examples.inputs(range(len(examples)))), training=True)
    return model


def _export(path: Path, architecture: Architecture, classes: int, image: Image, mode: Mode) -> None:
    keras.utils.set_random_seed(0)
    signs = sign_digits.SignDigits().scan()[1]["test"].chosen(range(0, 383, 20))
    unknown = Pictures(signs.names, [UNKNOWN] * len(signs), signs.read)
    examples = read({"test": unknown}, image)["test"]
    model = _settled(architecture.build((image.size, image.size, 3), classes), examples)
    data = Data([f"class{index}" for index in range(classes)], examples, examples, examples)
    deliver(mode, model, logits(KerasModel(model), examples), data, (), path)


def answered(file: Path, pixels: dict[str, Any]) -> dict[str, Any]:
    model, agreed = TFLiteModel(file.read_bytes()), contract.read(file)
    return {name: _answer(one, agreed, model) for name, one in pixels.items()}


def _answer(pixels: Any, agreed: Contract, model: TFLiteModel) -> dict[str, Any]:
    values = input_of(pixels, agreed)
    return {"input": sha256(values.tobytes()), "output": model.answer(values).tolist()}
