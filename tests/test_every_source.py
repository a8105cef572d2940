"""Every data source gives three parts of labelled pictures; a new one is tested by standing here."""

import csv
import hashlib
import io
import os
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, complaint, write_photos
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.data import Source
from tflite_light.data._split import split_of
from tflite_light.data.directory import Directory
from tflite_light.data.sign_digits import ARCHIVE, SignDigits
from tflite_light.errors import UserError
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.examples import read
from tflite_light.pipeline.pictures import SPLITS, UNKNOWN
from tflite_light.sockets import load, names
from tflite_light.stack import tf


def directory(folder: Path) -> dict[str, Any]:
    return {"path": str(write_photos(folder / "photos", classes=3, each=20))}


def table(folder: Path) -> dict[str, Any]:
    photos = write_photos(folder / "photos", classes=3, each=20)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        rows.writerows(
            [path.relative_to(folder), path.parent.name] for path in photos.rglob("*.jpg")
        )
    return {"path": str(folder / "labels.csv")}


def tfrecord(folder: Path) -> dict[str, Any]:
    photos = write_photos(folder / "photos", classes=3, each=20)
    parts: dict[str, str] = {name: str(folder / f"{name}.tfrecord") for name in SPLITS}
    writers = {name: tf.io.TFRecordWriter(path) for name, path in parts.items()}
    for path in sorted(photos.rglob("*.jpg")):
        features = {
            "image/encoded": tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[path.read_bytes()])
            ),
            "image/class/label": tf.train.Feature(
                int64_list=tf.train.Int64List(value=[int(path.parent.name[-1]) + 1])
            ),
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        writers[split_of(path.read_bytes())].write(example.SerializeToString())
    for writer in writers.values():
        writer.close()
    (folder / "labels.txt").write_text("sign0\nsign1\nsign2\n")
    return {**parts, "labels": str(folder / "labels.txt"), "first_label": 1}


def tfds(folder: Path) -> dict[str, Any]:
    import tensorflow_datasets

    photos = write_photos(folder / "photos", classes=3, each=20)
    paths = sorted(photos.rglob("*.jpg"))
    features = tensorflow_datasets.features.FeaturesDict(
        {
            "image": tensorflow_datasets.features.Image(encoding_format="jpeg"),
            "label": tensorflow_datasets.features.ClassLabel(names=["sign0", "sign1", "sign2"]),
        }
    )

    writers = {
        "train": [
            (path, path.parent.name) for path in paths if split_of(path.read_bytes()) != "test"
        ],
        "test": [
            (path, path.parent.name) for path in paths if split_of(path.read_bytes()) == "test"
        ],
    }

    class Builder(tensorflow_datasets.core.GeneratorBasedBuilder):  # type: ignore[misc]
        name = "three_signs"
        VERSION = tensorflow_datasets.core.Version("1.0.0")
        pkg_dir_path = folder

        def _info(self) -> Any:
            return tensorflow_datasets.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager: Any) -> Any:
            return {name: self._generate_examples(pairs) for name, pairs in writers.items()}

        def _generate_examples(self, pairs: Any) -> Any:
            for number, (path, label) in enumerate(pairs):
                yield number, {"image": str(path), "label": label}

    Builder(data_dir=folder / "tfds").download_and_prepare()
    return {
        "name": "three_signs",
        "data_dir": str(folder / "tfds"),
        "train": "train[:80%]",
        "val": "train[80%:]",
    }


MAKERS = {
    "csv": table,
    "directory": directory,
    "pictures": directory,
    "sign_digits": lambda _: {},
    "synthetic": lambda _: {"count": 60, "number_of_classes": 3},
    "tfds": tfds,
    "tfrecord": tfrecord,
}


def test_every_source_is_made_here() -> None:
    assert sorted(MAKERS) == names("data")


@pytest.fixture(scope="module", params=sorted(MAKERS))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    fields = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    made: Source = load("data", request.param).model_validate(fields)
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
    total = sum(map(len, data.values()))
    assert total == (2059 if source.key == "sign_digits" else 60)


def test_every_class_is_in_train_and_test(source: Source) -> None:
    for name in ("train", "test"):
        classes = range(len(source.classes())) or [UNKNOWN]
        assert set(source.split(name).labels) == set(classes)


def test_reading_twice_gives_the_same(source: Source) -> None:
    one, other = source.split("test"), source.split("test")
    assert (one.names, one.labels) == (other.names, other.labels)
    assert np.array_equal(np.asarray(one.read(0)), np.asarray(other.read(0)))


