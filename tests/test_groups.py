"""Pictures of one person, patient or video never lie in two parts; classes stay even."""

import io
import itertools
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, complaint, encoded, photograph
from PIL import Image as Pillow

from tflite_light.contract import Image
from tflite_light.data._groups import joined, share_out
from tflite_light.data._split import THREE
from tflite_light.data.directory import Directory
from tflite_light.data.sign_digits import SignDigits
from tflite_light.errors import UserError
from tflite_light.pipeline.encoded import essence
from tflite_light.pipeline.pictures import SPLITS, Split
from tflite_light.sockets import load

SHARES = THREE.shares


@pytest.fixture
def people(photos: Path) -> Path:
    """Photographs of three classes, each of ten people twice: sign0/anna3_1.jpg."""
    for folder in photos.iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"anna{number // 2}_{number % 2}.jpg")
    return photos


def refuse(source: Any) -> str:
    with pytest.raises(UserError) as caught:
        source.load(Image(size=32))
    return str(caught.value)


def unevenness(groups: list[str], labels: list[int], parts: dict[str, Split]) -> float:
    found = Counter((label, parts[group]) for group, label in zip(groups, labels, strict=True))
    totals = Counter(labels)
    return sum(
        (found[label, part] / totals[label] - share) ** 2 / share
        for label in totals
        for part, share in SHARES.items()
    )


def test_a_person_lies_in_one_part_and_ten_of_them_are_divided_seven_one_two(people: Path) -> None:
    source = Directory(path=str(people), group=r"^(.+)_\d")
    assert [len(set(source.split(name).groups or ())) for name in SPLITS] == [7, 1, 2]
    assert [Counter(source.split(name).labels) for name in SPLITS] == [
        Counter(dict.fromkeys(range(3), count)) for count in (14, 2, 4)
    ]
    again = Directory(path=str(people), group=r"^(.+)_\d")
    assert [again.split(name).names for name in SPLITS] == [
        source.split(name).names for name in SPLITS
    ]


def test_a_table_and_a_folder_divide_the_same_people_alike(people: Path) -> None:
    paths = sorted(path.relative_to(people) for path in people.rglob("*.jpg"))
    rows = [f"{path};{path.parent};{path.stem[:-2]}\n" for path in paths]
    (people / "t.csv").write_text("".join(["path;label; Pérson\n", *rows]))
    table: Any = load("data", "csv").model_validate(
        {"path": str(people / "t.csv"), "group": "pérson"}
    )
    folder = Directory(path=str(people), group=r"^(.+)_\d")
    for name in SPLITS:
        assert sorted(table.split(name).names) == sorted(folder.split(name).names)


def test_equal_pictures_of_two_people_keep_them_together(people: Path) -> None:
    shutil.copy(people / "sign0" / "anna0_0.jpg", people / "sign1" / "anna9_0.jpg")
    source = Directory(path=str(people), group=r"^(.+)_\d")
    where = {group: name for name in SPLITS for group in source.split(name).groups or ()}
    assert where["anna0"] == where["anna9"]
    assert joined(["a", "b", "c", "d"], [b"1", b"2", b"2", b"1"])[1:3] in (["b"] * 2, ["c"] * 2)


def test_few_groups_are_shared_out_nearly_as_evenly_as_can_be() -> None:
    """Against all 3^6 ways to share out six groups of 1 to 12 pictures of three classes."""
    numbers = random.Random(1)
    best_found = 0
    for _ in range(10):
        groups = [f"g{one}" for one in range(6) for _ in range(numbers.randint(3, 12))]
        labels = [numbers.randrange(3) for _ in groups]
        mine = unevenness(groups, labels, share_out(groups, labels, SHARES))
        names = sorted(set(groups))
        best = min(
            unevenness(groups, labels, parts)
            for chosen in itertools.product(SPLITS, repeat=6)
            if _suffices(groups, labels, parts := dict(zip(names, chosen, strict=True)))
        )
        best_found += mine <= best + 1e-9
        assert mine <= 1.1 * best
    assert best_found >= 9


def _suffices(groups: list[str], labels: list[int], parts: dict[str, Split]) -> bool:
    found = {(label, parts[group]) for group, label in zip(groups, labels, strict=True)}
    each = all((label, part) in found for label in set(labels) for part in ("train", "test"))
    return each and "val" in parts.values()


def test_a_thousand_groups_leave_every_class_its_shares() -> None:
    numbers = random.Random(2)
    groups = [f"g{numbers.randrange(1000)}" for _ in range(20_000)]
    labels = [numbers.randrange(20) for _ in groups]
    parts = share_out(groups, labels, SHARES)
    for part, share in SHARES.items():
        held = Counter(
            label for label, group in zip(labels, groups, strict=True) if parts[group] == part
        )
        totals = Counter(labels)
        assert all(abs(held[label] / totals[label] - share) < 0.02 for label in totals)


def test_groups_and_outliers_go_together(people: Path) -> None:
    source = Directory(path=str(people), group=r"^(.+)_\d", outliers="sign2")
    data = source.load(Image(size=32))
    assert data.classes == ["sign0", "sign1"]
    assert len(data.train) + len(data.val) + len(data.test) == 40
    assert sum(map(len, data.outliers.values())) == 20


def test_hand_made_parts_with_one_person_in_two_are_refused(people: Path, tmp_path: Path) -> None:
    divided = tmp_path / "divided"
    for path in sorted(people.rglob("*.jpg")):
        part = "test" if path.stem in ("anna4_1", "anna9_0", "anna9_1") else "train"
        target = divided / part / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    source = Directory(path=str(divided), group=r"^(.+)_\d")
    assert "group anna4 is in both train and test.\nhint: Keep it in one" in refuse(source)


