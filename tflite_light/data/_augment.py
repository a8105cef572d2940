"""What training alone does to pictures: keras-cv layers, chosen by the recipe."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from tflite_light.sockets import Part
from tflite_light.stack import keras_cv, tf

PIXELS = (0, 255)


class Augment(Part):
    """Each field that is set is one step, in this order. Steps work on whole batches of 0..255
    pixels.

    Geometry, erasing and the choice of flips are drawn anew from the seed, the epoch and the batch,
    so a resumed run sees the pictures it would have seen. Colours, `rand_augment`, `mixup` and
    `cutmix` draw from TensorFlow's own counters, which no checkpoint holds: there a resumed run is
    like, not equal.
    """

    flip: Literal["horizontal", "vertical", "horizontal_and_vertical"] | None = Field(
        None, description="mirror half of the pictures"
    )
    crop: float | None = Field(
        None, gt=0, lt=1, description="smallest share of the area a random crop keeps"
    )
    translate: float | None = Field(
        None, gt=0, lt=1, description="farthest shift, share of the side"
    )
    rotate: float | None = Field(None, gt=0, le=180, description="largest turn, degrees")
    zoom: float | None = Field(None, gt=0, lt=1, description="largest change of scale, share")
    contrast: float | None = Field(
        None, gt=0, le=1, description="largest change of contrast, share"
    )
    brightness: float | None = Field(
        None, gt=0, le=1, description="largest change of brightness, share of 255"
    )
    rand_augment: float | None = Field(
        None, gt=0, le=1, description="magnitude of RandAugment (Cubuk 2019)"
    )
    erase: float | None = Field(
        None, gt=0, lt=1, description="largest side of the erased box, share"
    )
    mixup: float | None = Field(None, gt=0, description="alpha of MixUp (Zhang 2017)")
    cutmix: float | None = Field(None, gt=0, description="alpha of CutMix (Yun 2019)")

    def chosen(self) -> list[str]:
        """The steps that are set, in order."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    def layers(self, size: int) -> list[Any]:
        """The keras-cv layers, which share the global generator that `augmenter` sets."""
        return [_LAYERS[name](getattr(self, name), size) for name in self.chosen()]


def augmenter(augment: Augment, size: int, seed: int) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """(batch number, images float32 0..255, one-hot labels) -> (images, labels)."""
    generator = tf.random.Generator.from_seed(seed)
    tf.random.set_global_generator(generator)
    layers = augment.layers(size)

    def apply(number: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        if not layers:
            return images, labels
        generator.reset(tf.stack([number, tf.constant(seed, tf.int64), tf.constant(0, tf.int64)]))
        batch = {"images": images, "labels": labels}
        for layer in layers:
            batch = layer(batch, training=True)
        shape = (None, size, size, 3)
        return tf.ensure_shape(tf.clip_by_value(batch["images"], *PIXELS), shape), batch["labels"]

    return apply


_LAYERS: dict[str, Callable[[Any, int], Any]] = {
    "flip": lambda mode, _: keras_cv.layers.RandomFlip(mode),
    "crop": lambda area, size: keras_cv.layers.RandomCropAndResize(
        (size, size), (area, 1.0), (3 / 4, 4 / 3)
    ),
    "translate": lambda share, _: keras_cv.layers.RandomTranslation(share, share),
    "rotate": lambda degrees, _: keras_cv.layers.RandomRotation(degrees / 360),
    "zoom": lambda share, _: keras_cv.layers.RandomZoom(share),
    "contrast": lambda share, _: keras_cv.layers.RandomContrast(PIXELS, share),
    "brightness": lambda share, _: keras_cv.layers.RandomBrightness(share, PIXELS),
    "rand_augment": lambda magnitude, _: keras_cv.layers.RandAugment(PIXELS, magnitude=magnitude),
    "erase": lambda side, _: keras_cv.layers.RandomCutout(side, side),
    "mixup": lambda alpha, _: keras_cv.layers.MixUp(alpha),
    "cutmix": lambda alpha, _: keras_cv.layers.CutMix(alpha),
}
