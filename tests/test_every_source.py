"""Every data source gives three parts of labelled pictures; a new one is tested by existing."""

import contextlib
import gzip
import hashlib
import io
import os
import random
import re
import shutil
import time
import unicodedata
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, complaint, split_of
from PIL import Image as Pillow

from tflite_light import classes
from tflite_light.contract import Image
from tflite_light.data import Source, csv
from tflite_light.data._examples import write_photographs
from tflite_light.data._split import THREE, divide
from tflite_light.data._usable import require_usable
from tflite_light.data.directory import Directory
from tflite_light.data.sign_digits import ARCHIVE, SignDigits
from tflite_light.errors import UserError
from tflite_light.pipeline.apart import require_apart
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.pictures import SPLITS, UNKNOWN, Pictures, Split
from tflite_light.pipeline.reading import read
from tflite_light.runs.evaluating import labelled, source_at
from tflite_light.sockets import load, names
from tflite_light.stack import tf

MODEL = Path("my.tflite")
NOBODY = 65534  # a user without rights


@pytest.fixture(scope="module", params=names("data"))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    made: Source = load("data", request.param).example(tmp_path_factory.mktemp(request.param))
    return made


def test_parts_are_disjoint_and_all_decode(source: Source) -> None:
    data = read({name: source.split(name) for name in SPLITS}, Image(size=32))
    prints = [
        {
            hashlib.sha256(pixels.tobytes()).digest()
            for pixels in examples.pixels(range(len(examples)))
        }
        for examples in data.values()
    ]
    assert all(prints)
    assert len(prints[0] | prints[1] | prints[2]) == sum(map(len, prints))


def test_every_class_is_in_train_and_test(source: Source) -> None:
    for name in ("train", "test"):
        classes = range(len(source.classes())) or [UNKNOWN]
        assert set(source.split(name).labels) == set(classes)


def test_outliers_are_set_apart_and_are_no_class(source: Source) -> None:
    """Every picture keeps its class, whose number may change, or becomes an outlier of its part."""
    if not (classes := source.classes()):
        pytest.skip("it has no classes")
    fields = source.model_dump(exclude_unset=True) | {"outliers": classes[1]}
    apart = type(source).model_validate(fields)
    assert apart.classes() == [classes[0], *classes[2:]]
    for name in SPLITS:
        strange = apart.outlier_parts[name].names
        expected = named(source, name)
        assert named(apart, name) | dict.fromkeys(strange, classes[1]) == expected
        assert len(apart.split(name)) + len(strange) == len(expected)
        assert strange or name == "val"  # of 20 pictures a class, it may get none
    assert apart.listing_digest() != source.listing_digest()


def named(source: Source, name: Split) -> dict[str, str]:
    """The pictures of a part, and their classes."""
    part, classes = source.split(name), source.classes()
    return {one: classes[label] for one, label in zip(part.names, part.labels, strict=True)}


def test_reading_twice_gives_the_same(source: Source) -> None:
    one, other = source.split("test"), source.split("test")
    assert (one.names, one.labels) == (other.names, other.labels)
    assert np.array_equal(np.asarray(one.read(0)), np.asarray(other.read(0)))


