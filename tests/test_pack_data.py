"""Packed pictures are the recipe's own, to the bit, wherever they lie."""

import json
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_json, complaint

from tflite_light import recipe as recipes
from tflite_light.data import Source, _records
from tflite_light.errors import UserError
from tflite_light.pipeline import reading, shards
from tflite_light.pipeline.augment import Augment
from tflite_light.pipeline.batches import training, views
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.runs.folder import open_run
from tflite_light.sockets import load
from tflite_light.stack import tf

RECIPE = """
model: {tiny: {width: 4}}
data: {directory: {path: photos}}
image: {size: 32, crop: 0.9}
train: {epochs: 2, batch_size: 8}
export: [float32]
"""


def source(data: dict[str, Any]) -> Source:
    ((key, fields),) = data.items()
    made: Source = load("data", key).model_validate(fields)
    return made


def counted(examples: Any) -> Counter[tuple[int, int]]:
    """How often each label and picture is there."""
    pixels = examples.pixels(np.arange(len(examples)))
    return Counter(zip(examples.labels.tolist(), (zlib.crc32(one) for one in pixels), strict=True))


@pytest.mark.parametrize("where", ["päck ed", "ram://shards/here"])
def test_packed_pictures_are_the_recipe_s_to_the_bit(
    where: str, call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    packed = as_json(call("pack-data", "recipe.yaml", "-o", where, "--json"))
    assert sum(packed["pictures"].values()) == 60
    recipe = recipes.load("recipe.yaml")
    assert recipe.source.classes() == source(packed["data"]).classes()
    plain = recipe.source.load(recipe.image)
    monkeypatch.setattr(reading, "MEMORY_SHARE", 0)
    again = source(packed["data"]).absolute().load(recipe.image)
    for name in SPLITS:
        assert counted(again.parts[name]) == counted(plain.parts[name])
        assert packed["pictures"][name] == len(again.parts[name])
    batches = [training(again.train, 3, 8, Augment(), 0, range(2)) for _ in range(2)]
    for one, other in zip(*batches, strict=True):
        assert np.array_equal(one[0], other[0])
    other = complaint(call("train", "recipe.yaml", "--set", f"data={json.dumps(packed['data'])}",
                           "--set", "image.size=48"))  # fmt: skip
    assert other.startswith(
        "these pictures were packed with image: size 32; the recipe has size 48"
    )
    assert complaint(call("pack-data", "recipe.yaml", "-o", where)) == (
        f"{where} is not empty.\nhint: Give `-o` a new folder.\n"
    )
    tf.io.gfile.remove(f"{where}/{shards.INDEX}")
    assert complaint(call("pack-data", "recipe.yaml", "-o", where)).startswith(
        f"{where} has shards without index.npz, as where packing was stopped.\nhint: Remove them"
    )


def test_outliers_are_packed_as_outliers(call: Call, photos: Path, tmp_path: Path) -> None:
    """The one class of them, wherever it stands among the others, comes last."""
    (photos / "sign1").rename(photos / "none")
    text = RECIPE.replace("path: photos", "path: photos, outliers: none")
    (tmp_path / "recipe.yaml").write_text(text)
    packed = as_json(call("pack-data", "recipe.yaml", "-o", "packed", "--json"))
    assert packed["data"]["tfrecord"]["outliers"] == "none"
    recipe = recipes.load("recipe.yaml")
    plain = recipe.source.load(recipe.image)
    again = source(packed["data"]).absolute().load(recipe.image)
    assert again.classes == plain.classes
    assert "none" not in again.classes
    assert sorted(again.parts) == sorted(plain.parts)
    assert len(again.outliers["train"]) > 5
    for name, part in plain.parts.items():
        assert counted(again.parts[name]) == counted(part)


def test_a_run_trains_from_packed_pictures(call: Call, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    packed = as_json(call("pack-data", "recipe.yaml", "-o", "shards", "--json"))
    change = f"data={json.dumps(packed['data'])}"
    report = as_json(call("train", "recipe.yaml", "--set", change, "--json"))
    assert [row["name"] for row in report["rows"]] == ["fit", "float32"]
    assert report["rows"][1]["agreement"] == 1
    again = as_json(call("evaluate", report["run"], "--json"))
    assert again["rows"][1]["top1"] == report["rows"][1]["top1"]
    elsewhere = as_json(call("evaluate", report["run"], "--data", photos, "--json"))
    assert [row["pictures"] for row in elsewhere["rows"]] == [60, 60]
    Path("shards").rename("moved")
    moved = as_json(call("evaluate", report["run"], "--data", "moved", "--json"))
    assert moved["rows"][1]["top1"] == report["rows"][1]["top1"]
    (tmp_path / "moved" / "labels.txt").unlink()
    kept = open_run(report["run"]).recipe.source
    with pytest.raises(UserError, match=r"that data tfrecord reads; \S*moved/labels.txt does not"):
        kept.located(tmp_path / "moved")


def test_threads_that_need_one_remote_file_fetch_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shards.write_shard("ram://once/one", [(b"first", 0)])
    opened, real = [], shards.open_file

    def slowly(path: str) -> Any:
        opened.append(path)
        time.sleep(0.05)
        return real(path)

    monkeypatch.setattr(shards, "open_file", slowly)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: shards.read_record("ram://once/one", 0, 5), range(8))]
    assert len(set(found)) == len(opened) == 1


