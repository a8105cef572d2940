"""Weights for ImageNet as others publish them, fetched when they are first needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.sockets import load as load_part
from tflite_light.weights import Arrays, Weights
from tflite_light.weights._published import NONE_OF, TABLE, Published

APPLICATIONS = {
    "mobilenet_v1": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "xception": "Xception",
}


class Imagenet(Weights):
    """Files of Google, torchvision, timm and Huawei, as docs/weights.md lists them.

    What `image:` does not say is as they were trained: size, crop, filter, mean and std.
    """

    variant = "torchvision"  # of ShuffleNet v2

    size: Literal[96, 128, 160, 192, 224, 299] | None = Field(
        None, description="side they were trained at; default: the largest"
    )

    def arrays(self, architecture: Architecture) -> Arrays:
        from tflite_light.weights._fetching import fetched
        from tflite_light.weights.torch import Torch

        file = self.published(architecture)
        path = fetched(file)
        return (
            _of_keras(file, path) if file.by_keras else Torch(path=str(path)).arrays(architecture)
        )

    def references(self, architecture: Architecture) -> dict[str, Names]:
        mine = self.published(architecture).by_keras
        known = architecture.references()
        return {name: names for name, names in known.items() if (name == "keras") == mine}

    def image(self, architecture: Architecture) -> Image | None:
        return self.published(architecture).image

    def fills(self, architecture: Architecture) -> dict[str, Any]:
        return self.published(architecture).image.model_dump(exclude_unset=True)

    def published(self, architecture: Architecture) -> Published:
        """The file for a network. Raises UserError that names those there are, if there is none."""
        rows = [row for row in TABLE if row.model == architecture.key]
        if not rows:
            known = ", ".join(sorted({row.model for row in TABLE}))
            reason = NONE_OF.get(architecture.key, f"there are some of {known}")
            raise UserError(
                f"weights.imagenet: of {architecture.key} there are none: {reason}.",
                "Give `torch` or `npz` a file.",
            )
        fitting = _fitting(architecture)
        if not fitting:
            fields = _words(architecture.model_dump())
            raise UserError(
                f"weights.imagenet: of {architecture.key} there are none with {fields}.",
                f"There are {_either(rows)}; or give `torch` or `npz` a file.",
            )
        sizes = {row.image.size: row for row in fitting}
        if self.size and self.size not in sizes:
            raise UserError(
                f"weights.imagenet.size: {architecture.key} with {_words(fitting[0].fields)} was "
                f"not published at {self.size}.",
                f"Choose among {', '.join(map(str, sorted(sizes)))}.",
            )
        return sizes[self.size or max(sizes)]

    @classmethod
    def at_hand(cls, architecture: Architecture) -> Self | None:
        """In the cache; of several sizes the largest."""
        from tflite_light.weights._fetching import cache

        rows = [row for row in _fitting(architecture) if (cache() / row.name).is_file()]
        return cls.model_validate({"size": max(row.image.size for row in rows)}) if rows else None

    @classmethod
    def example_architecture(cls) -> Architecture:
        return load_part("models", "mobilenet_v1")(alpha=0.25)  # type: ignore[no-any-return]

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Its file lies in the cache, where `folder` is the home of the user."""
        from tflite_light.stack import keras
        from tflite_light.weights._fetching import cache

        made = cls(size=128)
        path = cache() / made.published(cls.example_architecture()).name
        path.parent.mkdir(parents=True)
        keras.applications.MobileNet((128, 128, 3), 0.25, weights=None).save_weights(path)
        return made


def _fitting(architecture: Architecture) -> list[Published]:
    """The files for a network, one for each size of pictures that it was trained at."""
    mine = architecture.model_dump()
    rows = [row for row in TABLE if row.model == architecture.key]
    return [row for row in rows if {**mine, **row.fields} == mine]


def _of_keras(file: Published, path: Path) -> Arrays:
    """By the names of Keras' application, into which the file is read."""
    from tflite_light.stack import keras
    from tflite_light.weights._plan import short_name

    keras.backend.reset_uids()  # Xception's shortcuts are numbered
    width = {"alpha": file.fields["alpha"]} if file.model != "xception" else {}
    side = file.image.size
    try:
        application = getattr(keras.applications, APPLICATIONS[file.model])(
            (side, side, 3), weights=str(path), **width
        )
    except Exception as error:  # a damaged file fails in any way it likes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"weights.imagenet: {path} cannot be read: {reason}.", "Remove it, and try again."
        ) from error
    return {
        f"{layer.name}/{short_name(variable)}": variable.numpy()
        for layer in application.layers
        for variable in layer.weights
    }


def _words(fields: dict[str, Any]) -> str:
    return " ".join(f"{name} {value}" for name, value in fields.items())


def _either(rows: Sequence[Published]) -> str:
    return "; ".join(dict.fromkeys(_words(row.fields) for row in rows))