def test_file_sources_agree_on_the_split(tmp_path: Path) -> None:
    """The same files as a folder or a table: the same pictures in each part."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one = load("data", "directory").example(tmp_path / "one")
    two = load("data", "csv").example(tmp_path / "two")
    for name in SPLITS:
        assert sorted(Path(p).name for p in one.split(name).names) == sorted(
            Path(p).name for p in two.split(name).names
        )


def test_sign_digits_is_small_and_divided_as_its_original() -> None:
    assert ARCHIVE.stat().st_size <= 7_000_000
    assert ARCHIVE.with_suffix(".LICENSE").read_text().lstrip().startswith("Apache License")
    counts = {name: len(SignDigits().split(name)) for name in SPLITS}
    assert counts == {"train": 1457, "val": 219, "test": 383}
    digests = {  # of the photographs' names, as the original folder is divided by content
        "train": "c5f9185adabc5537",
        "val": "1f31b429dc4b55c7",
        "test": "edd4c1a89f98a4f9",
    }
    for name in SPLITS:
        members = SignDigits().split(name).names
        stems = sorted("/".join(Path(one).with_suffix("").parts[-2:]) for one in members)
        assert hashlib.sha256("\n".join(stems).encode()).hexdigest()[:16] == digests[name]


def test_the_same_pictures_as_a_folder_give_the_same_tensors(tmp_path: Path) -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    inside = SignDigits().load(Image(size=32))
    folder = Directory(path=str(tmp_path)).load(Image(size=32))
    for name in SPLITS:
        one, other = getattr(inside, name), getattr(folder, name)
        assert np.array_equal(one.cached, other.cached)
        assert np.array_equal(one.labels, other.labels)


def test_split_is_by_content_and_roughly_70_10_20() -> None:
    numbers = random.Random(0)
    parts = [split_of(numbers.randbytes(40)) for _ in range(20_000)]
    shares = [parts.count(name) / len(parts) for name in SPLITS]
    assert np.allclose(shares, (0.7, 0.1, 0.2), atol=0.01)


def test_adding_pictures_moves_no_other(photos: Path) -> None:
    before = {name: set(Directory(path=str(photos)).split(name).names) for name in SPLITS}
    added = write_photographs(photos.parent / "more", classes=4, each=40)
    shutil.copytree(added, photos, dirs_exist_ok=True)
    fresh = Directory(path=str(photos))
    after = {name: {str(Path(path)) for path in fresh.split(name).names} for name in SPLITS}
    assert sum(map(len, after.values())) == 160
    assert all(before[name] <= after[name] for name in SPLITS)


def test_identical_pictures_never_straddle(photos: Path) -> None:
    for path in list(photos.rglob("*.jpg")):
        shutil.copy(path, path.with_name(f"copy_of_{path.name}"))
    source = Directory(path=str(photos))
    contents = [{Path(path).read_bytes() for path in source.split(name).names} for name in SPLITS]
    assert not contents[0] & contents[1] | contents[0] & contents[2] | contents[1] & contents[2]
    assert sum(len(source.split(name)) for name in SPLITS) == 120


def test_given_train_val_and_test_folders_are_taken(photos: Path, tmp_path: Path) -> None:
    source = Directory(path=str(photos))
    for name in SPLITS:
        for path in source.split(name).names:
            target = tmp_path / "divided" / name / Path(path).parent.name / Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    divided = Directory(path=str(tmp_path / "divided"))
    for name in SPLITS:
        assert len(divided.split(name)) == len(source.split(name))
    shutil.rmtree(tmp_path / "divided" / "val")
    without = Directory(path=str(tmp_path / "divided"))
    assert len(without.split("test")) == len(source.split("test"))
    assert len(without.split("train")) + len(without.split("val")) == len(source.split("train"))


def refuse(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        Directory(path=str(folder)).load(Image(size=32))
    return str(caught.value)


def test_unfit_folders_are_refused(photos: Path, tmp_path: Path) -> None:
    assert "nowhere does not exist.\nhint: Set data.directory.path" in refuse(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no class folders.\nhint: It needs one for each class" in refuse(tmp_path / "empty")
    shutil.copytree(photos / "sign0", tmp_path / "lonely" / "sign0")
    assert "at least two classes are needed, found only 'sign0'" in refuse(tmp_path / "lonely")
    shutil.copytree(photos, tmp_path / "torn" / "test")
    shutil.copytree(photos, tmp_path / "torn" / "val")
    assert "has val and test, but train and one of val and test are needed" in refuse(
        tmp_path / "torn"
    )
    few = tmp_path / "few"
    shutil.copytree(photos, few)
    for path in sorted((few / "sign1").iterdir())[2:]:
        path.unlink()
    assert "class 'sign1' has 2 pictures, too few to split" in refuse(few)
    sorted_ = tmp_path / "sorted"
    shutil.copytree(photos, sorted_ / "train")
    shutil.copytree(photos, sorted_ / "test")
    for path in (sorted_ / "test/sign1").iterdir():
        path.unlink()
    message = refuse(sorted_)
    assert "class 'sign1' has 20 pictures, none of them in test.\nhint: Sort some into" in message
    for part in ("val", "test"):
        half = tmp_path / f"without_{part}"
        shutil.copytree(photos, half / "train")
        (half / part).mkdir()
        lacking = f"data {half} has no picture in {part}."
        assert refuse(half) == f"{lacking}\nhint: Put some of each class there."
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    (tmp_path / "hollow" / "b").mkdir()
    assert "holds 2 class folders without a picture" in refuse(tmp_path / "hollow")


@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("train", "test", "validation")])
def test_parts_by_other_names_are_no_classes(
    photos: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        shutil.copytree(photos, tmp_path / "divided" / name)
    divided = Directory(path=str(tmp_path / "divided"))
    assert divided.classes() == ["sign0", "sign1", "sign2"]
    assert [len(divided.split(name)) for name in SPLITS] == [60, 60, 60]


@pytest.mark.parametrize(
    "name", [b"two\nlines", b"caf\xe9", "a\x85b".encode(), "a\u2028b".encode()]
)
def test_a_class_whose_name_cannot_be_written_is_refused(photos: Path, name: bytes) -> None:
    (photos / "sign1").rename(photos / os.fsdecode(name))
    assert "has characters that cannot be written.\nhint: Rename it" in refuse(photos)


def test_a_table_that_was_sorted_anew_has_the_same_pictures_in_the_same_order(photos: Path) -> None:
    paths = [path.relative_to(photos) for path in sorted(photos.rglob("*.jpg"))]
    rows, parts = [f"{path},{path.parent}" for path in paths], []
    for some in (rows, rows[::-1]):
        (photos / "labels.csv").write_text("\n".join(["path,label", *some]))
        source: Any = load("data", "csv").model_validate({"path": str(photos / "labels.csv")})
        parts.append([source.split(name).names for name in SPLITS])
    assert parts[0] == parts[1]


def test_a_folder_of_one_class_is_not_taken_for_the_one_above(photos: Path) -> None:
    message = refuse(photos / "sign1")
    assert f"{photos}/sign1 holds 20 pictures and no class folders.\nhint: Name the" in message
    assert message.endswith(f"such as {photos}.")


def test_a_table_cannot_put_a_picture_into_two_parts(photos: Path) -> None:
    paths = [path.relative_to(photos) for path in sorted(photos.rglob("*.jpg"))]
    rows = [f"{path},{path.parent},{part}" for path in paths for part in SPLITS]
    (photos / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    source: Any = load("data", "csv").model_validate({"path": str(photos / "labels.csv")})
    with pytest.raises(UserError, match=r"line 3: .*jpg is in both train and val"):
        source.load(Image(size=32))


@pytest.mark.parametrize("kind", ["GIF", "ICO"])
def test_other_formats_are_no_pictures(kind: str) -> None:
    content = io.BytesIO()
    Pillow.new("RGB", (32, 32)).save(content, kind)
    with pytest.raises(ValueError, match="not a JPEG, PNG, BMP, WebP, TIFF, AVIF or HEIC picture"):
        decode(content.getvalue())


def test_records_without_a_picture_or_a_label_are_named(tmp_path: Path) -> None:
    source: Any = load("data", "tfrecord").example(tmp_path)
    features = tf.train.Features(feature={"image/class/label": tf.train.Feature()})
    empty = tf.train.Example(features=features).SerializeToString()
    for record, message in (
        (b"junk", "record 1 holds no tf.train.Example"),
        (empty, "image/class/label has 0 values in its int64_list, not one"),
    ):
        with tf.io.TFRecordWriter(source.test) as writer:
            writer.write(record)
        with pytest.raises(UserError, match=message):
            source.absolute().split("test")


TABLES = {
    "picture,label\na.jpg,x\n": "line 1 is 'picture,label', which does not name the columns path",
    "path|label\na.jpg|x\n": "line 1 is 'path|label', which does not name the columns",
    "": "line 1 is ''",
    "path,label\n": "has no rows",
    "path,label\nmissing.jpg,x\n": "1 file or folder cannot be read: {}/missing.jpg of line 2 (No",
    "path,label\na\0.jpg,x\n": "of line 2 (embedded null byte)",
    "path,label,split\n,x,train\n": "line 2 has no path: ', x, train'",
    "path,label\nlabels.csv\n": "line 2 has no label: 'labels.csv'",
    "path,label,split\nlabels.csv,x,valid\n": "split must be train, val or test, not 'valid'",
    "path,label\na.jpg,crane, bird\n": "line 2 has 3 cells, line 1 names 2 columns",
    "path,label,Label\na.jpg,x,y\n": "line 1 names the column label twice",
    "path,label\na.jpg,x\nb.jpg,x\n./a.jpg,y\n": "line 4: {}/a.jpg is 'y', but 'x' in line 2",
    'path,label\na.jpg,"x\nb.jpg,y\n': "labels.csv, line 2 cannot be read: unexpected end of data",
    'path,label\n\na.jpg,"6"x\nb.jpg,y\n': """line 3 cannot be read: ',' expected after '"'.""",
}


@pytest.mark.parametrize("text", TABLES)
def test_unfit_tables_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"labels.csv") as caught:
        load("data", "csv").model_validate({"path": str(path)}).split("train")
    assert TABLES[text].format(tmp_path) in str(caught.value)


def test_bad_data_stops_before_anything_is_written(call: Call, tiny: Path, photos: Path) -> None:
    (photos / "sign1" / "broken.jpg").write_bytes(b"\xff\xd8 not a photograph")
    change = ("--set", f"data.directory.path={photos}")
    message = complaint(call("train", tiny, *change))
    assert message.startswith("1 picture cannot be read")
    assert "broken.jpg" in message
    assert not Path("runs").exists()
    message = complaint(call("train", tiny, "--set", "data.directory.path=nowhere"))
    assert "data folder nowhere does not exist" in message
    message = complaint(call("train", tiny, "--set", "data.tfds.name=no_such_set"))
    assert "dataset no_such_set cannot be prepared" in message
    assert not Path("runs").exists()


def taken(folder: Path, **fields: Any) -> tuple[list[str], int]:
    """Class names of a folder and how many pictures it has, wherever they fall."""
    source = Directory(path=str(folder), **fields)
    return source.classes(), sum(len(source.split(name)) for name in SPLITS)


def test_hidden_files_and_litter_of_systems_are_ignored(photos: Path) -> None:
    before = Directory(path=str(photos)).listing_digest()
    some = next((photos / "sign0").iterdir())
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git"):
        for place in (photos, photos / "sign0"):
            (place / name).mkdir()
            shutil.copy(some, place / name / "0-checkpoint.jpg")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", f"._{some.name}"):
        (photos / "sign1" / name).write_bytes(b"\xd0\xcf\x11\xe0")
    (photos / "README.md").write_text("beside the classes, any file may lie")
    assert Directory(path=str(photos)).listing_digest() == before
    (photos / "README.md").unlink()
    unlabelled: Any = load("data", "pictures").model_validate({"path": str(photos)})
    assert len(unlabelled.measured()) == 60


def test_linked_folders_and_files_are_followed_and_circles_end(
    photos: Path, tmp_path: Path
) -> None:
    elsewhere = write_photographs(tmp_path / "disk2", classes=3, each=30)
    (photos / "sign0" / "external").symlink_to(elsewhere / "sign0")
    (photos / "cherry").symlink_to(elsewhere / "sign1")
    (photos / "sign2" / "linked.jpg").symlink_to(next((elsewhere / "sign2").iterdir()))
    assert taken(photos) == (["cherry", "sign0", "sign1", "sign2"], 60 + 30 + 30 + 1)
    (photos / "all").symlink_to(photos)
    (photos / "sign1" / "up").symlink_to(photos)
    (elsewhere / "sign0" / "back").symlink_to(photos / "sign0")
    assert taken(photos) == (["cherry", "sign0", "sign1", "sign2"], 60 + 30 + 30 + 1)


def test_what_cannot_be_read_is_counted_and_named(photos: Path) -> None:
    for number in range(12):
        (photos / "sign1" / f"{number:02d}.jpg").symlink_to(f"/nowhere/cache/{number}")
    message = refuse(photos)
    assert "12 files or folders cannot be read" in message
    assert "sign1/00.jpg (links to /nowhere/cache/0: No such file or directory)" in message
    assert "; and 2 more" in message
    with pytest.raises(UserError, match="12 files or folders cannot be read"):
        load("data", "pictures").model_validate({"path": str(photos)}).classes()


def test_a_folder_of_another_user_is_named(photos: Path, monkeypatch: Any) -> None:
    (photos / "sign1" / "theirs").mkdir(mode=0)
    monkeypatch.chdir(photos)  # nobody may not come here from /
    user = os.geteuid()
    try:
        os.seteuid(NOBODY if user == 0 else user)  # root may read every folder
        assert "1 file or folder cannot be read: sign1/theirs (Permission denied)" in refuse(Path())
    finally:
        os.seteuid(user)


def test_strangers_are_refused_by_name_or_left_out_by_name(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "sign0" / "notes.txt").write_text("apples")
    (photos / "sign1" / "labels.csv").write_text("path,label")
    (photos / "sign2" / "new.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    shutil.copy(next((photos / "sign0").glob("*.jpg")), photos / "loose.jpg")
    (photos / "grape").mkdir()
    message = refuse(photos)
    assert (
        f"3 files that are no JPEG, PNG, BMP, WebP, TIFF, AVIF or HEIC: {photos}/sign0/notes.txt; "
        in message
    )
    assert f"1 picture outside the class folders: {photos}/loose.jpg" in message
    assert f"1 class folder without a picture: {photos}/grape." in message
    assert "leave them out by `data.directory.skip_strangers=true`" in message
    assert taken(photos, skip_strangers=True) == (["sign0", "sign1", "sign2"], 60)
    assert (
        "left out 3 files that are no JPEG, PNG, BMP, WebP, TIFF, AVIF or HEIC"
        in capsys.readouterr().err
    )


def test_pictures_without_a_suffix_are_pictures(photos: Path) -> None:
    for path in (photos / "sign0").iterdir():
        path.rename(path.with_suffix(""))
    assert taken(photos) == (["sign0", "sign1", "sign2"], 60)


def test_classes_called_as_parts_are_classes_where_that_is_clear(photos: Path) -> None:
    (photos / "sign0").rename(photos / "test")
    assert taken(photos) == (["sign1", "sign2", "test"], 60)
    (photos / "sign1").rename(photos / "train")
    assert taken(photos) == (["sign2", "test", "train"], 60)  # they hold pictures, as classes do
    (photos / "test" / "deep").mkdir()
    for path in (photos / "test").glob("*.jpg"):
        path.rename(photos / "test" / "deep" / path.name)
    message = refuse(photos)
    assert (
        "has test and train, which may be parts or classes: pictures lie directly in train."
        in message
    )


def test_without_test_the_val_part_is_measured_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Ultralytics' and ImageNet's folders are used; val then comes out of train."""
    shutil.copytree(photos, tmp_path / "set" / "train")
    shutil.copytree(photos, tmp_path / "set" / "valid")
    (tmp_path / "set" / "data.yaml").write_text("names: [a, b, c]")
    source = Directory(path=str(tmp_path / "set"))
    counts = [len(source.split(name)) for name in SPLITS]
    assert counts[0] + counts[1] == 60
    assert 3 <= counts[1] <= 15
    assert counts[2] == 60
    assert all("/set/valid/" in name for name in source.split("test").names)
    assert source.measured().names == source.split("test").names
    assert "has no test: its val is the test part" in capsys.readouterr().err
    shutil.copytree(photos, tmp_path / "set" / "val")
    assert "has train and val and valid, so one part twice" in refuse(tmp_path / "set")


