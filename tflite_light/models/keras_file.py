"""A network of the user's own, saved by Keras 2."""

import contextlib
import hashlib
import json
import os
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture, Published, activation, squashing
from tflite_light.stack import keras, quiet
from tflite_light.wording import absent, first_line, some

_SAVE = "Save it with tf_keras, `model.save('my.h5')`, as a classifier of Keras' own layers."


class KerasFile(Architecture):
    """A classifier with its weights from an `.h5`, a `.keras` or a SavedModel folder of Keras 2.

    It takes [batch, size, size, 3] and answers with one number a class; a softmax at its end is
    left out, since files answer with logits. Its image: `size`, `mean` and `std` have to be those
    it was trained with. To train or compress it, its layers have to be those that TF-MOT knows.
    """

    brings_weights: ClassVar[bool] = True

    path: str = Field(
        min_length=1,
        description="the file, or the folder of the SavedModel; relative to where the command is "
        "typed",
    )

    @classmethod
    def example(cls, folder: Path) -> Self:
        path = folder / "mine.h5"
        image = keras.layers.Input((32, 32, 3))
        x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
        x = keras.layers.GlobalAveragePooling2D()(x)
        keras.Model(image, keras.layers.Dense(10, activation="softmax")(x)).save(path)
        return cls(path=str(path))

    @classmethod
    def published(cls) -> list[Published]:
        return []

    def digests(self) -> dict[str, str]:
        """Nothing where it is gone, which `build` says."""
        path = Path(self.path)
        if not path.exists():
            return {}
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        named = [str(one.relative_to(path)).encode() + one.read_bytes() for one in inside]
        content = b"".join(named) if path.is_dir() else path.read_bytes()
        return {path.name: hashlib.sha256(content).hexdigest()}

    def build(self, image_shape: tuple[int, int, int], classes: int) -> Any:
        """Raises UserError where the file is none of Keras 2, or takes or gives something else."""
        loaded = self._loaded()
        self._require_shapes(loaded, image_shape, classes)
        noise = _noise(loaded, image_shape)
        try:
            answers = loaded(noise, training=False)
            model = self._again(_without_softmax(loaded), image_shape)
        except Exception as error:  # of what is revived from a folder, nearly anything
            raise UserError(
                f"{self.path} cannot be built anew: {first_line(error)}.", _SAVE
            ) from error
        logits = model(noise, training=False)
        if not any(_alike(one, answers) for one in (logits, keras.activations.softmax(logits))):
            raise UserError(
                f"{self.path} answers otherwise when its layers are built anew: it has other "
                "layers than Keras' own, gives them more than their inputs, or draws at random.",
                _SAVE,
            )
        return model

    def _again(self, found: Any, image_shape: tuple[int, int, int]) -> Any:
        inputs = keras.layers.InputLayer
        taken = {one.name for one in found.layers if not isinstance(one, inputs)}
        name = next(name for name in ("image", "picture", "input_picture") if name not in taken)
        image = keras.layers.Input(image_shape, name=name)
        model = keras.models.clone_model(found, input_tensors=[image])
        model.set_weights(found.get_weights())
        model.trainable = True  # what to freeze is the recipe's to say
        return keras.Model(model.inputs, model.outputs, name=self.key)

    def logits(self, image: Any, classes: int) -> Any:
        return self.build(tuple(image.shape[1:]), classes)(image)

    def _loaded(self) -> Any:
        if not os.path.exists(self.path):
            raise UserError(f"model.keras_file.path: {absent(self.path)}.", _SAVE)
        if _runs_code(Path(self.path)):
            raise UserError(
                f"{self.path} has a Lambda layer, whose code would be run.",
                "Build the network of Keras' own layers.",
            )
        try:
            with quiet():
                model = keras.models.load_model(self.path, compile=False)
        except Exception as error:  # Keras raises nearly anything at what it does not know
            # What h5py leaves open in these frames would be closed after Python's end, by a crash.
            traceback.clear_frames(error.__traceback__)
            reason = first_line(error)
            raise UserError(f"{self.path} cannot be read by Keras 2: {reason}.", _SAVE) from error
        if not isinstance(model, keras.Model):
            raise UserError(f"{self.path} is a SavedModel, but none of Keras.", _SAVE)
        if not model._is_graph_network:
            raise UserError(f"{self.path} is a model of code, not of layers.", _SAVE)
        from tf_keras.src.saving.legacy.saved_model.load import (  # type: ignore[import-untyped]
            RevivedLayer,
        )

        inside = model._flatten_layers(include_self=False)
        if revived := [layer.name for layer in inside if isinstance(layer, RevivedLayer)]:
            raise UserError(f"{self.path} has layers of its own code: {some(revived)}.", _SAVE)
        return model

    def _require_shapes(self, model: Any, image_shape: tuple[int, ...], classes: int) -> None:
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            ends = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
            raise UserError(f"{self.path} has {ends}.", "Give a classifier with one of each.")
        takes, gives = model.inputs[0].shape[1:], model.outputs[0].shape[1:]
        fits = len(takes) == 3 and all(
            own in (None, side) for own, side in zip(takes, image_shape, strict=True)
        )
        if not fits:
            raise UserError(
                f"{self.path} takes {_sides(takes)}, and the recipe's pictures are "
                f"{_sides(image_shape)}.",
                "Set `image.size` to the side that it takes; other than square colour pictures "
                "cannot be given to it.",
            )
        if tuple(gives) != (classes,):
            raise UserError(
                f"{self.path} answers with {_sides(gives)} numbers, and there are {classes} "
                "classes.",
                "Give `labels` or data with the classes that it was trained for, in their order.",
            )


