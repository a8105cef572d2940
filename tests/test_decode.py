"""What is made of photographs by real cameras: odd, damaged, and very large ones."""

import io
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from test_pipeline import encoded, photograph

from tflite_light.pipeline.decode import decode

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