def test_folders_beside_the_parts_are_strangers(photos: Path, tmp_path: Path) -> None:
    for name in ("train", "test", "unlabelled"):
        shutil.copytree(photos, tmp_path / "set" / name)
    assert "60 pictures outside the class folders" in refuse(tmp_path / "set")
    assert taken(tmp_path / "set", skip_strangers=True)[1] == 120


def test_both_unicode_forms_of_a_name_are_one_class(photos: Path, tmp_path: Path) -> None:
    one, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    (photos / "sign0").rename(photos / other)
    assert taken(photos)[0] == [one, "sign1", "sign2"]
    shutil.copytree(photos, tmp_path / "set" / "train")
    shutil.copytree(photos, tmp_path / "set" / "test")
    (tmp_path / "set" / "test" / other).rename(tmp_path / "set" / "test" / one)
    assert taken(tmp_path / "set")[0] == [one, "sign1", "sign2"]
    shutil.copytree(photos / other, photos / one)
    assert "'cafe\u0301' and 'café' in" in refuse(photos) or "'café' and 'cafe\u0301' in" in refuse(
        photos
    )
    rows = [f"{path},{name}\n" for name in (one, other) for path in (photos / name).iterdir()]
    (tmp_path / "t.csv").write_text("".join(["path,label\n", *rows]))
    assert load("data", "csv").model_validate({"path": str(tmp_path / "t.csv")}).classes() == [one]


