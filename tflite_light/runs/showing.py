"""What a training will see, before it begins: pictures of each class and altered views of them."""

from dataclasses import dataclass

import numpy as np

from tflite_light.errors import UserError
from tflite_light.pipeline.batches import views
from tflite_light.pipeline.decode import Pixels
from tflite_light.pipeline.examples import balanced
from tflite_light.pipeline.preprocess import denormalise
from tflite_light.pipeline.reading import read
from tflite_light.recipe import Recipe

PICTURES = 12  # of as many classes as there are, at most
VIEWS = 5  # altered ones of each


@dataclass(frozen=True)
class Shown:
    """A training picture: as it is, as the network takes it, and as training alters it.

    `labels` has of each view its classes and their shares: one class, unless views are mixed.
    """

    name: str
    label: str
    picture: Pixels  # height x width x 3
    sized: Pixels  # size x size x 3, like each view
    views: list[Pixels]
    labels: list[dict[str, float]]


def show(recipe: Recipe) -> list[Shown]:
    """Some training pictures of a recipe, through the steps that training takes.

    Raises UserError where the recipe is an import, or its pictures cannot be trained on.
    """
    if not recipe.train:
        raise UserError(
            "the recipe has no train:, so nothing is trained.", "Add `train: {}` to train it."
        )
    source = recipe.source
    source.require_usable()
    classes, pictures = source.classes(), source.split("train")
    some = balanced(np.array(pictures.labels), PICTURES, recipe.seed)
    chosen = pictures.chosen(sorted(some))
    examples = read({"train": chosen}, recipe.image)["train"]
    seen = list(views(examples, len(classes), recipe.augment, recipe.seed, VIEWS))
    return [
        Shown(
            chosen.names[index],
            classes[chosen.labels[index]],
            examples.original(index),
            examples.sized(index),
            [_pixels(denormalise(inputs[index], recipe.image)) for inputs, _ in seen],
            [_shares(labels[index], classes) for _, labels in seen],
        )
        for index in range(len(chosen))
    ]


def _pixels(values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)


def _shares(
    label: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", classes: list[str]
) -> dict[str, float]:
    there = np.flatnonzero(label > 0)
    return {classes[index]: round(float(label[index]), 2) for index in there.tolist()}
