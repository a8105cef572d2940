"""What is made of photographs by real cameras: odd, damaged, and very large ones."""

import io
import itertools
import json
import struct
import subprocess
import sys
import time
import zlib
from typing import Any

import numpy as np
import pytest
from conftest import encoded, photograph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tflite_light.contract import Image
from tflite_light.pipeline import decode as decoding
from tflite_light.pipeline import preprocess
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.preprocess import crop_and_resize

MUTATIONS = 27_000


def exif_of_a_camera() -> bytes:
    """Orientation 6 among what cameras write: text, rationals, nested directories, a maker note."""
    exif = Pillow.Exif()
    exif.update(
        {0x010F: "Maker", 0x0112: 6, 0x011A: 72.0, 0x0128: 2, 0x0132: "2026:01:01 00:00:00"}
    )
    exif.get_ifd(0x8769).update(
        {0x829A: (1, 125), 0x9201: (-1, 2), 0x927C: b"FUJIFILM\x0c\0\0\0abcd"}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return exif.tobytes()


BLOCK = exif_of_a_camera()
KINDS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}}


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """The same small photograph in each kind of file, without EXIF, and its pixels."""
    files = {
        kind: encoded(photograph().resize((12, 8)), kind, **more) for kind, more in KINDS.items()
    }
    return {kind: (content, decode(content)) for kind, content in files.items()}


def with_exif(kind: str, content: bytes, block: bytes) -> bytes:
    """The file with an EXIF block put in by hand, since libraries would refuse to write most."""
    if kind == "JPEG":
        return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]
    picture = Pillow.open(io.BytesIO(content))
    return encoded(picture, kind, exif=block, **KINDS[kind])


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """The block with some bytes changed, put in, or cut off."""
    block = bytearray(BLOCK)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(block) - 1))
        value = draw(st.one_of(st.integers(0, 255), st.sampled_from((0, 1, 0x7F, 0x80, 0xFF))))
        match draw(st.sampled_from(("change", "change", "run", "put in", "cut"))):
            case "change":
                block[at] = value
            case "run":
                block[at : at + 4] = bytes([value]) * 4
            case "put in":
                block[at:at] = bytes([value]) * draw(st.integers(1, 9))
            case "cut":
                del block[max(1, at) :]
    return bytes(block)


def turns(pixels: Any) -> list[bytes]:
    """The picture in each of the eight ways that an orientation can turn it."""
    both = (pixels, pixels.transpose(1, 0, 2))
    return [np.rot90(one, quarter).tobytes() for one in both for quarter in range(4)]


def is_read_whatever_its_exif(plain: dict[str, Any], kind: str, block: bytes) -> None:
    content, pixels = plain[kind]
    assert decode(with_exif(kind, content, block)).tobytes() in turns(pixels)


def test_exif_of_a_camera_turns_the_picture(plain: dict[str, Any]) -> None:
    for kind, (content, pixels) in plain.items():
        assert np.array_equal(decode(with_exif(kind, content, BLOCK)), np.rot90(pixels, -1))