def test_a_person_may_not_be_an_outlier_of_another_part(people: Path, tmp_path: Path) -> None:
    """Neither the pictures of the classes nor the outliers have anyone in two parts."""
    divided = tmp_path / "divided"
    for number, path in enumerate(sorted(people.rglob("*.jpg"))):
        part = ("train", "val", "test")[number % 3]
        who = "anna" if (path.parent.name == "sign2") == (part == "test") else f"{part}'s"
        target = divided / part / path.parent.name / f"{who}_{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in sorted((divided / "val").rglob("anna*")):
        path.rename(path.with_name(path.name.replace("anna", "val")))
    source = Directory(path=str(divided), group="^(.+)_", outliers="sign2")
    assert "group anna is in both train and test.\nhint: Keep it in one" in refuse(source)


def test_a_class_of_one_person_is_refused_by_name(people: Path) -> None:
    source = Directory(path=str(people), group="^(.)")
    assert "class 'sign0' has 20 pictures of 1 group, too few to split: none for test" in refuse(
        source
    )


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "data.directory.group: is no regular expression: missing ), unterminated"),
        ("anna", "needs one group in parentheses, not 0"),
        ("(a)(b)", "needs one group in parentheses, not 2"),
    ],
)
def test_patterns_that_name_no_group_are_mistakes_of_the_recipe(
    call: Call, tiny: Path, people: Path, pattern: str, message: str
) -> None:
    data = ("--set", f"data.directory.path={people}", "--set", f"data.directory.group={pattern!r}")
    assert message in complaint(call("check", tiny, *data))


def test_pictures_in_no_group_are_named(people: Path) -> None:
    (people / "sign2" / "anna7_1.jpg").rename(people / "sign2" / "7.jpg")
    message = refuse(Directory(path=str(people), group=r"^(.+)_\d"))
    assert (
        f"1 picture in no group, since '^(.+)_\\\\d' does not match: {people}/sign2/7.jpg"
        in message
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.jpg,x\n", "line 1 names no column person; they are path, label"),
        ("path,label,person,Person\na.jpg,x,1,2\n", "names the column person twice"),
        (
            "path,label,person\na.jpg,x,\n",
            "line 2 has no person, which is the column of the groups",
        ),
        ("path,label,person\na.jpg,x,1\na.jpg,x,2\n", "is of group 2, but of 1 in line 2"),
    ],
)
def test_tables_whose_groups_are_unclear_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    source = load("data", "csv").model_validate(
        {"path": str(tmp_path / "t.csv"), "group": "Person"}
    )
    assert message in refuse(source)


def test_signers_of_the_photographs_in_the_package_are_known_by_their_order() -> None:
    source = SignDigits(by_signer=True)
    signers = [set(source.split(name).groups or ()) for name in SPLITS]
    assert [len(one) for one in signers] == [143, 20, 41]
    assert len(set.union(*signers)) == 204
    assert [len(source.split(name)) for name in SPLITS] == [1440, 205, 414]
    signer = {
        Path(name).name: group
        for part in map(source.split, SPLITS)
        for name, group in zip(part.names, part.groups or (), strict=True)
    }
    pairs = {
        (signer[Path(name).name], part)
        for part in SPLITS
        for name in SignDigits().split(part).names
    }
    in_several = [one for one, count in Counter(one for one, _ in pairs).items() if count > 1]
    assert len(in_several) == 195  # as they are divided by default
    assert np.ptp(np.bincount(source.split("test").labels)) <= 1


def _with_comment(picture: bytes) -> bytes:
    return picture[:2] + b"\xff\xfe\x00\x06abcd" + picture[2:]


def test_copies_with_other_metadata_are_the_same_picture() -> None:
    picture = photograph()
    for kind in ("JPEG", "PNG"):
        plain = encoded(picture, kind)
        exif = Pillow.Exif()
        exif[0x010F] = "a camera"
        tagged = encoded(picture, kind, exif=exif, dpi=(300, 300))
        assert plain != tagged
        assert essence(plain) == essence(tagged) == essence(tagged + b"\0rest")
        assert essence(plain) != essence(encoded(picture.rotate(90), kind))
        for end in range(len(plain)):  # cut short anywhere, something is given back
            assert isinstance(essence(plain[:end]), bytes)
    jpeg = encoded(picture, "JPEG")
    assert essence(_with_comment(jpeg)) == essence(jpeg)
    bmp = encoded(picture, "BMP")
    assert essence(bmp) == bmp


def test_pictures_that_differ_in_metadata_never_straddle(photos: Path) -> None:
    before = [_decoded(Directory(path=str(photos)), name) for name in SPLITS]
    for path in sorted(photos.rglob("*.jpg")):
        (path.parent / f"copy_{path.name}").write_bytes(_with_comment(path.read_bytes()))
    found = [_decoded(Directory(path=str(photos)), name) for name in SPLITS]
    assert sum(map(len, found)) == len(set.union(*found)) == sum(map(len, before)) == 60


def _decoded(source: Directory, part: Split) -> set[bytes]:
    pictures = source.split(part)
    contents = [pictures.read(index) for index in range(len(pictures))]
    return {Pillow.open(io.BytesIO(one)).tobytes() for one in contents if isinstance(one, bytes)}


def test_a_pattern_that_matches_without_its_group_names_none(people: Path) -> None:
    (people / "sign2" / "anna7_1.jpg").rename(people / "sign2" / "x.jpg")
    message = refuse(Directory(path=str(people), group=r"(?:^(.+)_\d)?"))
    assert "1 picture in no group" in message
