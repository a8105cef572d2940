"""What training alone does to pictures, chosen by the recipe; keras-cv does most of it."""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from tflite_light.parts import Part
from tflite_light.stack import keras_cv, tf

PIXELS = (0, 255)
Batch = dict[str, Any]  # images and labels
Step = Callable[[Batch], Batch]


class Augment(Part):
    """What is set is done in this order; crop, translate, rotate and zoom in one step, by which
    pictures are mirrored at their edges. Steps work on batches of 0..255 pixels.

    They are drawn anew from the seed, the epoch and the batch, so that a resumed run sees what it
    would have seen. `rand_augment` alone draws from TensorFlow's own counters, which no checkpoint
    holds: with it a resumed run is like the uninterrupted one, not equal.
    """

    flip: Literal["horizontal", "vertical", "horizontal_and_vertical"] | None = Field(
        None, description="mirror half of the pictures"
    )
    crop: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="smallest share of the area a random crop keeps, its sides 3:4 to 4:3",
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
    saturation: float | None = Field(
        None, gt=0, lt=1, description="largest change of saturation, share"
    )
    rand_augment: float | None = Field(
        None, gt=0, le=1, description="magnitude of RandAugment (Cubuk 2019)"
    )
    erase: float | None = Field(
        None, gt=0, lt=1, description="largest side of the erased box, share"
    )
    mixup: float | None = Field(None, ge=1e-6, description="alpha of MixUp (Zhang 2017)")
    cutmix: float | None = Field(None, ge=1e-6, description="alpha of CutMix (Yun 2019)")

    def steps(self, size: int) -> list[Step]:
        """What is set, in order; all draw from the global generator, which `augmenter` sets."""
        geometry = self.crop, self.translate, self.rotate, self.zoom
        colours = {name: getattr(self, name) for name in ("contrast", "brightness", "saturation")}
        return [
            *_layers({"flip": self.flip}),
            *([_affine(self, size)] if any(geometry) else []),
            *_layers(colours | {"rand_augment": self.rand_augment, "erase": self.erase}),
            *([_mixup(self.mixup)] if self.mixup else []),
            *([_cutmix(self.cutmix, size)] if self.cutmix else []),
        ]


