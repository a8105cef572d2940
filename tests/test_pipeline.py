"""Pictures become the same numbers everywhere, whatever file they come in."""

import gc
import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.errors import UserError
from tflite_light.pipeline import examples as pictures_kept
from tflite_light.pipeline import look, reading
from tflite_light.pipeline.augment import Augment, augmenter
from tflite_light.pipeline.batches import evaluation, picture_errors, training
from tflite_light.pipeline.decode import decode, upright
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import SPLITS, Pictures, pictures_of
from tflite_light.pipeline.preprocess import around, crop_and_resize, normalise
from tflite_light.pipeline.reading import look_again, measurable, read, read_data
from tflite_light.stack import tf

SMALL = Image(size=32)


def grey() -> Any:
    return np.asarray(photograph().convert("L"))[..., None].repeat(3, axis=2)


def sixteen_bit() -> Any:
    return Pillow.fromarray(np.asarray(photograph().convert("L")).astype(np.uint16) * 256 + 99)


def half_transparent() -> Any:
    picture = photograph().convert("RGBA")
    picture.putalpha(Pillow.fromarray(np.full((40, 60), 128, np.uint8)))
    return picture


def on_white() -> Any:
    return np.round(np.asarray(photograph()) * (128 / 255) + 255 * (127 / 255))


LOSSLESS: dict[str, tuple[Callable[[], bytes], Callable[[], Any], int]] = {
    "png": (lambda: encoded(photograph(), "PNG"), lambda: np.asarray(photograph()), 0),
    "bmp": (lambda: encoded(photograph(), "BMP"), lambda: np.asarray(photograph()), 0),
    "webp": (lambda: encoded(photograph(), "WEBP", lossless=True), lambda: np.asarray(photograph()), 0),
    "jpeg": (lambda: encoded(photograph(), "JPEG", quality=100, subsampling=0), lambda: np.asarray(photograph()), 4),
    "cmyk jpeg": (
        lambda: encoded(photograph().convert("CMYK"), "JPEG", quality=100), lambda: np.asarray(photograph()), 24
    ),
    "grey jpeg": (lambda: encoded(photograph().convert("L"), "JPEG", quality=100), grey, 3),
    "grey png": (lambda: encoded(photograph().convert("L"), "PNG"), grey, 0),
    "16-bit png": (lambda: encoded(sixteen_bit(), "PNG"), grey, 0),
    "palette png": (
        lambda: encoded(photograph().quantize(64), "PNG"), lambda: np.asarray(photograph().quantize(64).convert("RGB")), 0
    ),
    "1-bit png": (
        lambda: encoded(photograph().convert("1"), "PNG"), lambda: np.asarray(photograph().convert("1").convert("RGB")), 0
    ),
    "rgba png": (lambda: encoded(half_transparent(), "PNG"), on_white, 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_file_type_gives_the_pixels_that_went_in(kind: str) -> None:
    content, expected, tolerance = LOSSLESS[kind]
    pixels = decode(content())
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, 60, 3)
    assert np.abs(pixels.astype(float) - expected()).max() <= tolerance


def test_palette_transparency_lies_on_white() -> None:
    picture = photograph().quantize(8)
    pixels = decode(encoded(picture, "PNG", transparency=0))
    assert (pixels[np.asarray(picture) == 0] == 255).all()


TURNS = [None, "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"]  # fmt: skip


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("resize", ["crop", "stretch"])
def test_pillow_s_own_picture_is_sized_to_the_same_bits(kind: str, resize: Any) -> None:
    content, image = LOSSLESS[kind][0](), Image(size=32, resize=resize)
    assert isinstance(upright(content), Pillow.Image) == (kind in ("png", "bmp", "webp", "jpeg"))
    assert np.array_equal(
        crop_and_resize(upright(content), image), crop_and_resize(decode(content), image)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    pixels = decode(encoded(photograph(), "PNG", exif=exif))
    turn = TURNS[orientation - 1]
    upright = photograph().transpose(getattr(Pillow.Transpose, turn)) if turn else photograph()
    assert np.array_equal(pixels, np.asarray(upright))


def test_crop_takes_the_centred_square_and_stretch_takes_all() -> None:
    assert Image().box(60, 40) == (10, 0, 50, 40)
    assert Image(crop=0.875).box(300, 256) == (38, 16, 262, 240)
    assert Image(resize="stretch").box(60, 40) == (0, 0, 60, 40)
    square = np.asarray(
        photograph().crop((10, 0, 50, 40)).resize((32, 32), Pillow.Resampling.BILINEAR)
    )
    assert np.array_equal(crop_and_resize(np.asarray(photograph()), SMALL), square)


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "box"])
def test_resizing_is_what_the_contract_says_to_the_last_bit(name: Any) -> None:
    """A consumer written from the contract's text alone, in integers, gets Pillow's pixels."""
    sizes = ((60, 40), (7, 162), (162, 7), (40, 61), (500, 31), (31, 500))
    for size, side in itertools.product(sizes, (32, 40, 57)):
        picture = np.asarray(photograph().resize(size))
        for image in (Image(size=side, filter=name), stretched(side, name)):
            left, top, right, bottom = image.box(*size)
            cut = picture[top:bottom, left:right].astype(np.int64)
            across = _pass(cut.transpose(1, 0, 2), side, name).transpose(1, 0, 2)
            assert np.array_equal(_pass(across, side, name), crop_and_resize(picture, image))


