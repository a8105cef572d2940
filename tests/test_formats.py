"""TIFF, AVIF and HEIC are pictures like the others: the pixels that went in, wherever they lie."""

import io
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from conftest import Call, complaint, encoded, photograph
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.TiffImagePlugin import AppendingTiffWriter

from tflite_light.contract import Image
from tflite_light.pipeline import formats
from tflite_light.pipeline.decode import decode, in_memory, upright
from tflite_light.pipeline.preprocess import crop_and_resize
from tflite_light.sockets import load

pillow_heif.register_heif_opener()
EXACT = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "BMP": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": EXACT,
}
OFF = {"JPEG": 4, "AVIF": 4}  # steps; the others are lossless
PIXELS = np.asarray(photograph())
GREY = np.asarray(photograph().convert("L"))
TWO_BYTES = GREY.astype(np.uint16) * 256 + 99
TAG = {
    **{
        "kind": 254,
        "width": 256,
        "height": 257,
        "bits": 258,
        "compression": 259,
        "photometric": 262,
    },
    **{"offset": 273, "samples": 277, "rows": 278, "bytes": 279, "extra": 338, "format": 339},
}


def tiff(pixels: Any, photometric: int, order: str = "<", **more: int) -> bytes:
    """An uncompressed TIFF written by hand, of kinds that Pillow reads and does not write."""
    height, width, samples = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits, number = 8 * pixels.dtype.itemsize, {"samples": samples, "compression": 1}
    values = {
        **{"width": [width], "height": [height], "bits": [more.pop("bits", bits)] * samples},
        **{"photometric": [photometric], "offset": [0], "rows": [height], "bytes": [len(data)]},
        **{name: [value] for name, value in (number | more).items()},
    }
    entries = sorted((TAG[name], value) for name, value in values.items())
    outside = 8 + 2 + 12 * len(entries) + 4
    start = outside + sum(4 * len(value) for _, value in entries if len(value) > 1)
    table, behind = b"", b""
    for tag, value in entries:
        packed = struct.pack(f"{order}{len(value)}I", *([start] if tag == TAG["offset"] else value))
        if len(value) > 1:
            packed, behind = struct.pack(f"{order}I", outside + len(behind)), behind + packed
        table += struct.pack(f"{order}HHI", tag, 4, len(value)) + packed
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(entries))
    return bytes(head + table + bytes(4) + behind + data)


def repeated(grey: Any) -> Any:
    return grey[..., None].repeat(3, axis=2)


