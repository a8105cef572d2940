"""What follows from a confusion matrix, against figures counted by hand or published."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_light.measure.balance import Balance
from tflite_light.measure.confusion import Confusion, Mistake
from tflite_light.measure.significance import Paired, wilson

SIGNS = ["stop", "limit 30", "limit 50", "yield"]
LABELS = [0] * 6 + [1] * 12 + [2] * 2
ANSWERS = [0] * 6 + [1] * 7 + [2] * 4 + [0] + [2, 3]
CONFUSION = Confusion.of(SIGNS, LABELS, ANSWERS)


def test_precision_recall_and_f1_are_counted_by_class() -> None:
    stop, thirty, fifty, yields = CONFUSION.classes
    assert (stop.pictures, stop.right, stop.answers) == (6, 6, 7)
    assert (stop.recall, stop.precision, stop.f1) == (1, 6 / 7, 12 / 13)
    assert (thirty.recall, thirty.precision, thirty.f1) == (7 / 12, 1, 14 / 19)
    assert (fifty.recall, fifty.precision, fifty.f1) == (1 / 2, 1 / 5, 2 / 7)
    assert (yields.recall, yields.recall_interval, yields.f1) == (None, None, None)
    assert (yields.pictures, yields.precision) == (0, 0)


def test_the_means_are_of_the_classes_that_have_pictures() -> None:
    assert (CONFUSION.pictures, CONFUSION.right, CONFUSION.accuracy) == (20, 14, 0.7)
    assert CONFUSION.balanced_accuracy == pytest.approx((1 + 7 / 12 + 1 / 2) / 3)
    assert CONFUSION.macro_f1 == pytest.approx((12 / 13 + 14 / 19 + 2 / 7) / 3)
    assert (CONFUSION.balance.most, CONFUSION.balance.share) == ("limit 30", 12 / 20)
    assert CONFUSION.worst.name == "limit 50"


def test_mistakes_come_with_the_most_pictures_first() -> None:
    assert CONFUSION.mistakes == [
        Mistake("limit 30", "limit 50", 4, 12),
        Mistake("limit 50", "yield", 1, 2),
        Mistake("limit 30", "stop", 1, 12),
    ]


def test_the_json_form_has_all_of_it_and_is_read_back() -> None:
    found = json.loads(json.dumps(CONFUSION.to_json()))
    assert found["counts"]["limit 30"] == {"stop": 1, "limit 30": 7, "limit 50": 4}
    assert found["interval"] == pytest.approx([0.4810, 0.8545], abs=1e-4)
    assert Confusion.from_json(found) == CONFUSION


@pytest.mark.parametrize(
    ("right", "pictures", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_s_interval_is_the_published_one(
    right: int, pictures: int, low: float, high: float
) -> None:
    assert wilson(right, pictures) == pytest.approx((low, high), abs=5e-5)
    assert wilson(pictures - right, pictures) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_the_interval_holds_the_share(pictures: int, right: int) -> None:
    right = min(right, pictures)
    low, high = wilson(right, pictures)
    assert 0 <= low <= right / pictures <= high <= 1
    assert low < high


def test_mcnemar_s_test_is_exact() -> None:
    def p_value(only_this: int, only_other: int) -> float:
        return Paired("other", 100, only_this, only_other).p_value

    assert p_value(0, 0) == p_value(3, 3) == p_value(4, 3) == 1
    assert p_value(0, 5) == p_value(5, 0) == 2 / 32
    assert p_value(1, 9) == 2 * (1 + 10) / 1024
    assert not Paired("other", 100, 5, 0).told_apart
    assert Paired("other", 100, 6, 0).told_apart
    assert 0 < p_value(4000, 4400) < 1e-4


def test_pairs_are_counted_picture_by_picture() -> None:
    found = Paired.of([True, True, False, False, True], [True, False, True, False, False], "x")
    assert found == Paired("x", 5, only_this=2, only_other=1)
    with pytest.raises(ValueError, match="shorter"):
        Paired.of([True], [], "x")


def test_classes_are_uneven_where_one_has_twice_another_s_pictures() -> None:
    assert not Balance({"ok": 19, "crack": 10}).uneven
    uneven = Balance.of(["ok", "none", "crack"], [0] * 20 + [2] * 10)
    assert uneven.uneven
    assert uneven.sentence() == (
        "classes are uneven: most pictures are of ok, 20 of 30 (0.6667), fewest of crack, 10"
    )