def random_pictures(classes: int, each: int, seed: int) -> Pictures:
    """Contents that no decoder sees."""
    numbers = random.Random(seed)
    contents = [numbers.randbytes(16) for _ in range(classes * each)]
    labels = [index // each for index in range(len(contents))]
    return Pictures([str(index) for index in range(len(contents))], labels, lambda i: contents[i])


def by_bytes(pictures: Pictures) -> dict[str, str]:
    return {name: split_of(bytes(pictures.read(i))) for i, name in enumerate(pictures.names)}


def by_name(parts: dict[Split, Pictures]) -> dict[str, str]:
    return {name: part for part in parts for name in parts[part].names}


def test_twenty_a_class_are_enough_and_splits_by_bytes_stand() -> None:
    """Sets that bytes alone divide well are divided so; in others each class gets each part."""
    by_content = 0
    for seed in range(20):
        pictures = random_pictures(classes=100, each=20, seed=seed)
        parts = divide("data", pictures, THREE)
        old, new = by_bytes(pictures), by_name(parts)
        in_test = {pictures.labels[int(name)] for name in old if old[name] == "test"}
        if len(in_test) == 100:
            by_content += 1
            assert new == old
        else:
            assert all(len(set(parts[name].labels)) == 100 for name in SPLITS)
            assert sum(new[name] != old[name] for name in old) <= 2 * 100 * 0.12
        require_usable("data", [str(label) for label in range(100)], parts, set())
    assert 3 <= by_content <= 12


def test_adding_pictures_moves_only_borrowed_ones() -> None:
    for seed in range(20):
        few = random_pictures(classes=10, each=20, seed=seed)
        contents = [bytes(few.read(index)) for index in range(200)]
        before = by_name(divide("data", few, THREE))
        more = random_pictures(classes=10, each=10, seed=seed + 1000)
        contents += [bytes(more.read(index)) for index in range(100)]
        labels = few.labels + more.labels
        after = by_name(
            divide("data", Pictures([*map(str, range(300))], labels, lambda i: contents[i]), THREE)  # noqa: B023
        )
        old = by_bytes(few)
        moved = [name for name in before if after[name] != before[name]]
        assert all(after[name] == old[name] or before[name] == old[name] for name in moved)
        assert len(moved) <= 10


def test_three_pictures_fall_to_three_parts_and_copies_do_not_count() -> None:
    contents = [b"a", b"b", b"c", b"a", b"a"]
    pictures = Pictures([*"01234"], [0] * 5, lambda index: contents[index])
    parts = divide("data", pictures, THREE)
    assert sorted(len(parts[name]) for name in SPLITS) == [1, 1, 3]
    alike = Pictures([*"012"], [0] * 3, lambda _: b"a")
    assert sorted(len(part) for part in divide("data", alike, THREE).values()) == [0, 0, 3]


@pytest.mark.parametrize("divided", [False, True])
def test_one_picture_in_two_classes_is_reported(photos: Path, capsys: Any, divided: bool) -> None:
    """Also as another file, turned by EXIF, say; and where the user has divided the pictures."""
    if divided:
        train, test = photos / "train", photos / "test"
        for number, path in enumerate(sorted(photos.rglob("*.jpg"))):
            target = (train if number % 4 else test) / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    some = next(path for path in sorted(photos.rglob("*.jpg")) if path.parent.name == "sign0")
    again = some.parents[1] / "sign1" / "again.png"
    Pillow.open(some).save(again)
    data = Directory(path=str(photos)).load(Image(size=32))
    with contextlib.suppress(UserError):  # of which one may be in another part, too
        require_apart("data", data.parts)
    message = capsys.readouterr().err
    assert "data: 1 picture in two classes: " in message
    assert str(again) in message
    assert str(some) in message


def test_a_table_s_picture_counts_once_whatever_paths_lead_to_it(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(photos)
    rows = write_table(photos, "path,label", "{},{}")
    table = Path(rows["path"])
    lines = table.read_text().splitlines()
    again = [f"{tmp_path}/link/{line}" for line in lines[1:]]
    table.write_text("\n".join([*lines, *again]))
    source: Any = load("data", "csv").model_validate(rows)
    assert sum(len(source.split(name)) for name in SPLITS) == 60
    table.write_text("\n".join([*lines, again[0].rpartition(",")[0] + ",other"]))
    with pytest.raises(UserError, match=r"line 62: .* is 'other', but 'sign0' in line 2"):
        load("data", "csv").model_validate(rows).split("train")


def test_shards_that_moved_from_a_remote_place_are_the_same(tmp_path: Path) -> None:
    here: Any = load("data", "tfrecord").example(tmp_path / "here")
    fields = {key: f"file://{path}" for key, path in here._locations().items()}
    there = here.changed(fields).absolute()
    shutil.copytree(tmp_path / "here", tmp_path / "moved")
    moved = there.located(tmp_path / "moved")
    assert moved.train == str(tmp_path / "moved" / "train.tfrecord")
    digests = {one.listing_digest() for one in (here, there, moved)}
    assert len(digests) == 1


def write_table(photos: Path, head: str, row: str) -> dict[str, str]:
    paths = sorted(photos.rglob("*.jpg"))
    rows = [row.format(path.relative_to(photos), path.parent.name) for path in paths]
    (photos / "t.csv").write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return {"path": str(photos / "t.csv")}


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("path;label", "{};{}"),
        ("path\tlabel", "{}\t{}"),
        ("path, label", "{}, {}"),
        ("\ufeffPath,LABEL", "{},{}"),
        ("path,label,,", "{},{},,"),
        ("id,label,path", '7,"{1}","{0}"'),
        ("path,label", "{},{}\n,\n"),
        ("path,label", "{0},{1}\n./{0},{1}"),
        ("path,label", ".\\{0},{1}\n{0},{1}"),
    ],
    ids=["semicolon", "tab", "blanks", "bom", "empty", "order", "blank rows", "twice", "Windows"],
)
def test_tables_of_other_programs_are_read(photos: Path, head: str, row: str) -> None:
    table: Any = load("data", "csv").model_validate(write_table(photos, head, row))
    assert table.classes() == ["sign0", "sign1", "sign2"]
    assert len(table.measured()) == 60


