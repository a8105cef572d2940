"""`new` writes a recipe that trains as it stands, whatever the folder; `show` draws what it sees."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, as_json, complaint, tflite_light
from PIL import Image as Pillow

from tflite_light import recipe as recipes
from tflite_light.data._examples import write_photographs
from tflite_light.data._split import THREE
from tflite_light.data.directory import Directory
from tflite_light.errors import UserError
from tflite_light.pipeline import formats
from tflite_light.pipeline.apart import require_apart
from tflite_light.runs.showing import PICTURES, VIEWS, show
from tflite_light.runs.surveying import look_at
from tflite_light.weights.imagenet import Imagenet

SHORT = ("--set", "train.epochs=1", "--set", "export=[float32]")


def uneven(folder: Path) -> None:
    write_photographs(folder, classes=2, each=60)
    for path in sorted((folder / "sign1").iterdir())[8:]:
        path.unlink()


def grey(folder: Path) -> None:
    for path in write_photographs(folder).rglob("*.jpg"):
        Pillow.open(path).convert("L").save(path)


def tiny(folder: Path) -> None:
    for path in list(write_photographs(folder).rglob("*.jpg")):
        Pillow.open(path).resize((28, 28)).save(path.with_suffix(".png"))
        path.unlink()


def hundred(folder: Path) -> None:
    numbers = np.random.default_rng(0)
    for name in range(100):
        (folder / f"class {name}").mkdir(parents=True)
        for number in range(3):
            noise = numbers.integers(0, 255, (70, 90, 3), np.uint8)
            Pillow.fromarray(noise).save(folder / f"class {name}" / f"{number}.jpg")


def mess(folder: Path) -> None:
    """Broken pictures, copies in the class, in another and of other encodings; and strangers."""
    write_photographs(folder)
    first, second, third, fourth, fifth = sorted((folder / "sign0").iterdir())[:5]
    shutil.copy(first, folder / "sign0" / "copy.jpg")
    (folder / "sign0" / "changed.jpg").write_bytes(second.read_bytes() + b"x")
    for path in sorted((folder / "sign2").iterdir()):  # of 20, some fall into another part
        Pillow.open(path).save(path.with_suffix(".png"))
    shutil.copy(fourth, folder / "sign1" / "other #1: class.jpg")
    (folder / "sign1" / "broken ü.jpg").write_bytes(fifth.read_bytes()[:900])
    (folder / "sign1" / "empty.jpg").write_bytes(b"")
    (folder / "sign2" / "notes.txt").write_text("which is which")
    shutil.copy(third, folder / "loose.jpg")
    (folder / "nothing").mkdir()


FOLDERS: dict[str, tuple[Callable[[Path], None], dict[str, object]]] = {
    "uneven": (uneven, {"image.size": 96, "train.class_weights": True, "train.batch_size": 8}),
    "grey": (grey, {"image.size": 96, "augment.saturation": None, "train.class_weights": False}),
    "tiny": (tiny, {"image.size": 64, "augment.saturation": 0.2}),
    "hundred": (hundred, {"image.size": 64, "train.epochs": 60}),
    "mess": (mess, {"image.size": 96, "data.skip_strangers": True}),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_recipe_of_any_folder_trains_as_it_stands(call: Call, kind: str) -> None:
    make, wanted = FOLDERS[kind]
    folder = Path(f"my photos {kind}")
    make(folder)
    report = as_json(call("new", folder, "-o", "my.yaml", "--json"))
    assert call("check", "my.yaml").exit_code == 0
    recipe = recipes.load("my.yaml")
    for place, value in wanted.items():
        found: object = recipe
        for step in place.split("."):
            found = getattr(found, step)
        assert found == value, place
    text = Path("my.yaml").read_text()
    for key in ("model", "image", "augment", "  epochs", "  batch_size", "export"):
        assert re.search(rf"^{key}: .*  # \w", text, re.MULTILINE), key
    result = call("train", "my.yaml", *SHORT, "--set", "model.tiny.width=4", "--json")
    assert result.exit_code == 0, result.output
    assert sum(report["parts"].values()) == sum(report["classes"].values())
    pictures = json.loads(Path("runs/my/metrics.json").read_text())["pictures"]
    assert report["parts"] == pictures


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOLDERS)
def test_the_recipe_s_own_network_trains(call: Call, kind: str) -> None:
    FOLDERS[kind][0](Path("photos"))
    assert call("new", "photos").exit_code == 0
    result = call("train", "photos.yaml", "--set", "train.epochs=1")
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("runs/photos/exports").glob("*.tflite")} == {
        "float32.tflite",
        "int8.tflite",
    }


def test_what_a_mess_holds_is_counted_and_named(tmp_path: Path) -> None:
    mess(tmp_path / "mess")
    survey = look_at(tmp_path / "mess")
    out = survey.left_out
    one, other = "sign0/IMG_1199.jpg", "sign1/other #1: class.jpg"
    assert (
        out["sign1/empty.jpg"]
        == f"cannot be read: not a {formats.NAMES} picture, or of a rare kind"
    )
    assert "image file is truncated" in out["sign1/broken ü.jpg"]
    assert out[one] == f"the same as {tmp_path}/mess/{other}, of another class"
    assert out[other] == f"the same as {tmp_path}/mess/{one}, of another class"
    again = [name for name in out if name.startswith("sign2/")]
    assert 2 <= len(again) <= 20
    assert all(out[name].startswith(f"the same as {tmp_path}/mess/sign2/") for name in again)
    assert len(out) == 4 + len(again)
    assert survey.copies == 2 + 20 - len(again)
    assert sum(survey.totals.values()) == 60 + 2 + 20 + 3 - 4 - len(again)


@pytest.mark.parametrize("seed", [5, 10, 26])
def test_leaving_copies_out_puts_no_others_into_two_parts(tmp_path: Path, seed: int) -> None:
    """Few pictures are divided anew without them: one borrows from another part by then."""
    draw = np.random.default_rng(seed)
    for folder in (tmp_path / name for name in "abc"):
        folder.mkdir()
        for number in range(draw.integers(4, 9)):
            picture = Pillow.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8))
            for suffix in ("png", "bmp", "tif")[: draw.integers(1, 4)]:
                picture.save(folder / f"{number}.{suffix}")
    survey = look_at(tmp_path)
    require_apart("photos", survey.source.load(survey.image).parts)


def test_train_copies_of_hand_made_parts_are_left_out(photos: Path, tmp_path: Path) -> None:
    folder = divided(photos, tmp_path)
    survey = look_at(folder)
    assert len(survey.left_out) == 6
    assert all(name.startswith("train/") for name in survey.left_out)
    assert {part: counts.total() for part, counts in survey.counts.items()}["test"] == 24
    survey.source.require_usable()


def divided(photos: Path, tmp_path: Path) -> Path:
    """14 pictures a class in train, 8 in test, 2 of which are the same."""
    for part, first, end in (("train", 0, 14), ("test", 12, 20)):
        for folder in photos.iterdir():
            target = tmp_path / "divided" / part / folder.name
            target.mkdir(parents=True)
            for path in sorted(folder.iterdir())[first:end]:
                shutil.copy(path, target / f"{part}_{path.name}")
    return tmp_path / "divided"


def test_pictures_of_train_in_test_are_refused_and_named(
    call: Call, tiny: Path, photos: Path, tmp_path: Path
) -> None:
    data = ("--set", f"data.directory.path={divided(photos, tmp_path)}")
    for number, path in enumerate(sorted((tmp_path / "divided" / "train").rglob("*.jpg"))):
        if number % 2:  # a changed byte, or another format: still the same picture
            path.write_bytes(path.read_bytes() + b"x")
        else:
            Pillow.open(path).save(path.with_suffix(".png"))
            path.unlink()
    message = complaint(call("train", tiny, *data))
    assert "6 of 24 test pictures (25.0%) are in train or val, too: " in message
    assert message.count(" equals ") == 3
    assert "; and 3 more." in message
    assert not Path("runs").exists()


def test_a_few_of_them_are_warned_of(call: Call, tiny: Path, tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "set" / "train", classes=2, each=120)
    shutil.copytree(folder, tmp_path / "set" / "test")
    for path in sorted(folder.rglob("*.jpg"))[2:]:
        picture = Pillow.open(path)
        picture.rotate(90).save(path)
    result = call(
        "train",
        tiny,
        "--set",
        f"data.directory.path={tmp_path / 'set'}",
        "--set",
        "train.epochs=1",
        "--set",
        "compress=[]",
        "--set",
        "export=[float32]",
    )
    assert result.exit_code == 0, result.output
    assert "2 of 240 test pictures (0.8%) are in train or val, too" in result.stderr
    assert "figures on test may be too good by as much" in result.stderr


def test_what_leave_out_names_is_left_out_and_counted(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = next((photos / "sign0").iterdir()).name
    source = Directory(path=str(photos), leave_out=[f"sign0/{name}", "sign1", "sign2/gone.jpg"])
    assert source.classes() == ["sign0", "sign2"]
    assert sum(len(source.split(part)) for part in THREE.bounds) == 39
    message = capsys.readouterr().err
    assert "left out 2 by `data.directory.leave_out`" in message
    assert "`data.directory.leave_out` names what is not there: sign2/gone.jpg" in message


@pytest.mark.parametrize(
    ("name", "hint"), [("x.txt", "x.yaml"), ("x", "x.yaml"), (".", "photos.yaml, say")]
)
def test_a_recipe_has_a_name_by_which_it_is_known_for_one(name: str, hint: str, call: Call) -> None:
    """`train` took it, and `inspect`, `compare` and `export` held it for a broken file."""
    message = f"{name} is no name for a recipe.\nhint: Name it {hint}.\n"
    assert complaint(call("new", "photos", "-o", name)) == message
    fix = ("--against", "r.yaml", "--fix", "1", "-o", name)
    assert complaint(call("explain", "x.tflite", *fix)) == message


def test_folders_that_cannot_be_trained_on_are_refused(
    call: Call, photos: Path, tmp_path: Path
) -> None:
    def refuse(folder: Path) -> str:
        message = complaint(call("new", folder, "-o", "x.yaml"))
        assert not Path("x.yaml").exists()
        assert "\nhint: " in message
        return message

    assert "nowhere does not exist" in refuse(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no class folders" in refuse(tmp_path / "empty")
    picture = shutil.copy(next(photos.rglob("*.jpg")), tmp_path / "one.jpg")
    assert "one.jpg is no folder" in refuse(Path(picture))
    shutil.copytree(photos / "sign0", tmp_path / "lonely" / "sign0")
    assert "at least two classes are needed, found only 'sign0'" in refuse(tmp_path / "lonely")
    assert "holds 20 pictures and no class folders" in refuse(photos / "sign0")
    (tmp_path / "single").mkdir()
    shutil.copy(picture, tmp_path / "single")
    assert "holds 1 picture and no class folders" in refuse(tmp_path / "single")
    for copy in ("sign0", "sign0 again"):
        shutil.copytree(photos / "sign0", tmp_path / "twice" / copy)
    shutil.copytree(photos / "sign1", tmp_path / "twice" / "sign1")
    message = refuse(tmp_path / "twice")
    assert "class 'sign0' has no picture to train on: " in message
    assert ", of another class.\n" in message
    for path in sorted((photos / "sign1").iterdir())[2:]:
        path.write_bytes(b"\xff\xd8\xff broken")
    assert "class 'sign1' has 2 pictures, too few to split" in refuse(photos)


def test_files_are_written_over_only_when_asked(call: Call, photos: Path, tiny: Path) -> None:
    for command, name in (("new", "photos.yaml"), ("show", "tiny.png")):
        target = photos if command == "new" else tiny
        Path(name).write_text("mine")
        assert f"{name} exists already.\nhint: Name another file" in complaint(
            call(command, target)
        )
        assert Path(name).read_text() == "mine"
        assert call(command, target, "--force").exit_code == 0
        assert Path(name).read_bytes() != b"mine"


def test_names_that_are_no_utf8_are_left_out_too(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photos")
    (folder / "sign0" / "caf\udce9.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "sign0" / "two\nlines\x85.jpg").write_bytes(b"")
    result = tflite_light("new", folder.name, "-o", "my.yaml", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    source: Any = recipes.load(tmp_path / "my.yaml").source
    survey = look_at(folder)
    assert sorted(source.leave_out) == sorted(survey.left_out)
    assert len(survey.left_out) == 2
    odd = folder.rename(tmp_path / "pho\udce9tos")
    with pytest.raises(UserError, match=r"no recipe can hold the name of .*pho.udce9tos"):
        look_at(odd)


def test_weights_in_the_cache_are_started_from(
    call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Imagenet.example(tmp_path / "home")
    (path,) = (tmp_path / "home" / ".cache" / "tflite-light").iterdir()
    cache = path.parent
    path.unlink()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_{}.h5"
    for size in (96, 160):
        (cache / name.format(size)).write_bytes(b"")
    as_json(call("new", photos, "--json"))
    recipe = recipes.load("photos.yaml")
    assert recipe.model.model_dump()["alpha"] == 0.5
    assert recipe.weights == Imagenet(size=160)
    assert recipe.image.mean == recipe.image.std == (127.5,) * 3
    assert (recipe.training.epochs, recipe.training.learning_rate) == (10, 0.001)
    assert recipe.training.freeze


def test_views_are_those_of_the_training(call: Call, tiny: Path, photos: Path) -> None:
    """Without augmentation every view is the input to the pixel; with it none is."""
    data = [f"data.directory.path={photos}"]
    plain = show(recipes.load(tiny, [*data, "augment={}", "image.mean=123.7", "image.std=58.4"]))
    assert len(plain) == PICTURES
    assert [row.label for row in plain] == ["sign0"] * 4 + ["sign1"] * 4 + ["sign2"] * 4
    for row in plain:
        assert row.picture.shape == (100, 100, 3)
        assert len(row.views) == VIEWS
        assert all(np.array_equal(view, row.sized) for view in row.views)
    altered = show(recipes.load(tiny, data))
    for row, before in zip(altered, plain, strict=True):
        assert np.array_equal(row.sized, before.sized)
        assert not any(np.array_equal(view, row.sized) for view in row.views)
    mixed = show(recipes.load(tiny, [*data, "augment={mixup: 0.5}"]))
    assert all(abs(sum(one.values()) - 1) < 0.02 for row in mixed for one in row.labels)
    assert any(len(one) == 2 for row in mixed for one in row.labels)


def test_the_picture_has_a_row_for_each_photograph(call: Call, tiny: Path, photos: Path) -> None:
    (photos / "sign0").rename(photos / f"Ä{'x' * 200}")
    data = ("--set", f"data.directory.path={photos}")
    result = as_json(call("show", tiny, *data, "-o", "seen.png", "--json"))
    assert [len(one["views"]) for one in result["pictures"]] == [VIEWS] * PICTURES
    picture = Pillow.open(io.BytesIO(Path("seen.png").read_bytes()))
    assert (picture.width - (2 + VIEWS) * (96 + 6), picture.height) == (172, 18 + PICTURES * 102)
    assert "no name for a PNG file.\nhint: Name it seen.png" in complaint(
        call("show", tiny, "-o", "seen.jpg")
    )
    bare = ("--set", "train=null", "--set", "compress=[]")
    assert "has no train:, so nothing is trained" in complaint(call("show", tiny, *bare, *data))