def test_every_suffix_belongs_to_a_format_and_every_format_has_a_name() -> None:
    assert {*formats.SUFFIXES.values()} == {*KINDS}
    assert len(formats.NAMES.replace(" or ", ", ").split(", ")) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_known_by_its_first_bytes_and_gives_its_pixels(kind: str) -> None:
    content = encoded(photograph(), kind, **KINDS[kind])
    assert formats.of(content[: formats.HEAD]) == kind
    assert np.abs(decode(content).astype(int) - PIXELS).max() <= OFF.get(kind, 0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "BMP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(photograph(), kind, exif=exif.tobytes(), **KINDS[kind]))
    turned = decode(encoded(photograph(), "PNG", exif=exif))
    assert found.shape == turned.shape
    assert np.abs(found.astype(int) - turned).max() <= OFF.get(kind, 0)


def as_opened(picture: Pillow.Image) -> Pillow.Image:
    return picture


def as_loaded(picture: Pillow.Image) -> Pillow.Image:
    picture.load()
    return picture


def as_turned(picture: Pillow.Image) -> Pillow.Image:
    turned: Pillow.Image = ImageOps.exif_transpose(picture)
    return turned


def as_turned_in_place(picture: Pillow.Image) -> Pillow.Image:
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


def as_changed_and_back(picture: Pillow.Image) -> Pillow.Image:
    """Turned counterclockwise, with EXIF in memory alone that turns it clockwise again."""
    changed = as_turned(picture).transpose(Pillow.Transpose.ROTATE_90)
    changed.getexif()[0x0112] = 6
    return changed


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "BMP"])
@pytest.mark.parametrize(
    "handed", [as_opened, as_loaded, as_turned, as_turned_in_place, as_changed_and_back]
)
def test_pictures_in_memory_are_turned_as_their_files(
    kind: str, handed: Callable[[Pillow.Image], Pillow.Image]
) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    content = encoded(photograph(), kind, exif=exif.tobytes(), **KINDS[kind])
    found = handed(Pillow.open(io.BytesIO(content)))
    assert np.array_equal(in_memory(found), decode(content))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_exif_that_was_changed_in_memory_counts_beside_xmp(kind: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    content = encoded(photograph(), kind, xmp=xmp, **KINDS[kind])
    opened, changed = (Pillow.open(io.BytesIO(content)) for _ in range(2))
    assert np.array_equal(in_memory(opened), decode(content))
    changed.getexif()[0x0112] = 3
    assert np.array_equal(in_memory(changed), decode(content)[::-1, ::-1])


RGB_16 = PIXELS.astype(np.uint16) * 256 + 7
WITH_HALF = np.dstack([PIXELS, np.full((40, 60), 128, np.uint8)])
TIFFS: dict[str, tuple[bytes, Any, int]] = {
    "grey, 16 bits": (tiff(TWO_BYTES, 1), repeated(GREY), 0),
    "grey, 16 bits, big-endian": (tiff(TWO_BYTES, 1, ">"), repeated(GREY), 0),
    "grey, 16 bits, white is zero": (tiff(TWO_BYTES, 0), repeated(255 - GREY), 0),
    "grey, 8 bits, white is zero": (tiff(GREY, 0), repeated(255 - GREY), 0),
    "RGB, 16 bits": (tiff(RGB_16, 2), PIXELS, 0),
    "RGB, 16 bits, big-endian": (tiff(RGB_16, 2, ">"), PIXELS, 0),
    "half transparent": (tiff(WITH_HALF, 2, extra=2), np.round(PIXELS * (128 / 255) + 127), 1),
    "a fourth channel without a meaning": (tiff(WITH_HALF, 2, extra=0), PIXELS, 0),
    "CMYK": (tiff(np.dstack([255 - PIXELS, 0 * GREY]), 5), PIXELS, 0),
    "CMYK, 16 bits": (tiff(np.dstack([65535 - RGB_16, 0 * TWO_BYTES]), 5), PIXELS, 0),
    "palette": (
        encoded(photograph().quantize(64), "TIFF"),
        np.asarray(photograph().quantize(64).convert("RGB")),
        0,
    ),
    "1 bit": (
        encoded(photograph().convert("1"), "TIFF"),
        np.asarray(photograph().convert("1").convert("RGB")),
        0,
    ),
    "LZW": (encoded(photograph(), "TIFF", compression="tiff_lzw"), PIXELS, 0),
    "Deflate": (encoded(photograph(), "TIFF", compression="tiff_adobe_deflate"), PIXELS, 0),
    "JPEG inside": (encoded(photograph(), "TIFF", compression="jpeg", quality=100), PIXELS, 60),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIFFS)
def test_tiffs_of_every_kind_give_the_pixels_that_went_in(kind: str) -> None:
    content, expected, off = TIFFS[kind]
    assert np.abs(decode(content).astype(float) - expected).max() <= off
    opened = Pillow.open(io.BytesIO(content))
    assert np.array_equal(in_memory(opened), decode(content))


def test_grey_of_12_bits_keeps_its_upper_eight() -> None:
    """Two pixels in three bytes."""
    wide = GREY.astype(np.uint16) * 16 + 9
    first, second = wide[:, ::2], wide[:, 1::2]
    packed = np.dstack([first >> 4, (first & 15) << 4 | second >> 8, second & 255]).astype(np.uint8)
    content = bytearray(tiff(packed.reshape(40, 90), 1, bits=12))
    width = content.index(struct.pack("<HHII", TAG["width"], 4, 1, 90)) + 8
    content[width : width + 4] = struct.pack("<I", 60)
    assert np.array_equal(decode(bytes(content)), repeated(GREY))


def test_of_several_pages_the_first_whole_one_is_taken() -> None:
    second = Pillow.fromarray(255 - PIXELS)
    both = encoded(photograph(), "TIFF", save_all=True, append_images=[second])
    assert np.array_equal(decode(both), PIXELS)
    written = io.BytesIO()
    with AppendingTiffWriter(written, True) as pages:
        second.resize((6, 4)).save(pages, "TIFF", tiffinfo={TAG["kind"]: 1})  # a reduced copy
        pages.newFrame()
        photograph().save(pages, "TIFF")
        pages.newFrame()
    assert np.array_equal(decode(written.getvalue()), PIXELS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(GREY.astype(np.float32), 1, format=3), "what is white is not known"),
        (tiff(TWO_BYTES.astype(np.uint32), 1), "what is white is not known"),
        (tiff(TWO_BYTES.astype(np.int16), 1, format=2), "what is white is not known"),
        (tiff(GREY.astype(np.int8), 1, format=2), "what is white is not known"),
        (tiff(PIXELS, 2, kind=1), "it holds a thumbnail alone, as cameras' raw files do"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), "or of a rare kind"),
    ],
)  # fmt: skip
def test_what_would_give_wrong_pixels_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(content)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(60, 40), (7, 162), (162, 7), (31, 500)])
def test_what_stays_in_pillow_is_resized_to_the_same_bits(kind: str, size: Any) -> None:
    content = encoded(photograph().resize(size), kind, **KINDS[kind])
    for image in (Image(size=32), Image(size=32, resize="stretch", filter="bicubic")):
        expected = crop_and_resize(decode(content), image)
        assert np.array_equal(crop_and_resize(upright(content), image), expected)