def test_rows_that_stand_twice_count_once_and_are_reported(photos: Path, capsys: Any) -> None:
    source: Any = load("data", "csv").model_validate(
        write_table(photos, "path,label", "{0},{1}\n./{0},{1}")
    )
    source.classes()
    assert "60 rows repeated, counted once: lines 3, 5, 7" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("training_set", "test_set"), ("train",)])
def test_folders_of_class_folders_are_not_taken_for_classes(
    photos: Path, names: tuple[str, ...]
) -> None:
    there = photos if len(names) == 1 else photos.parent / "all"
    for name in names:
        shutil.copytree(photos, photos.parent / "copy" / name)
    shutil.copytree(photos.parent / "copy", there, dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"holds class folders, such as sign0.*looks like a part"):
        Directory(path=str(there)).classes()


def test_a_long_table_takes_time_by_its_rows() -> None:
    """Each row of 20,000 compared with all before it took two minutes."""
    rows = [csv._Row(line, Path(f"{line}.jpg"), "a", "") for line in range(20_000)]
    started = time.process_time()
    assert csv._once("data", Path("labels.csv"), rows) == rows
    assert time.process_time() - started < 5


def test_brackets_and_wildcards_in_paths_are_names(tmp_path: Path) -> None:
    home = tmp_path / "set [2024]" / "what?*"
    for name in names("data"):
        (home / name).mkdir(parents=True)
        if name != "tfds":  # whose library takes data_dir for a pattern
            source = load("data", name).example(home / name)
            assert len(source.split("train")) >= 20
            assert source.absent() == {}