def _noise(model: Any, image_shape: tuple[int, int, int]) -> Any:
    """Pixels of 0..255, and others a hundredth of them around 0, of a model's type: a picture each,
    or as many as it takes at once."""
    import numpy as np  # here: `list` loads this file

    random, kind = np.random.default_rng(0), model.inputs[0].dtype
    drawn = random.uniform(0, 255, (model.inputs[0].shape[0] or 2, *image_shape))
    drawn[1::2] = drawn[1::2] / 100 - 1 if kind.is_floating else 255 - drawn[1::2]
    return drawn.astype(kind.as_numpy_dtype)


def _alike(ours: Any, theirs: Any) -> bool:
    """For each picture, to the rounding of float16, in which some compute; NaN is NaN in both."""
    import numpy as np

    largest = np.abs(np.nan_to_num(theirs)).max(axis=1, keepdims=True)
    return bool(np.isclose(ours, theirs, 0, 0.01 * largest, equal_nan=True).all())


def _sides(shape: Any) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape)


def _without_softmax(model: Any) -> Any:
    """The same up to its logits, flat and of the functional API."""
    node = squashing(model, means=False)
    if node is None or not activation(node.layer).startswith("softmax"):
        return keras.Model(model.inputs, model.outputs)
    layer = node.layer
    if node is model.outputs[0].node and not layer.weights:  # it does nothing else
        return keras.Model(model.inputs, node.keras_inputs[0])
    networks = [model, *(one for one in model.submodules if isinstance(one, keras.Model))]
    levels = [level for one in networks for level in one._nodes_by_depth.values()]
    uses = [use for level in levels for use in level if use.layer is layer]
    if len(uses) == 1 and hasattr(layer, "activation"):  # elsewhere its softmax has to stay
        layer.activation = keras.activations.linear
    return keras.Model(model.inputs, model.outputs)


def _runs_code(path: Path) -> bool:
    """Whether a saved network has a layer whose Python code loading it would run."""
    return any(map(_has_lambda, _descriptions(path)))


def _descriptions(path: Path) -> Iterator[Any]:
    """What is said of its layers, as JSON; nothing of what Keras does not read either."""
    import h5py
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    with contextlib.suppress(OSError, ValueError, KeyError, DecodeError):
        if path.is_dir():
            kind = keras.protobuf.saved_metadata_pb2.SavedMetadata
            found = kind.FromString((path / "keras_metadata.pb").read_bytes())
            for node in found.nodes:
                with contextlib.suppress(ValueError):  # of one; the others are looked at
                    yield json.loads(node.metadata)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield json.loads(archive.read("config.json"))
        else:
            with h5py.File(path) as file:
                yield json.loads(file.attrs["model_config"])


def _has_lambda(described: Any) -> bool:
    if isinstance(described, list):
        return any(map(_has_lambda, described))
    if not isinstance(described, dict):
        return False
    return described.get("class_name") == "Lambda" or any(map(_has_lambda, described.values()))