def test_what_does_not_fit_the_index_is_refused(call: Call, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    data = as_json(call("pack-data", "recipe.yaml", "-o", "shards", "--json"))["data"]
    change = ("train", "recipe.yaml", "--set", f"data={json.dumps(data)}")
    shard = next(Path("shards").glob("train-*"))
    whole, index = shard.read_bytes(), Path("shards/index.npz").read_bytes()
    shard.write_bytes(whole[:-1])
    assert f"{len(whole) - 1} bytes, where its index says {len(whole)}." in complaint(call(*change))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    shard.write_bytes(damaged)
    assert "train-" in complaint(call(*change))
    shard.write_bytes(whole)
    for content in (b"", index[:100], index[: len(index) // 2]):
        Path("shards/index.npz").write_bytes(content)
        assert "shards/index.npz is damaged (" in complaint(call(*change))
    assert not Path("runs").exists()


def test_of_many_packed_pictures_none_is_read_at_the_start(
    call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    data = as_json(call("pack-data", "recipe.yaml", "-o", "shards", "--json"))["data"]
    image = recipes.load("recipe.yaml").image
    few = source(data).load(image)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "FEW", 10)
        patch.setattr(_records, "read_record", None)  # whose call would fail
        many = source(data).load(image)
    assert {name: one.digest() for name, one in many.parts.items()} == {
        name: one.digest() for name, one in few.parts.items()
    }
    assert np.array_equal(many.train.pixels(range(5)), few.train.pixels(range(5)))
    shard = sorted(tmp_path.glob("shards/train-*"))[-1]  # of which none is in memory
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"its checksum is not that of index\.npz"):
        many.train.pixels(range(len(many.train)))
    train = many.train
    standing_in = replace(train, pictures=replace(train.pictures, skip_broken=True))
    assert standing_in.pixels(range(len(train))).shape == (len(train), 32, 32, 3)
    assert len(standing_in.broken) == 1


def test_views_of_a_pack_stand_beside_their_pictures(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    data = as_json(call("pack-data", "recipe.yaml", "-o", "shards", "--json"))["data"]
    train = source(data).load(recipes.load("recipe.yaml").image).train
    expected = np.concatenate(list(train.inputs(range(len(train)))))
    for inputs, labels in views(train, 3, Augment(), 0, 2):
        np.testing.assert_allclose(inputs, expected, atol=1e-6)
        assert labels.argmax(1).tolist() == train.labels.tolist()


def test_a_pack_that_has_lost_a_file_is_refused(call: Call, photos: Path, tmp_path: Path) -> None:
    """A lost shard left a tenth of the pictures out; a lost index had them cropped once more."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    data = as_json(call("pack-data", "recipe.yaml", "-o", "shards", "--json"))["data"]
    change = ("train", "recipe.yaml", "--set", f"data={json.dumps(data)}")
    shard = sorted(Path("shards").glob("train-*"))[3]
    shard.rename("elsewhere")
    message = complaint(call(*change))
    assert f"{shard} is missing, which shards/index.npz counts.\nhint: Copy it again" in message
    Path("elsewhere").rename(shard)
    Path("shards/index.npz").unlink()
    message = complaint(call(*change))
    assert ", record 1 is a picture of a pack, sized already; its index.npz is missing" in message
    assert not Path("runs").exists()


def test_without_data_or_with_a_broken_picture_nothing_is_packed(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "import.yaml").write_text("model: tiny\nclasses: 3\n")
    assert "import.yaml has no data:" in complaint(call("pack-data", "import.yaml", "-o", "x"))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (photos / "sign1" / "broken.jpg").write_bytes(b"\xff\xd8 not a photograph")
    assert "1 picture cannot be read" in complaint(call("pack-data", "recipe.yaml", "-o", "x"))
    assert not Path("x").exists()
    (tmp_path / "file").write_text("")
    assert complaint(call("pack-data", "recipe.yaml", "-o", "file")).startswith("file is a file")


def test_an_epoch_has_every_picture_once_a_few_files_at_a_time() -> None:
    counts = [10] * 40
    order = shards.order(counts, [7, 0], steps=100, workers=1, batch=4)
    assert order.shape == (100, 1, 4)
    assert sorted(order.ravel()) == list(range(400))
    for start in range(0, 100, 20):
        files = set(order[start : start + 20].ravel() // 10)
        assert len(files) == shards.TOGETHER
    assert not np.array_equal(order, shards.order(counts, [7, 1], 100, 1, 4))
    assert np.array_equal(order, shards.order(counts, [7, 0], 100, 1, 4))


def test_workers_read_files_of_their_own() -> None:
    order = shards.order([10, 12, 9, 11, 10], [7, 0], steps=6, workers=2, batch=4)
    files = np.searchsorted(np.cumsum([10, 12, 9, 11, 10]), order, side="right")
    assert not set(files[:, 0].ravel()) & set(files[:, 1].ravel())
    assert 44 <= len(np.unique(order)) <= 48  # files are not equally large: few come twice


def test_remote_records_are_read_whole_files_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tf.io.gfile.makedirs("ram://whole")
    shard = shards.write_shard("ram://whole/one", [(b"first", 0), (b"second", 1)])
    shards._content.cache_clear()
    rows = zip(shard.starts.tolist(), shard.sizes.tolist(), strict=True)
    records = [shards.read_record("ram://whole/one", *row) for row in rows]
    assert [zlib.crc32(one) for one in records] == shard.checksums.tolist()
    assert (shards._content.cache_info().misses, shards._content.cache_info().hits) == (1, 1)


def test_names_that_a_list_would_not_keep_are_refused(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    for name, other in (("sign0", "16:9"), ("sign1", "4:3"), ("sign2", "1:1")):
        (photos / name).rename(photos / other)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    message = complaint(call("pack-data", "recipe.yaml", "-o", "packed"))
    assert "class names such as '16:9' cannot be kept one a line." in message or "'1:1'" in message
    assert not Path("packed").exists()