def stretched(side: int, name: Any) -> Image:
    return Image(size=side, filter=name, resize="stretch")


def cubic(x: float) -> float:
    """Keys 1981 with a = -1/2."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0


FILTERS: dict[str, tuple[float, Any]] = {
    "bilinear": (1, lambda x: max(0, 1 - abs(x))),
    "bicubic": (2, cubic),
    "box": (0.5, lambda x: float(-0.5 < x <= 0.5)),
}


def _pass(pixels: Any, side: int, name: str) -> Any:
    """Resize the first axis: a filter, 22-bit fixed point, rounded to 8 bits."""
    length = pixels.shape[0]
    reach, weigh = FILTERS[name]
    scale = length / side
    width = max(scale, 1.0)
    rows = []
    for index in range(side):
        centre = (index + 0.5) * scale
        first = max(int(centre - reach * width + 0.5), 0)
        last = min(int(centre + reach * width + 0.5), length)
        weights = np.array([weigh((i - centre + 0.5) / width) for i in range(first, last)])
        exact = weights / weights.sum() * 2**22
        fixed = np.trunc(exact + np.copysign(0.5, exact)).astype(np.int64)
        total = np.tensordot(fixed, pixels[first:last], axes=1) + 2**21
        rows.append(np.clip(total >> 22, 0, 255))
    return np.stack(rows)


def test_normalise_orders_channels_then_scales() -> None:
    pixel = np.array([10, 20, 30], np.float32)
    bgr = Image(channels="BGR", mean=(1, 2, 3), std=(1, 2, 4))
    assert np.array_equal(normalise(pixel, bgr), np.array([29, 9, 1.75], np.float32))
    assert Image().range() == (-1.0, 127 / 128)


def test_streamed_pictures_equal_cached_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Synthetic(count=40, side=40)
    cached = source.load(SMALL).train
    monkeypatch.setattr(reading, "MEMORY_SHARE", 0)
    streamed = source.load(SMALL).train
    assert cached.cached is not None
    assert streamed.cached is None
    one, other = (batches(examples, range(2), Augment()) for examples in (cached, streamed))
    assert len(one) == 6
    assert all(np.array_equal(a, b) for first, second in zip(one, other, strict=True)
               for a, b in zip(first, second, strict=True))  # fmt: skip


def batches(examples: Examples, epochs: range, augment: Augment) -> list[Any]:
    dataset = training(examples, 4, 8, augment, seed=5, epochs=epochs)
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def test_training_order_is_a_permutation_that_differs_by_epoch() -> None:
    source = Synthetic(count=40, side=32)
    examples = source.load(SMALL).train
    firsts, seconds = (
        batches(examples, range(0, 1), Augment()),
        batches(examples, range(1, 2), Augment()),
    )
    seen = np.concatenate([x for x, _ in firsts])
    assert len(np.unique(seen.reshape(24, -1), axis=0)) == 24
    assert not np.array_equal(seen, np.concatenate([x for x, _ in seconds]))


def test_a_picture_has_one_checksum_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`evaluate` reads fewer pictures than `train` did, and holds them against its checksums."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 90, 90, 3), np.uint8)
    for name, one in zip("abcd", noise, strict=True):
        Pillow.fromarray(one).save(tmp_path / f"{name}.png")
    paths = sorted(tmp_path.iterdir())
    assert min(path.stat().st_size for path in paths) > 20_000  # more than is looked at
    pictures = Pictures(
        [path.name for path in paths],
        [0] * 4,
        lambda index: paths[index].read_bytes(),
        open=lambda index: paths[index].open("rb"),
    )
    decoded = read({"test": pictures}, SMALL)["test"].digest()
    monkeypatch.setattr(reading, "FEW", 3)
    assert read({"test": pictures}, SMALL)["test"].digest() == decoded
    paths[1].write_bytes(paths[0].read_bytes())
    assert read({"test": pictures}, SMALL)["test"].digest() != decoded


EXACT: dict[str, Any] = {
    "flip": "horizontal", "crop": 0.5, "translate": 0.2, "rotate": 20, "zoom": 0.2,
    "contrast": 0.3, "brightness": 0.2, "saturation": 0.5, "erase": 0.4,
}  # fmt: skip
MIXED: dict[str, Any] = {"mixup": 0.2, "cutmix": 1.0}
ALL = {**EXACT, **MIXED, "rand_augment": 0.5}


def test_every_augmentation_is_tried_here() -> None:
    assert set(ALL) == set(Augment.model_fields)


@pytest.mark.parametrize("name", ALL)
def test_augmentation_changes_pictures_within_the_range(name: str) -> None:
    examples = Synthetic(count=40, side=32).load(SMALL).train
    plain = batches(examples, range(1), Augment())
    altered = batches(examples, range(1), Augment(**{name: ALL[name]}))
    pixels = np.concatenate([x for x, _ in altered])
    assert np.mean(pixels != np.concatenate([x for x, _ in plain])) > 0.02
    assert -1 <= pixels.min() <= pixels.max() <= 127 / 128
    labels = np.concatenate([y for _, y in altered])
    assert labels.shape == (24, 4)
    assert np.allclose(labels.sum(axis=1), 1, atol=1e-5)
    assert (labels.max(axis=1) < 0.999).any() == (name in MIXED)


@pytest.mark.parametrize("name", EXACT | MIXED)
def test_a_resumed_epoch_sees_what_it_would_have_seen(name: str) -> None:
    examples = Synthetic(count=40, side=32).load(SMALL).train
    augment = Augment(**{name: ALL[name]})
    whole = batches(examples, range(2), augment)[3:]
    resumed = batches(examples, range(1, 2), augment)
    for one, other in zip(whole, resumed, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", MIXED)
def test_a_label_has_the_shares_that_the_pixels_have(name: str) -> None:
    """Of 64 pictures, each of a colour and a class of its own: by the box after the edges cut it,
    which of keras-cv's layer were off by up to 0.7."""
    count, size = 64, 48
    colours = np.arange(count, dtype=np.float32).repeat(3 * size**2).reshape(count, size, size, 3)
    alter = augmenter(Augment(**{name: ALL[name]}), size, seed=3)
    given = tf.constant(colours), tf.one_hot(np.arange(count), count)
    views = [[one.numpy() for one in alter(tf.constant(i, tf.int64), *given)] for i in range(8)]
    for images, labels in views:
        assert np.allclose(images.mean(axis=(1, 2, 3)), labels @ np.arange(count), atol=1e-3)
        if name == "cutmix":
            own = (images[..., 0] == colours[..., 0]).mean(axis=(1, 2))
            assert np.allclose(own, labels.diagonal(), atol=1e-6)
    shares = np.concatenate([labels.diagonal() for _, labels in views])
    assert len(np.unique(shares)) > 200  # of 512: no batch has the shares of the one before it


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 0.2, 1.0, 1e30])
def test_shares_vary_as_those_of_a_beta_distribution(alpha: float) -> None:
    """Gammas of 0.01 run out of float32: of one share in six both were 0, and that share a half."""
    alter = augmenter(Augment(mixup=alpha), 4, seed=3)
    given = tf.zeros((1024, 4, 4, 3)), tf.eye(1024)
    labels = [alter(tf.constant(i, tf.int64), *given)[1].numpy() for i in range(4)]
    shares = np.concatenate([one.diagonal() for one in labels])
    assert abs(shares.mean() - 1 / 2) < 0.03
    assert abs(shares.var() - 1 / (4 * (2 * alpha + 1))) < 0.01


