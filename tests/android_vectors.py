"""What the Android demo's core is tested against: inputs by their numbers, answers by their digests.

    python tests/android_vectors.py FOLDER

Pictures are made of a formula that both languages know, `pixel`, so that no picture is stored.
"""

import base64
import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
from android_answers import UNITS, answers
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from tflite_light.contract import Confidence, Contract, Image, Tensor, sha256, to_json
from tflite_light.measure.confidence import rejects, scores
from tflite_light.measure.goldens import input_of
from tflite_light.measure.runners import probabilities
from tflite_light.pipeline import decode as decoding
from tflite_light.tflite.ends import dequantise

SIZES = 200
FILTERS: tuple[Any, ...] = ("bilinear", "bicubic", "box")
QUANTISED = Tensor(shape=[1, 1, 1, 3], dtype="uint8", scale=1 / 128, zero_point=128)
TENSORS = (
    QUANTISED,
    Tensor(shape=[1, 1, 1, 3], dtype="int8", scale=0.0186584480106831, zero_point=-14),
    Tensor(shape=[1, 1, 1, 3], dtype="uint8", scale=0.00392156885936856, zero_point=0),
    Tensor(shape=[1, 1, 1, 3], dtype="float32"),
)


def pixel(number: Any, seed: int) -> Any:
    """Byte `number` of the data `seed`, both below 2^31."""
    mixed = (np.asarray(number, np.uint64) + 1) * 2654435761 + seed * 40503
    return (mixed >> np.uint64(13) & np.uint64(255)).astype(np.uint8)


def data(count: int, seed: int) -> Any:
    return pixel(np.arange(count), seed)


def case(pixels: Any, seed: int, image: Image, tensor: Tensor) -> dict[str, Any]:
    """What is made of uint8 RGB pixels, upright: the digest of the input."""
    input_ = tensor.model_copy(update={"shape": [1, image.size, image.size, 3]})
    output = QUANTISED.model_copy(update={"shape": [1, 2]})
    agreed = Contract(model="m", image=image, labels=["a", "b"], input=input_, output=output)
    digest = sha256(input_of(pixels, agreed).tobytes())
    return {"seed": seed, "contract": to_json(agreed), "sha256": digest}