def augmenter(augment: Augment, size: int, seed: int) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """(batch number, images float32 0..255, one-hot labels) -> (images, labels)."""
    generator = tf.random.Generator.from_seed(seed)
    tf.random.set_global_generator(generator)
    steps = augment.steps(size)

    def apply(number: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        if not steps:
            return images, labels
        # Philox's state is a counter of 128 bits, low half first, and a key. Each draw adds to the
        # low half: with the batch's number there, a batch would draw what the one before it drew.
        generator.reset(tf.stack([tf.constant(0, tf.int64), number, tf.constant(seed, tf.int64)]))
        batch = {"images": images, "labels": labels}
        for step in steps:
            batch = step(batch)
        pixels = tf.clip_by_value(batch["images"], *PIXELS)
        return tf.ensure_shape(pixels, (None, size, size, 3)), batch["labels"]

    return apply


def _affine(augment: Augment, size: int) -> Step:
    """Crop, shift, turn and zoom by one bilinear look-up, mirrored at the edges.

    keras-cv's layers would each be a look-up of their own: 42 ms of processor time for three
    on a batch of 32 at 96 px instead of 12, where a training step takes 180, and blur each time.
    """
    centre = (size - 1) / 2
    generator = tf.random.get_global_generator()

    def apply(batch: Batch) -> Batch:
        shape = (tf.shape(batch["images"])[0],)

        def draw(largest: float | None) -> Any:
            return generator.uniform(shape, -(largest or 0.0), largest or 0.0)

        turn, zoom = draw(math.radians(augment.rotate or 0)), 1 + draw(augment.zoom)
        area = generator.uniform(shape, augment.crop or 1.0, 1.0)
        aspect = tf.exp(draw(math.log(4 / 3)))
        matrix = []
        for cos, sin, share in (
            (tf.cos(turn), -tf.sin(turn), tf.sqrt(area * aspect)),
            (tf.sin(turn), tf.cos(turn), tf.sqrt(area / aspect)),
        ):
            kept = tf.minimum(share, 1.0) if augment.crop else tf.ones(shape)
            shift = draw(augment.translate) + draw(1.0) * (1 - kept) / 2
            x, y = zoom * kept * cos, zoom * kept * sin
            matrix += [x, y, centre * (1 - x - y) + shift * size]
        images = tf.raw_ops.ImageProjectiveTransformV3(
            images=batch["images"],
            transforms=tf.stack([*matrix, tf.zeros(shape), tf.zeros(shape)], axis=1),
            output_shape=(size, size),
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
        return {**batch, "images": images}

    return apply


def _mixup(alpha: float) -> Step:
    """Weighted sums of two pictures, and of their labels."""

    def apply(batch: Batch) -> Batch:
        others, share = _partners(batch, alpha)
        return {name: _sum(share, one, others[name]) for name, one in batch.items()}

    return apply


def _cutmix(alpha: float, size: int) -> Step:
    """A box of another picture; labels by the pixels that are in it after the edges cut it.

    keras-cv's layer takes the whole box: more than half of the labels were off by 0.1 and more.
    """
    generator = tf.random.get_global_generator()
    pixels = tf.range(size, dtype=tf.float32) + 0.5

    def apply(batch: Batch) -> Batch:
        others, share = _partners(batch, alpha)
        half = tf.sqrt(1 - share)[:, tf.newaxis] * size / 2
        centres = generator.uniform((2, tf.shape(share)[0], 1), 0, size)
        rows, columns = (abs(pixels - centre) < half for centre in (centres[0], centres[1]))
        box = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
        kept = 1 - tf.reduce_mean(tf.cast(box, tf.float32), axis=[1, 2])
        return {
            "images": tf.where(box[..., tf.newaxis], others["images"], batch["images"]),
            "labels": _sum(kept, batch["labels"], others["labels"]),
        }

    return apply


def _partners(batch: Batch, alpha: float) -> tuple[Batch, Any]:
    """The batch in a random order, and for each of it a share [n] from Beta(alpha, alpha).

    A share is G / (G + H) of two Gamma(alpha), here by their logarithms: those of a small alpha are
    all but zero, and Gamma(alpha) = Gamma(alpha + 1) U^(1 / alpha).
    """
    generator = tf.random.get_global_generator()
    count = tf.shape(batch["images"])[0]
    seeds = generator.make_seeds(2)
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds[:, 0])
    above = tf.random.stateless_gamma((2, count), seeds[:, 1], alpha + 1, dtype=tf.float64)
    drawn = 1 - generator.uniform((2, count), dtype=tf.float64)  # never 0
    logs = tf.math.log(above) + tf.math.log(drawn) / alpha
    others = {name: tf.gather(one, order) for name, one in batch.items()}
    return others, tf.cast(tf.sigmoid(logs[0] - logs[1]), tf.float32)


def _sum(share: Any, one: Any, other: Any) -> Any:
    """`share` [n] of one, the rest of the other, both [n, ...]."""
    share = tf.reshape(share, [-1, *[1] * (one.shape.rank - 1)])
    return share * one + (1 - share) * other


def _layers(strengths: dict[str, Any]) -> list[Step]:
    chosen = {name: strength for name, strength in strengths.items() if strength is not None}
    layers = [_drawn(_LAYERS[name](strength)) for name, strength in chosen.items()]
    return [functools.partial(layer, training=True) for layer in layers]


def _drawn(layer: Any) -> Any:
    """The layer, with strengths drawn from the global generator, not TensorFlow's counters."""

    class Drawn(keras_cv.core.FactorSampler):  # type: ignore[misc]
        def __init__(self, lower: float, upper: float):
            self.lower, self.upper = lower, upper

        def __call__(self, shape: Any = (), dtype: str = "float32") -> Any:
            return tf.random.get_global_generator().uniform(shape, self.lower, self.upper, dtype)

    for name, sampler in list(vars(layer).items()):
        if isinstance(sampler, keras_cv.core.UniformFactorSampler):
            setattr(layer, name, Drawn(sampler.lower, sampler.upper))
    return layer


def _saturations(share: float) -> tuple[float, float]:
    """keras-cv's f multiplies the saturation by f / (1 - f): from 1 - share to 1 + share."""
    return (1 - share) / (2 - share), (1 + share) / (2 + share)


_LAYERS: dict[str, Callable[[Any], Any]] = {
    "flip": lambda mode: keras_cv.layers.RandomFlip(mode),
    "contrast": lambda share: keras_cv.layers.RandomContrast(PIXELS, share),
    "brightness": lambda share: keras_cv.layers.RandomBrightness(share, PIXELS),
    "saturation": lambda share: keras_cv.layers.RandomSaturation(_saturations(share)),
    "rand_augment": lambda magnitude: keras_cv.layers.RandAugment(PIXELS, magnitude=magnitude),
    "erase": lambda side: keras_cv.layers.RandomCutout(side, side),
}