@pytest.mark.parametrize("name", EXACT)
def test_no_two_batches_are_altered_alike(name: str) -> None:
    """Neither at the same places nor at shifted ones: a counter that runs on would do that."""
    pictures = Pictures(["same"] * 16, [0] * 16, lambda _: np.asarray(photograph()))
    examples = read({"train": pictures}, SMALL)["train"]
    views = training(examples, 2, 16, Augment(**{name: EXACT[name]}), seed=5, epochs=range(8))
    found = np.unique(np.concatenate([x.numpy().reshape(16, -1) for x, _ in views]), axis=0)
    assert len(found) == 2 if name == "flip" else len(found) > 120


def test_affine_shifts_and_turns_about_the_centre() -> None:
    """A turn alone leaves the centre where it is; nothing set leaves all pixels where they are."""
    spot = np.zeros((33, 33, 3), np.uint8)
    spot[16, 16] = 255
    pictures = Pictures(["spot"] * 8, [0] * 8, lambda _: spot)
    examples = read({"train": pictures}, Image(size=33))["train"]
    dataset = training(examples, 2, 8, Augment(rotate=90), seed=1, epochs=range(1))
    (turned,) = (x.numpy() for x, _ in dataset)
    assert (turned[:, 16, 16] > 0.9).all()
    assert (turned.reshape(8, -1).max(axis=1) == turned[:, 16, 16, 0]).all()


