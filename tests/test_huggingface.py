"""`data: huggingface`: Parquet as `datasets` and the Hub write it, by folder and by name."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from conftest import Call, as_json, complaint
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.data import _parquet, _repository
from tflite_light.data._parquet import Encoded, Table
from tflite_light.data.directory import Directory
from tflite_light.data.huggingface import HuggingFace
from tflite_light.errors import UserError
from tflite_light.pipeline import memory, reading
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.pipeline.streaming import POOL
from tflite_light.runs.evaluating import source_at

NAMES = ["sign0", "sign1", "sign2"]
IMAGE: dict[str, Any] = {"_type": "Image"}
LABEL: dict[str, Any] = {"names": NAMES, "_type": "ClassLabel"}
FEATURES = {"image": IMAGE, "label": LABEL}
RECIPE = """
model: {tiny: {width: 4}}
data: {huggingface: {path: SET}}
image: {size: 32}
train: {epochs: 1, batch_size: 8, average: 0}
export: [float32]
"""


def write(
    path: Path,
    columns: dict[str, Any],
    features: Any = FEATURES,
    **options: Any,
) -> Path:
    """A Parquet file, with what `datasets` writes of its columns."""
    table = pyarrow.table(columns)
    if features:
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, **options)
    return path


def columns(photos: Path, turns: tuple[int, ...] = (0, 1, 2, 3, 4)) -> dict[str, Any]:
    """Some fifths of the photographs, as `image` and `label`."""
    paths = [
        path for number, path in enumerate(sorted(photos.rglob("*.jpg"))) if number % 5 in turns
    ]
    return {
        "image": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "label": [NAMES.index(path.parent.name) for path in paths],
    }


@pytest.fixture
def signs(photos: Path, tmp_path: Path) -> Path:
    """48 photographs in train, 12 in test."""
    for part, turns in (("train", (0, 1, 2, 3)), ("test", (4,))):
        write(tmp_path / f"signs/data/{part}-00000-of-00001.parquet", columns(photos, turns))
    return tmp_path / "signs"


def refuse(**fields: Any) -> str:
    with pytest.raises(UserError) as caught:
        HuggingFace(**fields).load(Image(size=32))
    return str(caught.value)


def sizes(source: HuggingFace) -> list[int]:
    return [len(source.split(name)) for name in SPLITS]


def test_the_same_files_as_a_folder_give_the_same_tensors(
    signs: Path, photos: Path, tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))):
        target = tmp_path / "folder" / ("test" if number % 5 == 4 else "train") / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        (target / path.name).write_bytes(path.read_bytes())
    one, other = HuggingFace(path=str(signs)), Directory(path=str(tmp_path / "folder"))
    assert one.classes() == other.classes() == NAMES
    mine, theirs = one.load(Image(size=48)), other.load(Image(size=48))
    assert sizes(one) == [43, 5, 12]
    for name in SPLITS:
        assert np.array_equal(getattr(mine, name).cached, getattr(theirs, name).cached)
        assert np.array_equal(getattr(mine, name).labels, getattr(theirs, name).labels)


def test_one_split_is_divided_as_a_folder_is(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "signs/data/train-00000-of-00001.parquet", columns(photos))
    source, folder = HuggingFace(path=str(tmp_path / "signs")), Directory(path=str(photos))
    for name in SPLITS:
        mine, theirs = source.split(name), folder.split(name)
        contents = [
            {hashlib.sha256(bytes(one.read(i))).digest() for i in range(len(one))}
            for one in (mine, theirs)
        ]
        assert contents[0] == contents[1]
        assert len(mine) == len(theirs)
    assert source.measured().kind == "test or training pictures"


def test_without_test_validation_is_measured_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, turns in (("train", (0, 1, 2, 3)), ("validation", (4,))):
        write(tmp_path / f"signs/data/{part}-00000-of-00001.parquet", columns(photos, turns))
    source = HuggingFace(path=str(tmp_path / "signs"))
    assert sizes(source) == [43, 5, 12]
    assert "has no test: its val is the test part" in capsys.readouterr().err
    named = HuggingFace(path=str(tmp_path / "signs"), train="train", test="validation")
    assert named.listing_digest() == source.listing_digest()


@pytest.mark.parametrize("struct", [False, True])
def test_views_are_columns_like_others(photos: Path, tmp_path: Path, struct: bool) -> None:
    """Polars and DuckDB write strings and bytes so."""
    held = columns(photos)
    content, view = [one["bytes"] for one in held["image"]], pyarrow.binary_view()
    images = (
        pyarrow.array([{"bytes": one} for one in content], pyarrow.struct([("bytes", view)]))
        if struct
        else pyarrow.array(content, view)
    )
    labels = pyarrow.array([NAMES[label] for label in held["label"]], pyarrow.string_view())
    write(tmp_path / "signs/train.parquet", {"image": images, "label": labels}, None)
    source = HuggingFace(path=str(tmp_path / "signs"))
    assert source.classes() == NAMES
    assert {bytes(part.read(i)) for part in source.parts.values() for i in range(len(part))} == {
        *content
    }


def test_a_proposed_recipe_names_a_column_of_groups(signs: Path, call: Call) -> None:
    assert call("new", signs, "-o", "my.yaml").exit_code == 0
    assert "# group: patient  # where a column of that name says" in Path("my.yaml").read_text()


def test_blanks_around_a_label_make_no_class_of_their_own(photos: Path, tmp_path: Path) -> None:
    held = columns(photos)
    held["label"] = [
        f" {NAMES[label]} "[number % 2 :] for number, label in enumerate(held["label"])
    ]
    write(tmp_path / "signs/data/train-00000-of-00001.parquet", held, None)
    assert HuggingFace(path=str(tmp_path / "signs")).classes() == NAMES


def test_classes_come_in_the_order_of_their_labels(photos: Path, tmp_path: Path) -> None:
    found = columns(photos)
    label = {"names": ["zebra", "ant", "mole"], "_type": "ClassLabel"}
    for name, values, features, classes in (
        ("named", found["label"], {"image": IMAGE, "label": label}, ["zebra", "ant", "mole"]),
        ("text", [["m", "a", "z"][i] for i in found["label"]], None, ["a", "m", "z"]),
        ("numbers", [[10, 9, 2][i] for i in found["label"]], None, ["2", "9", "10"]),
    ):
        path = write(tmp_path / name / "all.parquet", found | {"label": values}, features)
        source = HuggingFace(path=str(path.parent))
        assert source.classes() == classes
        assert HuggingFace(path=str(path)).classes() == classes
        train = source.split("train")
        row = int(train.names[0].rpartition(" row ")[2]) - 1
        assert bytes(train.read(0)) == found["image"][row]["bytes"]
        spoken = label["names"][values[row]] if name == "named" else str(values[row])
        assert classes[train.labels[0]] == spoken


CARD = """---
license: mit
dataset_info:
- config_name: large
  features:
  - {name: photo, dtype: image}
  - name: kind
    dtype: {class_label: {names: {'0': b, '1': a, '2': c}}}