def test_records_by_pattern_below_a_name_with_brackets(tmp_path: Path) -> None:
    (tmp_path / "set [2024]").mkdir()
    source: Any = load("data", "tfrecord").example(tmp_path / "set [2024]")
    fields = source.model_dump() | {"test": f"{tmp_path}/set [2024]/t*[nt].tfrecord"}
    both = load("data", "tfrecord").model_validate(fields)
    assert len(both.split("test")) == 40
    fields["test"] = f"{tmp_path}/set [2024]/x*.tfrecord"
    assert list(load("data", "tfrecord").model_validate(fields).absent()) == ["test"]


def test_damaged_records_are_named_by_file_and_number(tmp_path: Path) -> None:
    source: Any = load("data", "tfrecord").example(tmp_path)
    path = Path(source.test)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    second = 12 + length + 4

    def message(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            source.absolute().split("test")
        return str(caught.value)

    def flipped(place: int) -> bytes:
        return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]

    assert "test.tfrecord, record 2 is damaged: its checksum is wrong" in message(
        flipped(second + 99)
    )
    assert "record 2 is damaged: its checksum is wrong" in message(flipped(second + 8))
    assert "record 1 is damaged" in message(flipped(12 + length))
    assert "record 2 is cut short" in message(whole[: second + 500])
    assert "record 2 is cut short" in message(whole[: second + 5])
    assert "or the file is no TFRecord" in message(b"path,label" * 9)
    assert "record 2 is cut short" in message(gzip.compress(whole[: second + 500]))
    for packed in (gzip.compress(whole), zlib.compress(whole)):
        for end in (20, 5000, len(packed) // 2, len(packed) - 1):
            assert "cut short" in message(packed[:end]), end


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_compressed_records_are_read(tmp_path: Path, compress: Any) -> None:
    source: Any = load("data", "tfrecord").example(tmp_path)
    path = Path(source.test)
    before = [source.split("test").read(index) for index in range(20)]
    path.write_bytes(compress(path.read_bytes()))
    after = source.absolute().split("test")
    assert [after.read(index) for index in range(20)] == before


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1:apple\n2:pear\n3:fig\n", ["apple", "pear", "fig"]),
        ("\ufeffcrane\r\ntench\r\ncrane\r\n", ["crane (0)", "tench", "crane (2)"]),
        ("cafe\u0301\nb\nc\n\n", ["café", "b", "c"]),
        ("a:b\n0:x\nc\n", ["a:b", "0:x", "c"]),
        ("a\x85b\nc\nd", ["a\x85b", "c", "d"]),
    ],
    ids=["slim", "twice", "nfd", "colons", "next line"],
)
def test_labels_files_are_read_as_they_are_meant(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert classes.read(tmp_path / "labels.txt") == names
    source: Any = load("data", "tfrecord")
    remote = {"labels": f"file://{tmp_path}/labels.txt", "first_label": int(text[0] == "1")}
    assert source(train="t", val="v", test="t", **remote)._names() == names  # by TensorFlow


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:apple\n2:pear\n", "line 2 has the number 2, where 1 is expected"),
        ("apple\n\npear\n", "line 2 is empty, which leaves a label without a name"),
        ("crane\ncrane\ncrane (0)\n", "two classes are called 'crane (0)'"),
    ],
)
def test_labels_files_that_shift_labels_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        classes.read(tmp_path / "labels.txt")