def test_file_sources_agree_on_the_split(tmp_path: Path) -> None:
    """The same files as a folder, a table or records: the same pictures in each part."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one = load("data", "directory").model_validate(directory(tmp_path / "one"))
    two = load("data", "csv").model_validate(table(tmp_path / "two"))
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
    added = write_photos(photos.parent / "more", classes=4, each=40)
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
    assert "does not exist. Set data.directory.path" in refuse(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no class folders: it needs one for each class" in refuse(tmp_path / "empty")
    shutil.copytree(photos / "sign0", tmp_path / "lonely" / "sign0")
    assert "at least two classes are needed, found only 'sign0'" in refuse(tmp_path / "lonely")
    shutil.copytree(photos, tmp_path / "torn" / "train")
    shutil.copytree(photos, tmp_path / "torn" / "val")
    assert "has train and val, but train and test are both needed" in refuse(tmp_path / "torn")
    few = tmp_path / "few"
    shutil.copytree(photos, few)
    for path in sorted((few / "sign1").iterdir())[2:]:
        path.unlink()
    assert "class 'sign1' has 2 pictures, too few to split" in refuse(few)
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    (tmp_path / "hollow" / "b").mkdir()
    assert "class 'a' has 0 pictures" in refuse(tmp_path / "hollow")


@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("train", "test", "validation")])
def test_parts_by_other_names_are_no_classes(
    photos: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        shutil.copytree(photos, tmp_path / "divided" / name)
    told = refuse(tmp_path / "divided")
    assert f"has {' and '.join(sorted(names))}. Rename them to train, val and test" in told


@pytest.mark.parametrize("name", [b"two\nlines", b"caf\xe9"], ids=["newline", "not utf-8"])
def test_a_class_whose_name_cannot_be_written_is_refused(photos: Path, name: bytes) -> None:
    (photos / "sign1").rename(photos / os.fsdecode(name))
    assert "has characters that cannot be written. Rename it" in refuse(photos)


def test_a_table_cannot_put_a_picture_into_two_parts(photos: Path) -> None:
    paths = [path.relative_to(photos) for path in sorted(photos.rglob("*.jpg"))]
    rows = [f"{path},{path.parent},{part}" for path in paths for part in SPLITS]
    (photos / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    source: Any = load("data", "csv").model_validate({"path": str(photos / "labels.csv")})
    with pytest.raises(UserError, match=r"jpg is in both train and val. Keep it in one"):
        source.load(Image(size=32))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "ICO"])
def test_other_formats_are_no_pictures(kind: str) -> None:
    content = io.BytesIO()
    Pillow.new("RGB", (32, 32)).save(content, kind)
    with pytest.raises(ValueError, match="not a JPEG, PNG, BMP or WebP picture"):
        decode(content.getvalue())


def test_records_without_a_picture_or_a_label_are_named(tmp_path: Path) -> None:
    fields = tfrecord(tmp_path)
    features = tf.train.Features(feature={"image/class/label": tf.train.Feature()})
    empty = tf.train.Example(features=features).SerializeToString()
    for record, told in (
        (b"junk", "at byte 12 holds no tf.train.Example"),
        (empty, "image/class/label has 0 values in its int64_list, not one"),
    ):
        with tf.io.TFRecordWriter(fields["test"]) as writer:
            writer.write(record)
        source: Any = load("data", "tfrecord").model_validate(fields)
        with pytest.raises(UserError, match=told):
            source.split("test")


TABLES = {
    "picture,label\na.jpg,x\n": "the first row must name the columns path and label",
    "path,label\n": "has no rows",
    "path,label\nmissing.jpg,x\n": "line 2:",
    "path,label,split\n,x,train\n": "path and label are both needed",
    "path,label,split\nlabels.csv,x,valid\n": "split must be train, val or test, not 'valid'",
}


@pytest.mark.parametrize("text", TABLES)
def test_unfit_tables_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"labels.csv") as caught:
        load("data", "csv").model_validate({"path": str(path)}).split("train")
    assert TABLES[text] in str(caught.value)


def test_bad_data_stops_before_anything_is_written(call: Call, tiny: Path, photos: Path) -> None:
    (photos / "sign1" / "broken.jpg").write_bytes(b"\xff\xd8 not a photograph")
    change = ("--set", f"data.directory.path={photos}")
    told = complaint(call("train", tiny, *change))
    assert told.startswith("1 picture cannot be read")
    assert "broken.jpg" in told
    assert not Path("runs").exists()
    told = complaint(call("train", tiny, "--set", "data.directory.path=nowhere"))
    assert "data folder nowhere does not exist" in told
    told = complaint(call("train", tiny, "--set", "data.tfds.name=no_such_set"))
    assert "dataset no_such_set cannot be prepared" in told
    assert not Path("runs").exists()
