"""Google's ImageNet weights, as Keras publishes them."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.sockets import load as load_part
from tflite_light.weights import Arrays, Weights

APPLICATIONS = {
    "mobilenet_v1": ("MobileNet", (128, 160, 192, 224)),
    "mobilenet_v2": ("MobileNetV2", (96, 128, 160, 192, 224)),
    "xception": ("Xception", (299,)),
}


class Imagenet(Weights):
    """`tf_keras.applications` of MobileNet v1, v2 and Xception, through Keras' cache.

    They expect pixels / 127.5 - 1: `image: {mean: 127.5, std: 127.5}`.
    """

    size: Literal[96, 128, 160, 192, 224, 299] | None = Field(
        None, description="side they were trained at; default: the largest"
    )

    def arrays(self, architecture: Architecture) -> Arrays:
        return _named(self._application(architecture))

    def references(self, architecture: Architecture) -> dict[str, Names]:
        return {"keras": architecture.references().get("keras", {})}

    def image(self) -> Image | None:
        return Image(mean=(127.5,) * 3, std=(127.5,) * 3)

    @classmethod
    def at_hand(cls, architecture: Architecture) -> Self | None:
        """In Keras' cache; of several sizes the largest."""
        alpha = getattr(architecture, "alpha", 1.0)
        tenths = f"{alpha if alpha == 1 else 10 * alpha:.1f}".replace(".", "_")
        name = {
            "mobilenet_v1": f"mobilenet_{tenths}_{{}}_tf.h5",
            "mobilenet_v2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_"
            f"{float(alpha)}_{{}}.h5",
        }.get(architecture.key)
        sizes = APPLICATIONS[architecture.key][1] if name else ()
        there = [size for size in sizes if name and (_cache() / name.format(size)).is_file()]
        return cls.model_validate({"size": max(there)}) if there else None

    @classmethod
    def example_architecture(cls) -> Architecture:
        return load_part("models", "mobilenet_v1")(alpha=0.25)  # type: ignore[no-any-return]

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Its file lies in Keras' cache, where `folder` is the home of the user."""
        from tflite_light.stack import keras

        model = keras.applications.MobileNet((128, 128, 3), 0.25, weights=None)
        (folder / ".keras" / "models").mkdir(parents=True)
        model.save_weights(folder / ".keras" / "models" / "mobilenet_2_5_128_tf.h5")
        return cls(size=128)

    def _application(self, architecture: Architecture) -> Any:
        from tflite_light.stack import keras

        if (
            architecture.key not in APPLICATIONS
            or getattr(architecture, "variant", "keras") != "keras"
        ):
            raise UserError(
                f"weights.imagenet: Keras has none for {architecture.key} with these fields, only "
                f"for {', '.join(APPLICATIONS)}.",
                "Use `torch` or `npz` with a file of your own.",
            )
        name, sizes = APPLICATIONS[architecture.key]
        size = self.size or sizes[-1]
        if size not in sizes:
            raise UserError(
                f"weights.imagenet.size: {name} was not published at {size}.",
                f"Choose among {', '.join(map(str, sizes))}.",
            )
        keras.backend.reset_uids()  # Xception's shortcuts are numbered
        width = {} if name == "Xception" else {"alpha": architecture.alpha}  # type: ignore[attr-defined]
        try:
            with contextlib.redirect_stdout(sys.stderr):  # where progress belongs
                return getattr(keras.applications, name)(
                    (size, size, 3), weights="imagenet", **width
                )
        except ValueError as error:
            raise UserError(
                f"weights.imagenet: {error}.",
                "Choose fields that Keras published, or give `torch` or `npz` a file.",
            ) from error
        except Exception as error:
            raise UserError(
                f"weights.imagenet cannot be fetched: {str(error).splitlines()[0]}.", _put()
            ) from error


def _cache() -> Path:
    """The folder in which Keras looks."""
    home = Path.home() / ".keras"
    return (home if _is_usable(home) else Path("/tmp/.keras")) / "models"


def _is_usable(home: Path) -> bool:
    return os.access(home if home.exists() else home.parent, os.W_OK)


def _put() -> str:
    """What to do without a network."""
    usable = _is_usable(Path.home() / ".keras")
    other = "" if usable else ", or set HOME to a folder that can be written"
    return f"Without a network put that file into {_cache()} under its own name{other}."


def _named(application: Any) -> Arrays:
    from tflite_light.weights._plan import short_name

    return {
        f"{layer.name}/{short_name(variable)}": variable.numpy()
        for layer in application.layers
        for variable in layer.weights
    }