any_number = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@settings(any_number, max_examples=MUTATIONS // 1000)
@given(kind=st.sampled_from(list(KINDS)), block=mutations())
def test_damaged_exif_leaves_the_pixels(plain: dict[str, Any], kind: str, block: bytes) -> None:
    is_read_whatever_its_exif(plain, kind, block)


@pytest.mark.slow
def test_27000_damaged_exif_blocks_leave_the_pixels(plain: dict[str, Any]) -> None:
    slowest = 0.0

    @settings(any_number, max_examples=MUTATIONS)
    @given(kind=st.sampled_from(list(KINDS)), block=mutations())
    def try_each(kind: str, block: bytes) -> None:
        nonlocal slowest
        start = time.perf_counter()
        is_read_whatever_its_exif(plain, kind, block)
        slowest = max(slowest, time.perf_counter() - start)

    try_each()
    assert slowest < 10  # seconds: none hangs


KINDS_OF_FILES = {**KINDS, "BMP": {}, "GIF": {}, "TIFF": {}, "AVIF": {}}


@settings(any_number, max_examples=90)
@given(kind=st.sampled_from(list(KINDS_OF_FILES)), seed=st.integers(0, 2**32))
def test_a_damaged_picture_is_read_or_refused_with_a_reason(kind: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    content = bytearray(encoded(photograph(), kind, **KINDS_OF_FILES[kind]))
    for at in draw.integers(0, len(content), 3):
        content[at] = draw.integers(0, 256)
    part = bytes(content[: draw.integers(1, 2 * len(content))])
    assert read_or_reason(part)


def read_or_reason(content: bytes) -> str:
    """Anything but a ValueError is a bug."""
    try:
        pixels = decode(content)
    except ValueError as error:
        return str(error)
    return "read" if pixels.dtype == np.uint8 and pixels.shape[2] == 3 else ""


def test_a_jpeg_whose_other_segments_are_damaged_is_read(plain: dict[str, Any]) -> None:
    content, pixels = plain["JPEG"]
    segments = {
        "pictures in one file": b"\xff\xe2" + segment(b"MPF\0II*\0\x08\0\0\0\x01\0" + b"\xff" * 12),
        "colour profile": b"\xff\xe2" + segment(b"ICC_PROFILE\0\x01"),
        "Photoshop": b"\xff\xed" + segment(b"Photoshop 3.0\x008BIM\x03\xed\0"),
    }
    for name, damaged in segments.items():
        assert np.array_equal(decode(content[:2] + damaged + content[2:]), pixels), name


def test_a_picture_is_turned_by_exif_alone() -> None:
    """As the app does, and browsers; Pillow also asks XMP, and text of a PNG."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    silent = Pillow.Exif()
    silent[0x0131] = "a camera"
    for kind, more in itertools.product(("JPEG", "WEBP"), ({}, {"exif": silent})):
        content = encoded(photograph().resize((60, 40)), kind, xmp=xmp, **more)
        assert Pillow.open(io.BytesIO(content)).getexif().get(0x0112) == 6
        assert decode(content).shape == (40, 60, 3)
    tags = ImageFileDirectory_v2()
    tags[700] = xmp
    content = encoded(photograph().resize((60, 40)), "TIFF", tiffinfo=tags)
    assert Pillow.open(io.BytesIO(content)).getexif().get(0x0112) == 6
    assert decode(content).shape == (40, 60, 3)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "WEBP", "PNG", "TIFF", "MPO", "AVIF"):
        assert decode(encoded(photograph().resize((60, 40)), kind, exif=exif)).shape == (60, 40, 3)


def segment(content: bytes) -> bytes:
    return struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_picture_in_strips_has_the_same_pixels(
    orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    content = encoded(photograph().resize((90, 61)), "PNG", exif=exif)
    whole = decode(content)
    images = [
        Image(size=32, filter="bicubic"),
        Image(size=70),
        Image(size=32, resize="stretch"),
    ]
    expected = [crop_and_resize(whole, image) for image in images]
    for module in (decoding, preprocess):
        monkeypatch.setattr(module, "STRIP", 200)  # pixels: two rows and a bit
    assert np.array_equal(decode(content), whole)
    found = [crop_and_resize(decode(content), image) for image in images]
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(16_320, 12_240), (25_800, 19_350)])
def test_photographs_of_200_and_500_megapixels_take_8_bytes_a_pixel(
    width: int, height: int
) -> None:
    command = [sys.executable, "-c", TURNED, str(width), str(height)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shape, peak = json.loads(done.stdout)
    assert shape == [224, 224, 3]
    assert peak <= 8 * width * height


TURNED = """
import io, json, sys
from pathlib import Path
from PIL import Image as Pillow
from tflite_light.contract import Image
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.preprocess import crop_and_resize

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

exif, file, before = Pillow.Exif(), io.BytesIO(), peak()
exif[0x0112] = 6
Pillow.new("RGB", tuple(map(int, sys.argv[1:])), "teal").save(file, "JPEG", exif=exif)  # 4 a pixel
sized = crop_and_resize(decode(file.getvalue()), Image(size=224))
print(json.dumps([sized.shape, peak() - before]))
"""


def keyed_png(samples: Any, depth: int, key: tuple[int, ...]) -> bytes:
    """A PNG of grey or RGB samples [height, width, channels], one colour of which is transparent."""

    def chunk(kind: bytes, held: bytes) -> bytes:
        crc = zlib.crc32(kind + held)
        return struct.pack(">I", len(held)) + kind + held + struct.pack(">I", crc)

    height, width, channels = samples.shape
    bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    colour = {1: 0, 3: 2}[channels]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(f">{channels}H", *key)),
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize(
    ("depth", "channels"), [*((d, 1) for d in (1, 2, 4, 8, 16)), (8, 3), (16, 3)]
)
def test_a_png_s_transparent_colour_is_white(depth: int, channels: int) -> None:
    """By its samples as they are stored: of 16 bits the lower 8 count, too."""
    random, most = np.random.default_rng(depth), 2**depth - 1
    samples = random.integers(0, most + 1, (6, 9, channels))
    samples[2, 3], samples[4] = samples[5, 5], samples[5, 5]
    samples[1, 1] = samples[5, 5] ^ (1 if depth == 16 else 0)  # of the same upper bits
    eight = samples >> 8 if depth == 16 else samples * 255 // most
    for key in (samples[5, 5], np.minimum(samples[5, 5] + 1, most), np.full(channels, 10 % most)):
        clear = (samples == key).all(axis=2, keepdims=True)
        expected = np.where(clear, 255, eight).astype(np.uint8)
        content = keyed_png(samples, depth, tuple(map(int, key)))
        assert np.array_equal(decode(content), np.broadcast_to(expected, (6, 9, 3)))
