"""The golden pictures of an exported file: chosen, written as PNG, and answered by it."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Contract, Golden
from tflite_light.measure.card import card
from tflite_light.measure.choosing import choose
from tflite_light.measure.goldens import golden, input_of
from tflite_light.measure.runners import TFLiteModel
from tflite_light.pipeline.decode import Pixels, decode
from tflite_light.pipeline.examples import Data, Examples
from tflite_light.pipeline.preprocess import around

GOLDENS = 8  # with the test card, which is the last
TRIED = 4  # pictures that the test card is tried with
SIDE = 512  # pixels; a larger photograph is reduced before it becomes a golden picture


def golden_pictures(
    agreed: Contract, model: TFLiteModel, data: Data, folder: str
) -> list[tuple[bytes, Golden]]:
    """Pictures of the validation part, of test where that is too small, and the file's answers.

    They spread over classes, three are near the decision boundary, and the last is a test card.
    `folder` is where they will lie, beside the file.
    """
    chosen = [(data.val, index) for index in choose(model, data.val, GOLDENS - 1)]
    lacking = GOLDENS - 1 - len(chosen)
    chosen += [(data.test, index) for index in choose(model, data.test, lacking)]
    pictures = [_reduced(_whole(part, index)) for part, index in chosen]
    labels = [data.label(part, index) for part, index in chosen]
    contents = [*map(_png, pictures), _surest(pictures[:TRIED], agreed, model)]
    return [
        (content, golden(content, f"{folder}/{number}.png", label, agreed, model))
        for number, (content, label) in enumerate(zip(contents, [*labels, None], strict=True))
    ]


def _surest(pictures: Sequence[Pixels], agreed: Contract, model: TFLiteModel) -> bytes:
    """The test card whose label is the least likely to be another on the next runtime."""

    def margin(content: bytes) -> float:
        second, first = np.sort(model.answer(input_of(decode(content), agreed)))[-2:]
        return float(first) - float(second)

    return max((card(picture, agreed.image.size) for picture in pictures), key=margin)


def _whole(part: Examples, index: int) -> Pixels:
    """A picture as it is decoded; of a pack, where it is sized already, one that gives the same."""
    picture = part.original(index)
    return around(picture, part.image) if part.pictures.geometry else picture


def _reduced(picture: Pixels) -> Pixels:
    reduced = Pillow.fromarray(picture)
    reduced.thumbnail((SIDE, SIDE))
    return np.asarray(reduced)


def _png(picture: Pixels) -> bytes:
    content = io.BytesIO()
    Pillow.fromarray(picture).save(content, "PNG")
    return content.getvalue()