- config_name: small
  features:
  - name: kind
    dtype: {class_label: {names: [x, y, z]}}
configs:
- config_name: large
  default: true
  data_files:
  - {split: train, path: "a/b/c/big/one-*"}
  - {split: test, path: ["./a/b/c/big/two.parquet"]}
- {config_name: small, data_files: "little.parquet"}
---
# A card
"""


def test_a_card_says_which_files_are_which_and_what_they_hold(photos: Path, tmp_path: Path) -> None:
    for file, turns in (
        ("a/b/c/big/one-a.parquet", (0, 1)),
        ("a/b/c/big/one-b.parquet", (2, 3)),
        ("a/b/c/big/two.parquet", (4,)),
        ("little.parquet", (0,)),
    ):
        found = columns(photos, turns)
        write(tmp_path / "set" / file, {"photo": found["image"], "kind": found["label"]}, None)
    (tmp_path / "set" / "README.md").write_text(CARD)
    source = HuggingFace(path=str(tmp_path / "set"))
    assert source.classes() == ["b", "a", "c"]
    assert sizes(source) == [43, 5, 12]
    small = HuggingFace(path=str(tmp_path / "set"), config="small", label="kind")
    assert (small.classes(), sum(sizes(small))) == (["x", "y", "z"], 12)
    message = refuse(path=str(tmp_path / "set"), config="huge")
    assert "has no configuration 'huge'; it has large, small.\nhint: Set data.hugg" in message


def test_what_a_card_names_and_is_not_there_is_refused(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in ("train-a", "train-b"):
        write(folder / f"data/{name}.parquet", columns(photos, (0, 1)))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - {split: train, path: [data/train-a*, data/train-b*]}\n"
        "  - {split: test, path: data/test-*}\n---\n"
    )
    message = refuse(path=str(folder))
    assert "set holds no file of test (data/test-*), which its card (README.md) names." in message
    assert "\nhint: Fetch the rest, or set data.huggingface.train, val and test" in message
    assert sum(sizes(HuggingFace(path=str(folder), train="train"))) == 48
    (folder / "data/train-b.parquet").unlink()
    assert "holds no file of train (data/train-b*), which" in refuse(
        path=str(folder), train="train"
    )


def numbered(kind: str, names: str) -> str:
    return (
        f"---\ndataset_info:\n  features:\n  - name: {kind}\n"
        f"    dtype: {{class_label: {{names: {names}}}}}\n---\n"
    )


def test_classes_of_a_card_come_by_their_numbers(photos: Path, tmp_path: Path) -> None:
    """The Hub writes them sorted as text."""
    found = columns(photos) | {"label": [i % 12 for i in range(60)]}
    write(tmp_path / "set/train.parquet", found, None)
    order = sorted(range(12), key=str)
    card = tmp_path / "set/README.md"
    card.write_text(numbered("label", f"{{{', '.join(f'{i!r}: c{i}' for i in order)}}}"))
    assert HuggingFace(path=str(tmp_path / "set")).classes() == [f"c{i}" for i in range(12)]
    for names, lost in (("{'0': a, '2': b}", "1"), ("{x: a, 'y': b}", "0, 1"), ("{1: a}", "0")):
        card.write_text(numbered("label", names))
        message = refuse(path=str(tmp_path / "set"))
        assert f"set (README.md) has no name for class {lost} of column label; it" in message
        assert "\nhint: Number the " in message
    card.write_text(numbered("label", "3"))
    assert len(HuggingFace(path=str(tmp_path / "set")).classes()) == 12


def test_classes_are_those_of_the_configuration_that_is_read(photos: Path, tmp_path: Path) -> None:
    for folder in ("large", "small"):
        write(tmp_path / f"set/{folder}/train.parquet", columns(photos), None)
    info = "".join(
        f"- config_name: {config}\n  features:\n  - name: label\n"
        f"    dtype: {{class_label: {{names: [{names}]}}}}\n"
        for config, names in (("large", "a, b, c"), ("small", "x, y, z"))
    )
    (tmp_path / "set/README.md").write_text(
        f"---\ndataset_info:\n{info}configs:\n"
        "- {config_name: large, default: true, data_files: large/*}\n"
        "- {config_name: small, data_files: small/*}\n---\n"
    )
    assert HuggingFace(path=str(tmp_path / "set")).classes() == ["a", "b", "c"]
    (tmp_path / "set/large/train.parquet").unlink()
    assert HuggingFace(path=str(tmp_path / "set")).classes() == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*train.parquet", ["my-train.parquet", "train.parquet"]),
        ("./train.parquet", ["train.parquet"]),
        ("**/train.parquet", ["a/b/train.parquet", "a/train.parquet", "train.parquet"]),
        ("a/**/train.parquet", ["a/b/train.parquet", "a/train.parquet"]),
        ("a/**", ["a/b/train.parquet", "a/train.parquet"]),
        ("*/train.parquet", ["a/train.parquet"]),
        ("[!t]*.parquet", ["my-train.parquet"]),
    ],
)
def test_patterns_of_a_card_are_read_as_the_hub_reads_them(
    pattern: str, files: list[str], photos: Path, tmp_path: Path
) -> None:
    for file in ("a/b/train.parquet", "a/train.parquet", "my-train.parquet", "train.parquet"):
        write(tmp_path / "set" / file, columns(photos))
    (tmp_path / "set/README.md").write_text(f"---\nconfigs:\n- data_files: '{pattern}'\n---\n")
    _, parts = HuggingFace(path=str(tmp_path / "set")).scan()
    found = {name.partition(", row ")[0] for name in parts["all"].names}
    assert sorted(found) == [f"{tmp_path}/set/{file}" for file in files]


@pytest.mark.parametrize(
    ("file", "config", "split"),
    [
        ("data/train-00000-of-00002.parquet", "default", "train"),
        ("data/validation-00000-of-00001-5a3f0c.parquet", "default", "validation"),
        ("plain_text/test-00000-of-00001.parquet", "plain_text", "test"),
        ("cifar10/train/0000.parquet", "cifar10", "train"),
        ("default/partial-train/0000.parquet", "default", "partial-train"),
        ("test/any name.parquet", "default", "test"),
        ("train/data-00000-of-00001.parquet", "default", "train"),
        ("my_test_2.parquet", "default", "test"),
        ("contest.parquet", "default", "train"),
        ("data/0000.parquet", "default", "train"),
    ],
)
def test_files_are_of_splits_by_their_names(file: str, config: str, split: str) -> None:
    assert _repository._by_names([file]) == {config: {split: [file]}}


def test_files_of_a_clone_that_are_no_data_are_ignored(signs: Path, photos: Path) -> None:
    before = HuggingFace(path=str(signs)).listing_digest()
    (signs / ".git" / "lfs").mkdir(parents=True)
    write(signs / ".git" / "lfs" / "train.parquet", columns(photos, (0,)))
    (signs / "README.md").write_text("# no head")
    (signs / "LICENSE").write_text("MIT")
    (signs / "data" / "up").symlink_to(signs)
    (signs / "data").rename(signs.parent / "disk2")
    (signs / "data").symlink_to(signs.parent / "disk2")
    assert HuggingFace(path=str(signs)).listing_digest() == before


def test_unfit_folders_are_refused(signs: Path, photos: Path, tmp_path: Path) -> None:
    typed = f"in {Path.cwd()}, where the command is typed.\nhint: Set data.huggingface.path"
    assert f"nowhere does not exist {typed}" in refuse(path="nowhere")
    assert "photos holds no .parquet file.\nhint: It needs such as data/train" in refuse(
        path=str(photos)
    )
    assert "has no split 'valid'; it has test, train.\nhint: Set data.huggingface.train" in refuse(
        path=str(signs), train="train", val="valid"
    )
    train = signs / "data/train-00000-of-00001.parquet"
    whole = train.read_bytes()
    train.write_bytes(whole[:-100])
    message = refuse(path=str(signs))
    assert "data/train-00000-of-00001.parquet cannot be read as Parquet: " in message
    assert message.endswith("hint: Fetch or write the file again.")
    train.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    assert "is a pointer of Git LFS in place of the file.\nhint: `git lfs pull`" in refuse(
        path=str(signs)
    )
    train.rename(signs / "data/train-00002-of-00003.parquet")
    assert "lacks 2 files of 3: data/train-00000, data/train-00001-of-00003.parquet." in refuse(
        path=str(signs)
    )
    for name in ("train", "extra"):
        write(tmp_path / f"more/{name}-00000-of-00001.parquet", columns(photos))
    assert "more: extra may be any part.\nhint: Set data.huggingface.train, val" in refuse(
        path=str(tmp_path / "more")
    )
    for name in ("train", "val", "validation"):
        write(tmp_path / f"twice/{name}.parquet", columns(photos))
    assert "has train, val, validation, so one part twice" in refuse(path=str(tmp_path / "twice"))
    for name in ("a", "b"):
        write(tmp_path / f"two/{name}/train-00000-of-00001.parquet", columns(photos))
    assert "has several configurations: a, b.\nhint: Set data.huggingface.config" in refuse(
        path=str(tmp_path / "two")
    )


def test_unfit_columns_are_refused(photos: Path, tmp_path: Path) -> None:
    found = columns(photos)
    other = {"names": NAMES[::-1], "_type": "ClassLabel"}
    cases: list[tuple[dict[str, Any], Any, dict[str, str], str]] = [
        (found | {"mask": found["image"]}, None, {}, "pictures, and has 2 of them: image, mask."),
        ({"label": found["label"]}, None, {}, "a column of pictures, and has none; it has label."),
        ({"image": found["image"]}, None, {}, "a column of labels, and has none; it has image."),
        (
            found | {"fine": found["label"]},
            FEATURES | {"fine": other},
            {},
            "needs a column of labels, and has 2 of them: label, fine.",
        ),
        (found, FEATURES, {"label": "kind"}, "has no column 'kind'; it has image, label."),
        (found, FEATURES, {"image": "label"}, "column label holds int64, not encoded pictures."),
        (found | {"label": [[1]] * 60}, None, {}, "holds list<element: int64>, not one class"),
        (found, FEATURES, {"group": "who"}, "has no column 'who'; it has image, label."),
        (
            found | {"who": ["x"] * 59 + [None]},
            FEATURES,
            {"group": "who"},
            "1 picture without a who, which is the column of the groups: {}, row 60.",
        ),
        (
            found | {"label": [-1, None, 3, *found["label"][3:]]},
            FEATURES,
            {},
            "3 pictures without a class by column label: {0}, row 1 (-1); {0}, row 2 (None); "
            "{0}, row 3 (3).",
        ),
    ]
    for number, (held, features, fields, message) in enumerate(cases):
        path = write(tmp_path / str(number) / "train.parquet", held, features)
        assert message.format(path) in refuse(path=str(path.parent), **fields)
    write(tmp_path / "0" / "test.parquet", found, {"image": IMAGE, "label": other})
    write(tmp_path / "0" / "train.parquet", found)
    assert "column label has other classes than in " in refuse(path=str(tmp_path / "0"))
    text = found | {"label": [NAMES[label] for label in found["label"]]}
    write(tmp_path / "1" / "test.parquet", text, None)
    write(tmp_path / "1" / "train.parquet", found, None)
    message = refuse(path=str(tmp_path / "1"))
    assert "1/test.parquet: column label holds string, but int64 in " in message
    assert "1/train.parquet.\nhint: Write the labels of all files as numbers, or all" in message


def test_features_that_are_no_table_are_none(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "set/train.parquet", columns(photos), [IMAGE, LABEL])
    assert HuggingFace(path=str(tmp_path / "set")).classes() == ["0", "1", "2"]


def test_one_of_several_columns_is_chosen(photos: Path, tmp_path: Path) -> None:
    found = columns(photos)
    twice = found | {"mask": [{"bytes": b"", "path": ""}] * 60, "coarse": [0, 1] * 30}
    coarse = {"names": ["x", "y"], "_type": "ClassLabel"}
    write(tmp_path / "set/train.parquet", twice, FEATURES | {"mask": IMAGE, "coarse": coarse})
    source = HuggingFace(path=str(tmp_path / "set"), image="image", label="coarse")
    assert source.classes() == ["x", "y"]
    assert bytes(source.split("test").read(0)).startswith(b"\xff\xd8")


def test_files_may_keep_pictures_with_or_without_their_paths(
    signs: Path, photos: Path, tmp_path: Path
) -> None:
    before = HuggingFace(path=str(signs)).load(Image(size=32)).test
    found = columns(photos, (4,))
    bare = found | {"image": [one["bytes"] for one in found["image"]]}
    write(signs / "data/test-00000-of-00001.parquet", bare, None)
    after = HuggingFace(path=str(signs)).load(Image(size=32)).test
    assert np.array_equal(before.pixels(np.arange(12)), after.pixels(np.arange(12)))


def test_bad_data_stops_a_training_before_anything_is_written(
    call: Call, signs: Path, photos: Path
) -> None:
    held = columns(photos, (4,)) | {"label": [-1] * 12}
    write(signs / "data/test-00000-of-00001.parquet", held)
    Path("my.yaml").write_text(RECIPE.replace("SET", str(signs)))
    message = complaint(call("train", "my.yaml"))
    assert message.startswith(f"data {signs}: 12 pictures without a class by column label: ")
    assert "row 1 (-1); " in message
    assert "\nhint: Of a split without labels set data.huggingface.train, val and test" in message
    assert not Path("runs").exists()


def test_one_person_lies_in_one_part(photos: Path, tmp_path: Path) -> None:
    found = columns(photos)
    write(tmp_path / "set/train.parquet", found | {"who": [i % 10 for i in range(60)]})
    source = HuggingFace(path=str(tmp_path / "set"), group="who")
    assert [len(set(source.split(name).groups or ())) for name in SPLITS] == [7, 1, 2]
    assert sizes(source) == [42, 6, 12]


def test_pictures_that_are_broken_or_not_there_are_named(photos: Path, tmp_path: Path) -> None:
    found = columns(photos)
    found["image"][7] = {"bytes": b"\xff\xd8 no picture", "path": "a.jpg"}
    found["image"][8] = {"bytes": None, "path": None}
    for part in ("train", "test"):
        write(tmp_path / f"set/{part}.parquet", found if part == "test" else columns(photos))
    message = refuse(path=str(tmp_path / "set"))
    assert message.startswith("2 pictures cannot be read: ")
    assert "set/test.parquet, row 8 (" in message
    assert "set/test.parquet, row 9 (the row holds no picture)" in message
    data = HuggingFace(path=str(tmp_path / "set"), skip_broken=True).load(Image(size=32))
    assert np.array_equal(data.test.sized(7), data.test.sized(9))


def test_rows_without_a_picture_are_broken_ones_where_a_split_is_divided(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = columns(photos)
    found["image"][5] = None
    found["image"][55] = {"bytes": None, "path": "gone.jpg"}
    path = write(tmp_path / "set/train.parquet", found)
    assert "1 file or folder cannot be read: " in refuse(path=str(path.parent))  # which is named
    found["image"][55] = None
    write(path, found)
    message = refuse(path=str(path.parent))
    assert message.startswith("2 pictures cannot be read: ")
    assert "row 56 (the row holds no picture)" in message
    assert "\nhint: Repair or remove them, or have others of their class stand in" in message
    data = HuggingFace(path=str(path.parent), skip_broken=True).load(Image(size=32))
    assert sum(map(len, (data.train, data.val, data.test))) == 60
    said = capsys.readouterr().err
    assert "row 6 (the row holds no picture)" in said
    assert "in two classes" not in said


def test_rows_that_name_files_stand_for_them(photos: Path, tmp_path: Path) -> None:
    """As `Dataset.to_parquet` writes a folder's; not those of a dataset fetched by name."""
    found = columns(photos)
    paths = sorted(photos.rglob("*.jpg"))
    held = found | {"image": [{"bytes": None, "path": str(path)} for path in paths]}
    write(tmp_path / "set/train.parquet", held)
    write(tmp_path / "whole/train.parquet", found)
    source = HuggingFace(path=str(tmp_path / "set")).load(Image(size=32))
    whole = HuggingFace(path=str(tmp_path / "whole")).load(Image(size=32))
    every = np.arange(len(whole.train))
    assert np.array_equal(source.train.pixels(every), whole.train.pixels(every))
    paths[0].unlink()
    message = refuse(path=str(tmp_path / "set"))
    assert f"row 1 (the row holds no picture, but names {paths[0]}: No such file" in message
    table = Table.at(tmp_path / "set/train.parquet", "t")
    with pytest.raises(OSError, match=r"the row holds no picture$"):
        Encoded([table], "image").read(1)