def test_what_a_source_names_and_is_not_there_is_reported_without_reading(tmp_path: Path) -> None:
    for name in ("csv", "directory", "pictures"):
        for path in (f"{tmp_path}/none", "a" * 5000, "a\0b"):
            part: Any = load("data", name).model_validate({"path": path})
            assert part.absent() == {"path": path}
            with pytest.raises(UserError):
                part.classes()


def test_a_file_is_measured_on_what_a_path_holds(photos: Path, tmp_path: Path) -> None:
    """Folders and tables, by the sources' own rules; what was perhaps trained on is called so."""
    pictures = labelled(MODEL, source_at(photos, False), ["sign2", "other", "sign1", "sign0"])
    assert Counter(pictures.labels) == {0: 20, 2: 20, 3: 20}
    assert pictures.kind == "test or training pictures"
    shutil.copytree(photos, tmp_path / "set" / "train")
    shutil.copytree(photos / "sign1", tmp_path / "set" / "valid" / "sign1")
    (tmp_path / "set" / "valid" / "sign1" / "notes.txt").write_text("")
    labels = ["sign0", "sign1", "sign2"]
    with pytest.raises(
        UserError, match=r"(?s)1 file that is no JPEG.*`--skip-strangers` of evaluate"
    ):
        labelled(MODEL, source_at(tmp_path / "set", False), labels)
    pictures = labelled(MODEL, source_at(tmp_path / "set", True), labels)
    assert (pictures.labels, pictures.kind) == ([1] * 20, "test pictures")
    table = write_table(photos, "path;label", "{};{}")["path"]
    assert len(labelled(MODEL, source_at(Path(table), False), labels)) == 60
    shutil.copytree(photos, tmp_path / "alone" / "test")
    assert labelled(MODEL, source_at(tmp_path / "alone", False), labels).kind == "test pictures"
    shutil.copytree(photos, tmp_path / "only" / "train")
    with pytest.raises(UserError, match="has train alone"):
        labelled(MODEL, source_at(tmp_path / "only", False), labels)
    with pytest.raises(UserError, match="does not exist"):
        source_at(tmp_path / "none", False)