@pytest.fixture
def mixed(photos: Path) -> Path:
    """Photographs in class folders, of which each class has one in each further format."""
    for folder in photos.iterdir():
        for suffix, kind in ((".tif", "TIFF"), (".avif", "AVIF"), (".HEIC", "HEIF")):
            path = sorted(folder.glob("*.jpg"))[0]
            path.with_suffix(suffix).write_bytes(encoded(Pillow.open(path), kind, **KINDS[kind]))
            path.unlink()
    return photos


def test_folders_and_tables_take_every_format(mixed: Path) -> None:
    folder = load("data", "directory").model_validate({"path": str(mixed)})
    assert sum(map(len, folder.load(Image(size=32)).parts.values())) == 60
    rows = [f"{path.relative_to(mixed)},{path.parent.name}" for path in mixed.rglob("*.*")]
    (mixed.parent / "labels.csv").write_text("\n".join(["path,label", *rows]))
    shutil.move(mixed.parent / "labels.csv", mixed / "labels.csv")
    table = load("data", "csv").model_validate({"path": str(mixed / "labels.csv")})
    assert sum(map(len, table.load(Image(size=32)).parts.values())) == 60


def test_a_raw_file_is_no_picture_in_a_folder_and_a_tiff_without_a_suffix_is() -> None:
    head = tiff(PIXELS, 2)[: formats.HEAD]
    answers = {name: formats.is_picture(Path(name), head) for name in ("a.nef", "a.tif", "scan")}
    assert answers == {"a.nef": False, "a.tif": True, "scan": True}
    assert not formats.is_picture(Path("letter"), b"BM is our name")


def test_heic_without_its_extra_says_which(
    model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("shot.heic").write_bytes(encoded(photograph(), "HEIF", **EXACT))
    assert call("predict", model, "shot.heic").exit_code == 0
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    done = call("predict", model, "shot.heic")
    assert complaint(done)
    needed = "HEIC needs an extra: `pip install 'tflite-light[heic]'`"
    assert f"shot.heic cannot be read: {needed}\n" in done.stderr