def groups_of(path: Path) -> list[_parquet._Group]:
    return Encoded([Table.at(path, "t")], "image")._groups


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pictures_are_read_by_row_groups_whatever_they_are_written_as(
    photos: Path, tmp_path: Path, compression: str, dictionary: bool
) -> None:
    found = columns(photos)
    found["image"][30] = None
    options = {"row_group_size": 8, "data_page_size": 5000, "use_dictionary": dictionary}
    path = write(tmp_path / "t.parquet", found, compression=compression, **options)
    encoded = Encoded([Table.at(path, "t")], "image")
    order = [index for index in np.random.default_rng(0).permutation(60).tolist() if index != 30]
    for _ in range(2):
        assert [encoded.read(index) for index in order] == [
            found["image"][index]["bytes"] for index in order
        ]
    with pytest.raises(OSError, match="the row holds no picture"):
        encoded.read(30)
    in_place = compression == "none" and not dictionary
    assert [group.places is not None for group in encoded._groups] == [in_place] * 8
    assert bool(encoded._held) is not in_place


def test_each_row_group_is_read_once_by_many_threads(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 groups of 8 pictures; where they lie as they are, no group stays in memory."""
    found, read = columns(photos), Counter[int]()
    values = _parquet._Group.values

    def counted(group: _parquet._Group) -> Any:
        read[group.number] += 1
        return values(group)

    monkeypatch.setattr(_parquet._Group, "values", counted)
    for compression in ("none", "snappy"):
        read.clear()
        path = write(
            tmp_path / "t.parquet", found, row_group_size=8, compression=compression,
            use_dictionary=["label"],
        )  # fmt: skip
        encoded = Encoded([Table.at(path, "t")], "image")
        list(POOL.map(encoded.read, [*range(60), *reversed(range(60))]))
        assert read == dict.fromkeys(range(8), 1)
        assert len(encoded._held) == (0 if compression == "none" else 8)


def test_pictures_of_compressed_files_go_into_a_temporary_one_where_they_are_many(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = columns(photos)
    found["image"][30] = None
    path = write(tmp_path / "t.parquet", found, row_group_size=6, compression="snappy")
    monkeypatch.setattr(_parquet, "HELD", 50_000)
    encoded = Encoded([Table.at(path, "t")], "image")
    for index in np.random.default_rng(1).permutation(60).tolist():
        if index != 30:
            assert encoded.read(index) == found["image"][index]["bytes"]
    with pytest.raises(OSError, match="holds no picture"):
        encoded.read(30)
    assert not encoded._held
    assert encoded._copy
    assert encoded._copy.seek(0, 2) == sum(len(one["bytes"]) for one in found["image"] if one)


def test_row_groups_in_memory_are_bounded_where_the_disk_is_full(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    found = columns(photos)
    path = write(tmp_path / "t.parquet", found, row_group_size=6, compression="snappy")
    most = 3 * max(group.values().nbytes for group in groups_of(path))
    monkeypatch.setattr(_parquet, "HELD", most)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    encoded = Encoded([Table.at(path, "t")], "image")
    for index in np.random.default_rng(1).permutation(60).tolist():
        assert encoded.read(index) == found["image"][index]["bytes"]
        assert sum(one.nbytes for one in encoded._held.values()) <= most
    assert 2 <= len(encoded._held) <= 5
    assert capsys.readouterr().err.count("(TMPDIR places it): No space left on device\n") == 1


def test_streamed_pictures_are_those_kept_in_memory(
    signs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = HuggingFace(path=str(signs)).load(Image(size=32))
    monkeypatch.setattr(memory, "limit", lambda: 1000)
    monkeypatch.setattr(reading, "FEW", 10)  # so that ends are looked at first
    streamed = HuggingFace(path=str(signs)).load(Image(size=32))
    assert streamed.train.cached is None
    assert streamed.train.digest() == kept.train.digest()
    assert np.array_equal(streamed.train.pixels(np.arange(43)), kept.train.pixels(np.arange(43)))


def test_what_changes_is_noticed_and_a_move_is_not(
    signs: Path, photos: Path, tmp_path: Path
) -> None:
    before = HuggingFace(path=str(signs)).listing_digest()
    moved = signs.rename(tmp_path / "moved [1]")
    assert HuggingFace(path=str(moved)).listing_digest() == before
    path = moved / "data/test-00000-of-00001.parquet"
    found = columns(photos, (4,))
    changes: list[dict[str, Any]] = [
        found | {"label": found["label"][::-1]},
        found | {"image": [*found["image"][1:], {"bytes": b"other", "path": ""}]},
        {key: values[:-1] for key, values in found.items()},
    ]
    for changed in changes:
        write(path, changed)
        assert HuggingFace(path=str(moved)).listing_digest() != before
    write(path, found)
    assert HuggingFace(path=str(moved)).listing_digest() == before


def test_a_source_has_a_name_or_a_path(call: Call, tiny: Path) -> None:
    recipe = tiny.read_text().replace(
        "synthetic: {count: 120, number_of_classes: 3, side: 40}", "X"
    )
    for fields, message in (
        ("huggingface: {}", "data.huggingface: needs a name (of the Hub) or a path (of a folder)"),
        ("huggingface: {name: a/b, path: c}", "needs a name (of the Hub) or a path (of a folder)"),
        ("huggingface: {path: c, revision: d}", "a revision is of a name; check it out"),
        ("huggingface: {path: nowhere}", "data.huggingface.path: nowhere does not exist"),
    ):
        tiny.write_text(recipe.replace("X", fields))
        assert message in complaint(call("check", tiny))


def test_the_extra_is_named_where_it_is_not_installed(
    signs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for fields in ({"path": str(signs)}, {"name": "someone/signs"}):
        assert refuse(**fields).endswith("hint: `pip install 'tflite-light[huggingface]'`")


def test_a_training_from_parquet_is_measured_again_and_notices_other_pictures(
    call: Call, signs: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text(RECIPE.replace("SET", str(signs)))
    assert call("check", "my.yaml").exit_code == 0
    trained = as_json(call("train", "my.yaml", "--json"))
    assert trained["rows"]
    file = "runs/my/exports/float32.tflite"
    for data in (signs, signs / "data/test-00000-of-00001.parquet"):
        assert isinstance(source_at(data, False), HuggingFace)
        found = as_json(call("evaluate", file, "--data", data, "--json"))
        assert found["rows"][0]["top1"] == trained["rows"][0]["top1"]
    moved = signs.rename(tmp_path / "elsewhere")
    assert "does not exist" in complaint(call("evaluate", "runs/my"))
    again = as_json(call("evaluate", "runs/my", "--data", moved, "--json"))
    assert again["rows"][0]["top1"] == trained["rows"][0]["top1"]
    moved.rename(signs)
    path, held = signs / "data/test-00000-of-00001.parquet", columns(photos, (4,))
    write(path, {key: values[:-1] for key, values in held.items()})
    message = complaint(call("evaluate", "runs/my"))
    assert "has other pictures than runs/my was trained on: " in message
    assert "test 12 then, 11 now." in message
    other = bytearray(held["image"][0]["bytes"])
    other[len(other) // 2] ^= 1  # as large as before
    held["image"][0]["bytes"] = bytes(other)
    write(path, held)
    message = complaint(call("evaluate", "runs/my"))
    assert "test pictures hold other bytes than runs/my was trained on, or come in" in message


def test_what_is_typed_as_data_is_not_told_to_set_fields(photos: Path, signs: Path) -> None:
    write(signs / "data/extra-00000-of-00001.parquet", columns(photos, (0,)))
    with pytest.raises(UserError, match="extra may be any part") as caught:
        source_at(signs, False).classes()
    assert caught.value.hint.startswith(
        "For `--data` name what leaves no choice: a folder below it, or one .parquet file."
    )
    one = source_at(signs / "data/test-00000-of-00001.parquet", False)
    assert len(one.measured()) == 12
    assert "hint: Set data.huggingface.train" in refuse(path=str(signs))


def test_a_folder_of_pictures_beside_a_table_in_parquet_stays_one(
    photos: Path, signs: Path
) -> None:
    write(photos / "metadata.parquet", {"a": [1]}, None)
    assert isinstance(source_at(photos, False), Directory)
    (signs / "assets").mkdir()
    Pillow.new("RGB", (8, 8)).save(signs / "assets" / "figure.png")
    assert isinstance(source_at(signs, False), HuggingFace)


SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub as one dataset needs: `someone/signs`, which `root` holds."""

    root: Path
    fetched: list[str]
    broken = ""  # a file that cannot be had

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        files = sorted(
            p.relative_to(self.root).as_posix() for p in self.root.rglob("*.*") if p.is_file()
        )
        if not path.startswith(("/api/datasets/someone/signs", "/datasets/someone/signs")):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            tree = [
                {
                    "type": "file",
                    "path": name,
                    "size": (self.root / name).stat().st_size,
                    "oid": "0" * 40,
                }
                for name in files
            ]
            self._send(200, json.dumps(tree).encode(), {})
        elif path.startswith("/api/"):
            if path.rpartition("/revision/")[2] not in (path, "main", SHA):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            about = {
                "id": "someone/signs",
                "sha": SHA,
                "siblings": [{"rfilename": n} for n in files],
            }
            self._send(200, json.dumps(about).encode(), {})
        else:
            name = path.split("/", 6)[6]
            if name == self.broken:
                self._send(403, b"{}", {})
                return
            content = (self.root / name).read_bytes()
            if self.command == "GET":
                self.fetched.append(name)
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._send(200, content, {"X-Repo-Commit": SHA, "ETag": etag})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(signs: Path, photos: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    write(signs / "other" / "train-00000-of-00001.parquet", columns(photos, (0,)))
    Hub.root, Hub.fetched, Hub.broken = signs, [], ""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


READ = """
import json, sys
from tflite_light.data.huggingface import HuggingFace
from tflite_light.errors import UserError
try:
    source = HuggingFace(**json.loads(sys.argv[1]))
    print(json.dumps([source.classes(), len(source.split("test")), source.listing_digest()]))
except UserError as error:
    print(error)
"""


def by_name(port: int, cache: Path, fields: dict[str, str], **environment: str) -> str:
    """What a process of its own says of a dataset, since the Hub's library reads its settings once."""
    there = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(fields)],
        env=os.environ | there | {"HF_HUB_DISABLE_XET": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_dataset_by_name_is_fetched_once_and_then_read_without_a_network(
    hub: http.server.ThreadingHTTPServer, signs: Path, tmp_path: Path
) -> None:
    port, cache = hub.server_address[1], tmp_path / "cache"
    fields = {"name": "someone/signs", "config": "default"}
    offline = by_name(port, cache, fields, TFLITE_LIGHT_OFFLINE="1")
    assert "dataset someone/signs is not in the cache" in offline
    assert "TFLITE_LIGHT_OFFLINE is set.\nhint: `hf download --repo-type dataset" in offline
    assert Hub.fetched == []
    clone = HuggingFace(path=str(signs), config="default")
    expected = [NAMES, 12, clone.listing_digest()]
    assert json.loads(by_name(port, cache, fields)) == expected
    assert sorted(Hub.fetched) == [f"data/{n}-00000-of-00001.parquet" for n in ("test", "train")]
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}, {"TFLITE_LIGHT_OFFLINE": "1"}):
        assert json.loads(by_name(port, cache, fields, **environment)) == expected
    assert len(Hub.fetched) == 2
    assert json.loads(by_name(9, cache, fields)) == expected  # nobody listens on port 9
    online = {"HF_HUB_OFFLINE": "0", "TFLITE_LIGHT_OFFLINE": "0"}
    assert "the Hub gave " in by_name(9, tmp_path / "empty", fields, **online)