def broken(tmp_path: Path, count: int) -> Pictures:
    whole = encoded(photograph(), "JPEG")
    paths = []
    for number in range(count):
        path = tmp_path / f"{number:02}.jpg"
        path.write_bytes((whole[: len(whole) // 2], b"", b"no picture", whole[:20])[number % 4])
        paths.append(path)
    return Pictures(
        [str(path) for path in paths], [0] * count, lambda index: paths[index].read_bytes()
    )


def test_unreadable_pictures_are_all_named_up_to_ten(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="3 pictures cannot be read") as three:
        read({"test": broken(tmp_path, 3)}, SMALL)
    assert all(f"{number:02}.jpg" in str(three.value) for number in range(3))
    with pytest.raises(Exception, match="14 pictures cannot be read") as many:
        read({"test": broken(tmp_path, 14)}, SMALL)
    assert sum(f"{number:02}.jpg" in str(many.value) for number in range(14)) == 10
    assert "; and 4 more.\nhint: Repair or remove them, or have others of their class" in str(
        many.value
    )


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(photograph(), "PNG")
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="decompression bomb"):
        decode(content)


def whole(tmp_path: Path, count: int) -> tuple[list[Path], Pictures]:
    paths = [tmp_path / f"{number:02}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(encoded(photograph(), "PNG"))
    return paths, pictures_of([(path, 0) for path in paths])


def test_a_picture_that_went_before_it_was_read_is_named(tmp_path: Path) -> None:
    paths, pictures = whole(tmp_path, 8)
    paths[3].unlink()
    with pytest.raises(UserError) as raised:
        read({"train": pictures}, SMALL)
    assert (
        raised.value.problem == f"1 picture cannot be read: {paths[3]} (No such file or directory)."
    )


def test_no_dataset_has_a_tuner_that_its_end_would_wait_for() -> None:
    examples = Synthetic(count=40, number_of_classes=2, side=40).load(SMALL).train
    for dataset in (training(examples, 2, 8, Augment(), 0, range(2)), evaluation(examples, 2)):
        assert dataset.options().autotune.enabled is False


GONE = "cannot be read any more (No such file or directory)."
HINT = "Put it back as it was, then run the command again; a training goes on with `--resume`."


@pytest.mark.parametrize("feed", ["training", "validation"])
def test_streamed_pictures_that_go_or_change_amid_a_training_are_named(
    feed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MEMORY_SHARE", 0)
    paths, pictures = whole(tmp_path, 8)
    examples = read({"train": pictures}, SMALL)["train"]
    if feed == "training":
        dataset = training(examples, 1, 8, Augment(), seed=5, epochs=range(9))
    else:
        dataset = evaluation(examples, 1)

    def complaint() -> tuple[str, ...]:
        try:
            with picture_errors():
                list(dataset)
        except UserError as error:
            said: tuple[str, ...] = error.args
        gc.collect()  # the iterator here and now: a thread that reads for the next would wait for it
        return said

    content = paths[3].read_bytes()
    paths[3].write_bytes(encoded(photograph().convert("L"), "PNG"))
    assert complaint() == (f"{paths[3]} was changed while it was in use.", HINT)
    paths[3].unlink()
    assert complaint() == (f"{paths[3]} {GONE}", HINT)
    paths[3].write_bytes(content)
    with picture_errors():
        assert len(list(dataset)) == (9 if feed == "training" else 1)


def test_pictures_in_memory_outlive_their_files_but_no_other_takes_their_place(
    tmp_path: Path,
) -> None:
    paths, pictures = whole(tmp_path, 8)
    examples = read({"test": pictures}, SMALL)["test"]
    before = np.concatenate(list(examples.inputs(range(8))))
    paths[3].write_bytes(encoded(photograph().rotate(180), "PNG"))
    assert np.array_equal(np.concatenate(list(examples.inputs(range(8)))), before)
    with pytest.raises(UserError, match=r"03\.png was changed while it was in use"):
        examples.original(3)


@settings(deadline=None, max_examples=20, derandomize=True, database=None)
@given(st.integers(1, 17), st.sampled_from(["RGB", "BGR"]), st.floats(1, 255))
def test_inputs_are_the_same_however_they_are_batched(size: int, channels: Any, std: float) -> None:
    image = Image(size=32, channels=channels, mean=(1, 2, 3), std=(std, 1, 255))
    examples = read({"test": Synthetic(count=80, side=16).split("test")}, image)["test"]
    one_by_one = np.concatenate(list(examples.inputs(range(16), batch_size=1)))
    assert np.array_equal(np.concatenate(list(examples.inputs(range(16), size))), one_by_one)


def many(folder: Path, count: int = 40) -> tuple[list[Path], Pictures]:
    """JPEG files of four classes, all different, too large to be seen whole by a look."""
    paths = [folder / f"{number:02}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        picture = photograph().resize((400, 300)).rotate(number)
        path.write_bytes(encoded(picture, "JPEG", quality=97))
        assert path.stat().st_size > 3 * look.BLOCK
    return paths, pictures_of([(path, number % 4) for number, path in enumerate(paths)])


def damaged(path: Path) -> None:
    """Its ends as they were, but no picture between them: Pillow finds no such scan."""
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xda")
    content[start + 1] = 0xC4
    path.write_bytes(content)


def decoded_by(patch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is decoded from now on."""
    sizes: list[int] = []

    def noted(content: bytes) -> Any:
        sizes.append(len(content))
        return upright(content)

    patch.setattr(pictures_kept, "upright", noted)
    return sizes


@pytest.mark.parametrize("share", [0, 0.5], ids=["streamed", "kept"])
def test_of_many_pictures_none_is_decoded_before_it_is_needed(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FEW", 39)
    monkeypatch.setattr(reading, "MEMORY_SHARE", share)
    seen = decoded_by(monkeypatch)
    examples = read({"train": many(tmp_path)[1]}, SMALL)["train"]
    assert seen == []
    once = examples.pixels(range(20))
    assert len(seen) == 20
    assert np.array_equal(examples.pixels(np.arange(20)), once)
    assert len(seen) == (20 if share else 40)


def test_of_many_pictures_odd_ends_are_found_at_once_and_odd_middles_when_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FEW", 39)
    paths, pictures = many(tmp_path)
    whole = paths[5].read_bytes()
    for content in (whole[:-100], whole[100:], b""):
        paths[5].write_bytes(content)
        with pytest.raises(UserError, match=r"1 picture cannot be read: \S*05.jpg \("):
            read({"train": pictures}, SMALL)
    paths[5].write_bytes(whole + b"film" * 100)  # as phones append: it is decoded, and is right
    seen = decoded_by(monkeypatch)
    read({"train": pictures}, SMALL)
    assert seen == [len(whole) + 400]
    paths[5].write_bytes(whole)
    damaged(paths[5])
    examples = read({"train": pictures}, SMALL)["train"]
    examples.sized(4)
    with pytest.raises(UserError, match=r"1 picture cannot be read: \S*05.jpg \(") as raised:
        examples.sized(5)
    assert "where a recipe is to be trained: set `skip_broken`" in raised.value.hint


def test_of_many_pictures_those_that_are_measured_last_are_decoded_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run asks after its first epoch, or a broken one would end it after all."""
    monkeypatch.setattr(reading, "FEW", 39)
    paths, pictures = many(tmp_path)
    seen = decoded_by(monkeypatch)
    given = {name: pictures.chosen(range(n, 40, 3)) for n, name in enumerate(SPLITS)}
    data = read_data(["a", "b"], given, {}, SMALL)
    assert seen == []
    look_again(data)
    assert len(seen) == len(data.test) == 13
    damaged(paths[26])
    with pytest.raises(UserError, match=r"1 picture cannot be read: \S*26.jpg \("):
        look_again(read_data(["a", "b"], given, {}, SMALL))
    monkeypatch.setattr(reading, "FEW", 40)
    with pytest.raises(UserError, match=r"1 picture cannot be read: \S*26.jpg \("):
        read_data(["a", "b"], given, {}, SMALL)


@pytest.mark.parametrize("few", [39, 40], ids=["met later", "at once"])
def test_the_next_of_its_class_stands_in_for_a_broken_picture(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "FEW", few)
    paths, pictures = many(tmp_path)
    for number in (5, 37):
        damaged(paths[number])
    examples = read({"train": replace(pictures, skip_broken=True)}, SMALL)["train"]
    pixels = examples.pixels(range(40))
    assert np.array_equal(pixels[5], pixels[9])
    assert np.array_equal(pixels[37], pixels[1])  # the last of its class: the first
    assert not np.array_equal(pixels[5], pixels[37])
    said = capsys.readouterr().err
    assert "05.jpg" in said
    assert "37.jpg" in said
    assert (
        "train: 2 broken pictures replaced by others" if few == 40 else "replaced so far"
    ) in said
    for number in set(range(1, 40, 4)) - {5, 37}:
        damaged(paths[number])
    with pytest.raises(UserError, match="is broken, and so are all pictures of its class"):
        read({"train": replace(pictures, skip_broken=True)}, SMALL)["train"].pixels(range(40))


@pytest.mark.parametrize("few", [39, 40], ids=["met later", "at once"])
def test_a_picture_that_stands_in_for_another_is_not_measured_twice(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "FEW", few)
    paths, pictures = many(tmp_path)
    skipping = replace(pictures, skip_broken=True)
    given = {name: skipping.chosen(range(n, 40, 3)) for n, name in enumerate(SPLITS)}
    damaged(paths[3])  # of train
    damaged(paths[26])  # of test, its 9th
    data = read_data(["a", "b"], given, {}, SMALL)
    found = measurable(data)
    assert found.train is data.train
    assert found.val is data.val
    left = [index for index in range(13) if index != 8]
    assert found.test.pictures.names == [given["test"].names[index] for index in left]
    assert np.array_equal(found.test.labels, data.test.labels[left])
    assert np.array_equal(found.test.pixels(range(12)), data.test.pixels(left))
    assert found.test.digest() == data.test.digest(left)
    said = "test: measuring on the 12 of 13 pictures that can be decoded\n"
    assert said in capsys.readouterr().err
    assert measurable(found).test is found.test


def test_a_picture_s_checksum_is_the_same_from_a_look_and_from_all_of_it(tmp_path: Path) -> None:
    paths, _ = many(tmp_path, 4)
    for path in paths:
        with path.open("rb") as file:
            assert look.look(file).checksum == look.look(io.BytesIO(path.read_bytes())).checksum
    assert len({look.look(path.open("rb")).checksum for path in paths}) == 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_picture_that_was_cut_anywhere_does_not_look_whole(kind: str) -> None:
    content = encoded(photograph(), kind)
    assert look.look(io.BytesIO(content)).whole
    for size in (0, 1, 10, 100, len(content) - 20, len(content) - 3):
        assert not look.look(io.BytesIO(content[:size])).whole


def test_what_is_left_of_packed_files_is_counted_while_their_order_is_kept() -> None:
    """By which they are read one after the other also where outliers lie in them."""
    pictures = Pictures([str(n) for n in range(9)], [0] * 9, lambda _: b"", shards=[4, 2, 3])
    assert pictures.chosen([0, 2, 3, 6, 8]).shards == [3, 2]
    assert pictures.chosen([4, 5]).shards == [2]
    assert pictures.chosen([6, 0]).shards is None


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.5])
def test_what_is_sized_already_is_the_box_of_a_picture_around_it(crop: float, size: int) -> None:
    """So a golden picture of a pack gives the pixels that it was chosen by."""
    image = Image(size=size, crop=crop)
    sized = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
    assert np.array_equal(crop_and_resize(around(sized, image), image), sized)