def test_a_files_labels_are_matched_by_name_where_that_is_clear(photos: Path) -> None:
    (photos / "sign0").rename(photos / "café")
    labels = [unicodedata.normalize("NFD", "café"), "sign1", "sign2", "sign2"]
    with pytest.raises(UserError, match=r"labels 2 and 3 of my\.tflite are both 'sign2'"):
        labelled(MODEL, source_at(photos, False), labels)
    with pytest.raises(UserError, match=r"sign2 is more than one class: write sign2 \(2\) or"):
        labelled(MODEL, source_at(photos, False), [*labels[:2], "sign2 (2)", "sign2 (3)"])
    assert set(labelled(MODEL, source_at(photos, False), labels[:3]).labels) == {0, 1, 2}


def test_classes_that_look_alike_are_said(photos: Path, capsys: Any) -> None:
    (photos / "sign1").rename(photos / "Sign0")
    Directory(path=str(photos)).require_usable()
    assert "'Sign0' and 'sign0' are two classes" in capsys.readouterr().err


def test_a_part_without_pictures_is_not_measured_on(photos: Path, tmp_path: Path) -> None:
    """Labels without pictures: `max() arg is an empty sequence`."""
    rows = write_table(photos, "path,label,split", "{},{},train")
    source: Any = load("data", "csv").model_validate(rows)
    classes, parts = source.scanned
    empty = replace(parts["train"], names=[], labels=[])
    source.__dict__["scanned"] = classes, parts | {"test": empty}
    with pytest.raises(UserError, match="has no picture in test"):
        source.measured()