def resized() -> list[dict[str, Any]]:
    """Odd and even, up and down, crop and stretch, each filter, tensor and order of channels."""
    random, cases = np.random.default_rng(0), []
    for number in range(SIZES):
        width, height = (int(side) for side in random.integers(1, 300, 2))
        for place, filter_ in enumerate(FILTERS):
            crop = number % 3 < 2
            image = Image(
                size=(32, 33, 96, 224)[number % 4],
                resize="crop" if crop else "stretch",
                crop=(1.0, 0.875)[number % 2] if crop else 1.0,
                filter=filter_,
                channels=("RGB", "BGR")[number // 2 % 2],
                **(UNITS if number % 5 == 0 else {}),
            )
            pixels = data(width * height * 3, number).reshape(height, width, 3)
            one = case(pixels, number, image, TENSORS[(number + place) % len(TENSORS)])
            cases.append({"width": width, "height": height} | one)
    return cases


def turned() -> list[dict[str, Any]]:
    """Each EXIF orientation, of pictures with transparency, as PNGs are decoded."""
    cases, image = [], Image(size=32, resize="stretch")
    for orientation in range(9):
        width, height = 40 + orientation, 61
        rgba = data(width * height * 4, orientation).reshape(height, width, 4)
        rgba[: height // 2, :, 3] = 255
        content, exif = io.BytesIO(), Pillow.Exif()
        exif[0x0112] = orientation
        Pillow.fromarray(rgba).save(content, "PNG", exif=exif)
        one = case(decoding.decode(content.getvalue()), orientation, image, QUANTISED)
        cases.append({"width": width, "height": height, "orientation": orientation} | one)
    return cases


def frames() -> list[dict[str, Any]]:
    """Camera frames, planar and interleaved, with padded rows, turned each way."""
    cases = []
    for number, turn in enumerate((0, 90, 180, 270) * 3):
        width, height = (64, 48) if number < 8 else (640, 480)
        step, padding = 1 + number % 2, number % 3 * 8
        image = Image(size=(32, 224)[number >= 8])
        strides = {"row": width + padding, "uv_row": width // 2 * step + padding, "step": step}
        upright = np.rot90(rgb_of(width, height, number, strides), -turn // 90)
        one = case(np.ascontiguousarray(upright), number, image, QUANTISED)
        cases.append({"width": width, "height": height, "turn": turn} | strides | one)
    return cases


def rgb_of(width: int, height: int, seed: int, strides: dict[str, int]) -> Any:
    """JFIF's conversion in 16-bit fixed point; planes have the seeds seed, seed + 1 and seed + 2."""
    rows, columns = np.mgrid[:height, :width]
    light = pixel(rows * strides["row"] + columns, seed).astype(int)
    colour = rows // 2 * strides["uv_row"] + columns // 2 * strides["step"]
    blue, red = (pixel(colour, seed + plane).astype(int) - 128 for plane in (1, 2))
    half = 1 << 15
    rgb = (
        light + (91881 * red + half >> 16),
        light + (half - 22554 * blue - 46802 * red >> 16),
        light + (116130 * blue + half >> 16),
    )
    return np.stack(rgb, axis=-1).clip(0, 255).astype(np.uint8)


def exif() -> list[dict[str, Any]]:
    """Small pictures of each kind with EXIF blocks, and what Python reads of them."""
    plain = Pillow.new("RGB", (8, 8), "teal")
    cases = []
    for kind in ("JPEG", "PNG", "WEBP"):
        for name, block in blocks().items():
            content = io.BytesIO()
            plain.save(content, kind, exif=block)
            cases.append((f"{kind}, {name}", content.getvalue()))
    return [
        {
            "name": name,
            "content": base64.b64encode(content).decode(),
            "orientation": decoding.orientation(Pillow.open(io.BytesIO(content))) or 1,
        }
        for name, content in [
            *cases,
            *elsewhere(plain).items(),
            *unannounced(plain).items(),
            *in_segments(plain).items(),
            *numbers(plain).items(),
        ]
    ]


def in_segments(plain: Pillow.Image) -> dict[str, bytes]:
    """JPEGs whose EXIF lies in several segments or behind others, and between bytes of no use."""
    content, name, block = io.BytesIO(), b"Exif\0\0", blocks()["big-endian 6"]
    plain.save(content, "JPEG")
    ways = {
        "empty one first": [name, block],
        "in two": [block[:20], name + block[20:]],
        "XMP between": [block[:20], b"http://ns.adobe.com/xap/1.0/\0", name + block[20:]],
        "another first": [blocks()["big-endian 3"], block],
        "another name first": [b"Exif\0A" + block[6:], block],
        "cut short": [block[:20]],
    }
    found = {}
    for way, segments in ways.items():
        marked = [b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments]
        for between, junk in (("", b""), (", filled up", b"\xff\xff"), (", junk", b"\0\0\0")):
            whole = b"\xff\xd8" + junk.join(marked) + content.getvalue()[2:]
            found[f"JPEG, {way}{between}"] = whole
    return found


def numbers(plain: Pillow.Image) -> dict[str, bytes]:
    """Orientations of each type and of several values, which lie elsewhere if they have to."""
    types = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d"}
    found = {}
    for type_, letter in (types | {13: "I", 16: "Q", 99: "I"}).items():
        for count in (0, 1, 2, 3):
            values = struct.pack(f"<{count}{letter}", *(6, 3, 8)[:count])
            inside = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack("<I", 42)
            entry = struct.pack("<HHI", 0x0112, type_, count) + inside
            content = io.BytesIO()
            plain.save(content, "PNG", exif=tiff(b"II*\0", "<", entry) + values)
            found[f"PNG, {count} of type {type_}"] = content.getvalue()
    return found


def elsewhere(plain: Pillow.Image) -> dict[str, bytes]:
    """Turned by what is not EXIF, or not where EXIF stands: XMP, and text of a PNG."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    text, raw = PngInfo(), PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    block = blocks()["big-endian 6"]
    raw.add_text("Raw profile type exif", f"\nexif\n{len(block)}\n{block.hex()}\n")
    other = tiff(b"MM\0*", ">", struct.pack(">HHII", 0x0101, 4, 1, 8))
    ways: dict[str, dict[str, Any]] = {
        "JPEG, XMP": {"format": "JPEG", "xmp": xmp},
        "JPEG, XMP and EXIF": {"format": "JPEG", "xmp": xmp, "exif": other},
        "WEBP, XMP": {"format": "WEBP", "xmp": xmp},
        "PNG, XMP": {"format": "PNG", "pnginfo": text},
        "PNG, raw profile": {"format": "PNG", "pnginfo": raw},
    }
    found = {}
    for name, fields in ways.items():
        content = io.BytesIO()
        plain.save(content, **fields)
        assert Pillow.open(io.BytesIO(content.getvalue())).getexif().get(0x0112) == 6
        found[name] = content.getvalue()
    return found


def unannounced(plain: Pillow.Image) -> dict[str, bytes]:
    """WebP files with EXIF of which their head says nothing, or can say nothing."""
    extended, simple = io.BytesIO(), io.BytesIO()
    block = blocks()["big-endian 6"]
    plain.save(extended, "WEBP", exif=block)
    plain.save(simple, "WEBP")
    silent = bytearray(extended.getvalue())
    silent[20] &= ~8
    chunk = b"EXIF" + struct.pack("<I", len(block)) + block
    longer = simple.getvalue() + chunk
    longer = longer[:4] + struct.pack("<I", len(longer) - 8) + longer[8:]
    return {"WEBP, silent": bytes(silent), "WEBP, simple": longer}


def blocks() -> dict[str, bytes]:
    """Both orders of bytes and widths of the number, behind other tags, and none at all."""
    found = {"none": b""}
    for turn in range(10):  # 0 and 9 are none
        little = struct.pack("<HHIHH", 0x0112, 3, 1, turn, 0)
        found[f"little-endian {turn}"] = tiff(b"II*\0", "<", little)
        big = struct.pack(">HHIHH", 0x0112, 3, 1, turn, 0)
        found[f"big-endian {turn}"] = tiff(b"MM\0*", ">", big)
        found[f"long {turn}"] = tiff(b"MM\0*", ">", struct.pack(">HHII", 0x0112, 4, 1, turn))
    for names in (2, 3):
        found[f"{names} names"] = b"Exif\0\0" * (names - 1) + found["big-endian 6"]
    return found


def tiff(head: bytes, order: str, entry: bytes) -> bytes:
    """A directory, not at once behind the head, with a width and then `entry`."""
    width = struct.pack(f"{order}HHII", 0x0100, 4, 1, 8)
    directory = struct.pack(f"{order}H", 2) + width + entry + bytes(4)
    return b"Exif\0\0" + head + struct.pack(f"{order}I", 12) + bytes(4) + directory


def confident() -> dict[str, Any]:
    """Outputs of a file with a temperature and a threshold, of which half are none of the labels."""
    output = Tensor(shape=[1, 10], dtype="uint8", scale=0.14123325049877167, zero_point=133)
    raw = data(10 * SIZES, 7).reshape(SIZES, 10) // 4 + 100
    logits = dequantise(raw, output)
    agreed = Contract(
        model="m",
        image=Image(size=32),
        labels=[str(number) for number in range(10)],
        input=QUANTISED.model_copy(update={"shape": [1, 32, 32, 3]}),
        output=output,
        confidence=Confidence(
            temperature=1.38,
            threshold=float(np.median(scores(logits))),
            pictures=SIZES,
            rejected=SIZES // 2,
            calibration_error=(0.0, 0.0),
        ),
    )
    assert agreed.confidence
    shares = probabilities(logits, agreed.confidence.temperature).max(axis=1).tolist()
    none = rejects(agreed.confidence, logits).tolist()
    return {
        "contract": to_json(agreed),
        "cases": [
            {"output": one, "probability": share, "none": is_none}
            for one, share, is_none in zip(raw.tolist(), shares, none, strict=True)
        ],
    }


def export(folder: Path) -> None:
    """`model.tflite` and `model.json`: an untrained network with three classes and golden pictures."""
    from tflite_light.data.synthetic import Synthetic
    from tflite_light.export.int8 import Int8
    from tflite_light.measure.accuracy import answers as logits_of
    from tflite_light.measure.runners import KerasModel
    from tflite_light.models.tiny import Tiny
    from tflite_light.runs.delivery import deliver

    pictures = Synthetic(count=60, number_of_classes=3, side=40).load(Image(size=32))
    network = Tiny(width=4).build((32, 32, 3), 3)
    logits = logits_of(KerasModel(network), pictures.test)
    deliver(Int8(calibration_images=20), network, logits, pictures, (), folder / "model.tflite")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    export(folder)
    written = {
        "resized": resized(),
        "turned": turned(),
        "exif": exif(),
        "frames": frames(),
        "confidence": confident(),
        "answers": answers(folder / "answers"),
    }
    for name, cases in written.items():
        (folder / f"{name}.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