def test_splits_that_were_not_fetched_are_named_without_a_network(
    hub: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    port, cache = hub.server_address[1], tmp_path / "cache"
    fields = {"name": "someone/signs", "config": "default"}
    train = by_name(port, cache, fields | {"train": "train"})
    assert by_name(9, cache, fields | {"train": "train"}) == train
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}, {"TFLITE_LIGHT_OFFLINE": "1"}):
        message = by_name(9, cache, fields, **environment)
        assert (
            "the cache of the Hub's programs lacks 1 file of dataset someone/signs: "
            "data/test-00000-of-00001.parquet, and " in message
        )
        assert "hint: `hf download --repo-type dataset someone/signs` fetches it" in message


def test_an_interrupted_fetch_is_not_taken_for_a_dataset(
    hub: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    port, cache = hub.server_address[1], tmp_path / "cache"
    fields = {"name": "someone/signs", "config": "default"}
    Hub.broken = "data/test-00000-of-00001.parquet"
    message = by_name(port, cache, fields)
    assert "the fetching of dataset someone/signs was interrupted: " in message
    assert message.endswith("hint: Run the command again: what has come stays.")
    Hub.broken = ""
    assert json.loads(by_name(port, cache, fields))[:2] == [NAMES, 12]
    assert len(Hub.fetched) == 2


def test_names_and_revisions_that_are_not_there_are_named(
    hub: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    port = hub.server_address[1]
    for fields, message in (
        ({"name": "someone/else"}, "the Hub has no dataset someone/else, or none that may be read"),
        ({"name": "../photos"}, "'../photos' is no name of a dataset.\nhint: They are written"),
        ({"name": "someone/signs", "revision": "v9"}, "someone/signs has no revision 'v9'."),
        ({"name": "someone/signs", "config": "big"}, "no configuration 'big'; it has default, ot"),
        ({"name": "someone/signs", "config": "default", "train": "x"}, "has no split 'x'; it has"),
    ):
        assert message in by_name(port, tmp_path / "cache", fields)
    assert Hub.fetched == []


def test_a_run_on_a_name_goes_on_with_a_folder(signs: Path) -> None:
    named = HuggingFace(name="someone/signs", revision="main", config="default")
    moved = named.located(signs)
    assert (moved.name, moved.path, moved.config) == (None, str(signs), "default")
    assert named.relative(["someone/signs/data/a.parquet, row 1"]) == ["data/a.parquet, row 1"]


def test_a_number_names_the_same_group_in_every_file(photos: Path, tmp_path: Path) -> None:
    """pandas writes a column of numbers with a gap as 1.0, which was another patient than 1."""
    for part, turns, kind in (("train", (0, 1, 2, 3), int), ("test", (4,), float)):
        held = columns(photos, turns)
        held["patient"] = [kind(number // 4) for number in range(len(held["label"]))]
        write(tmp_path / f"signs/data/{part}-00000-of-00001.parquet", held)
    message = refuse(path=str(tmp_path / "signs"), group="patient")
    assert "group 0, 2 is in both train and test" in message
    held["patient"][3] = float("nan")
    write(tmp_path / "signs/data/test-00000-of-00001.parquet", held)
    assert "1 picture without a patient" in refuse(path=str(tmp_path / "signs"), group="patient")


def test_files_of_another_configuration_are_not_left_out_unsaid(
    photos: Path, tmp_path: Path
) -> None:
    signs = tmp_path / "signs"
    for name in ("train", "test", "2024/train"):
        write(signs / f"{name}.parquet", columns(photos))
    assert "has several configurations: 2024, default" in refuse(path=str(signs))
    card = "---\nconfigs:\n- {config_name: one, data_files: '*.parquet'}\n"
    (signs / "README.md").write_text(f"{card}- {{config_name: two, data_dir: '2024'}}\n---\n")
    assert "has several configurations: one, two" in refuse(path=str(signs))
    assert sum(sizes(HuggingFace(path=str(signs), config="two"))) == 60


def test_a_card_may_name_the_dataset_s_own_folder_and_files_count_from_1(
    photos: Path, tmp_path: Path
) -> None:
    signs = tmp_path / "signs"
    for number in (1, 2):
        write(signs / f"train-0000{number}-of-00002.parquet", columns(photos))
    for folder in (".", "./"):
        card = f"---\nconfigs:\n- {{config_name: all, data_dir: {folder}}}\n---\n"
        (signs / "README.md").write_text(card)
        assert sum(sizes(HuggingFace(path=str(signs)))) == 120
    (signs / "train-00001-of-00002.parquet").unlink()
    assert "lacks 1 file of 2: train-00001-of-00002.parquet" in refuse(path=str(signs))


def test_pictures_in_a_structure_of_structures_are_none(photos: Path, tmp_path: Path) -> None:
    held = columns(photos)
    held["image"] = [{"bytes": {"bytes": one["bytes"]}} for one in held["image"]]
    write(tmp_path / "signs/train.parquet", held, None)
    assert "needs a column of pictures, and has none" in refuse(path=str(tmp_path / "signs"))
