"""Which pictures become golden ones: of many classes, some hard, and a test card."""

from typing import Any

import numpy as np
import pytest
from conftest import photograph
from hypothesis import given
from hypothesis import strategies as st

from tflite_light.contract import Contract, Image, Tensor, sha256
from tflite_light.data.sign_digits import SignDigits
from tflite_light.export.float32 import Float32
from tflite_light.measure.card import card
from tflite_light.measure.choosing import choose, near_boundary, spread
from tflite_light.measure.goldens import golden, input_of
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models.tiny import Tiny
from tflite_light.pipeline.decode import decode
from tflite_light.pipeline.examples import Data
from tflite_light.runs.golden_pictures import golden_pictures
from tflite_light.stack import keras


def test_pictures_spread_over_classes() -> None:
    every_tenth = [label for label in range(100) for _ in range(3)]
    assert [every_tenth[place] for place in spread(every_tenth, 4)] == [0, 25, 50, 75]
    assert spread([0, 0, 0, 1, 1, 2], 5) == [0, 3, 5, 1, 4]
    assert spread([7, 7], 5) == [0, 1]
    assert spread([], 5) == []
    assert spread([1, 2], 0) == []


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(0, 8))
def test_no_picture_comes_twice_and_no_class_again_before_all_have_come(
    labels: list[int], count: int
) -> None:
    places = spread(labels, count)
    assert len(set(places)) == len(places) == min(count, len(labels))
    assert len({labels[place] for place in places}) == min(count, len(set(labels)))


def test_near_the_boundary_are_the_smallest_margins_that_rounding_leaves() -> None:
    margins = [30, 4, 11, 10, 90, 12]
    logits = np.array([[-100, margin, 0] for margin in margins], np.float32)
    assert near_boundary(logits, 10) == [2, 5, 0, 4]
    assert near_boundary(logits, np.array([0, 0, 99, 0, 0, 0])) == [1, 3, 5, 0, 4]
    assert near_boundary(np.zeros((3, 2), np.float32), 0) == []


class Coarse:
    """Of 100 pictures all are a step from a tie, but for some."""

    output = Tensor(shape=[1, 10], dtype="uint8", scale=0.01, zero_point=0)

    def __init__(self, certain: Any):
        self.certain = certain

    def logits(self, batches: Any) -> Any:
        list(batches)
        margins = np.where(np.isin(np.arange(100), self.certain), 0.5, 0.01)
        return np.stack([margins, *[np.zeros(100)] * 9], axis=1).astype(np.float32)


@pytest.mark.parametrize(("certain", "count"), [(range(25, 100), 8), ([4, 7, 50], 3), ([9], 1)])
def test_no_golden_picture_is_one_that_another_runtime_may_call_otherwise(
    certain: Any, count: int, data: Data
) -> None:
    looked_at = data.val.sample(100)
    chosen = choose(Coarse([*certain]), data.val, 8)  # type: ignore[arg-type]
    assert len({*chosen}) == len(chosen) == count
    assert all(looked_at.index(one) in certain for one in chosen)


def test_golden_pictures_are_any_where_another_runtime_may_call_all_otherwise(data: Data) -> None:
    chosen = choose(Coarse([]), data.val, 8)  # type: ignore[arg-type]
    assert len({*chosen}) == 8


@pytest.fixture(scope="module")
def data() -> Data:
    return SignDigits().load(Image(size=32))


@pytest.fixture(scope="module")
def model(data: Data) -> TFLiteModel:
    keras.utils.set_random_seed(0)
    return TFLiteModel(Float32().convert(Tiny(width=4).build((32, 32, 3), 10), data.train))


def test_the_same_eight_are_chosen_every_time(data: Data, model: TFLiteModel) -> None:
    agreed = Contract(
        model="tiny",
        image=data.val.image,
        labels=data.classes,
        input=model.input,
        output=model.output,
    )
    first, again = (golden_pictures(agreed, model, data, "x_golden") for _ in range(2))
    assert first == again
    assert [one.picture for _, one in first] == [f"x_golden/{number}.png" for number in range(8)]
    *labels, last = (one.label for _, one in first)
    assert len(set(labels[:4])) == 4
    assert last is None
    shown = choose(model, data.val, 7)
    assert len(set(shown)) == 7
    looked_at = data.val.sample(100)
    logits = np.sort(model.logits(data.val.inputs(looked_at)), axis=1)
    margins = dict(zip(looked_at, logits[:, -1] - logits[:, -2], strict=True))
    assert min(margins[index] for index in shown) > 0
    assert max(margins[index] for index in shown[4:]) <= np.quantile(list(margins.values()), 0.05)


def test_a_test_card_decodes_to_what_was_drawn_and_names_its_decoding() -> None:
    picture = np.asarray(photograph())
    content = card(picture, 32)
    pixels = decode(content)
    height, width = pixels.shape[:2]
    assert (height, width) == (60, 120)  # 30 of 40 rows, twice
    clear = pixels[height // 4 : height // 2, width // 3 : width // 2]
    assert (clear == 255).all()
    expected = (picture[:30].repeat(2, 0).repeat(2, 1) * [1, 0.75, 0.5]).astype(np.uint8)
    assert np.array_equal(pixels[height // 2 :], expected[height // 2 :])


def test_a_golden_picture_names_its_pixels_and_its_input(data: Data, model: TFLiteModel) -> None:
    agreed = Contract(
        model="tiny",
        image=data.val.image,
        labels=data.classes,
        input=model.input,
        output=Tensor(shape=[1, 10], dtype="float32"),
    )
    content = card(data.val.original(0), 32)
    one = golden(content, "7.png", None, agreed, model)
    pixels = decode(content)
    assert one.decoded_sha256 == sha256(pixels.tobytes())
    assert one.input_sha256 == sha256(input_of(pixels, agreed).tobytes())
