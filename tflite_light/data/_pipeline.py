"""The only place where pictures become numbers, for training, calibration, evaluation and
prediction.

What is done is written in `contract.Image`; pixels stay uint8 until the last step.
"""

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from tflite_light.contract import Image
from tflite_light.data import SPLITS, UNKNOWN, Pictures, Source
from tflite_light.data._augment import Augment, augmenter
from tflite_light.data._split import require_usable
from tflite_light.errors import UserError
from tflite_light.stack import tf

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

Name = TypeVar("Name", bound=str)

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the error at twice that is meant

MEMORY_SHARE = (
    0.25  # of the machine's memory that resized pictures may fill; beyond it they are streamed
)
_POOL = ThreadPoolExecutor(
    os.cpu_count()
)  # Pillow lets other threads run while it decodes and resizes


def decode(content: bytes) -> Pixels:
    """An encoded picture as uint8 RGB, turned upright, transparency on white.

    Raises OSError or ValueError when it is not a picture, is cut short, or is larger than Pillow's
    limit against decompression bombs.
    """
    try:
        with Pillow.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.load()
            return np.asarray(_to_rgb(ImageOps.exif_transpose(picture)))
    except UnidentifiedImageError:
        raise ValueError("not a JPEG, PNG, BMP or WebP picture") from None
    except (Pillow.DecompressionBombError, SyntaxError, EOFError) as error:
        raise ValueError(str(error)) from error


def _to_rgb(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255 instead
        grey = np.asarray(picture).astype(np.int64) >> 8
        return Pillow.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Pillow.new("RGBA", picture.size, "white")
        return Pillow.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def fit(picture: Pixels, image: Image) -> Pixels:
    """Height x width x 3 -> size x size x 3, by the contract's box and filter."""
    height, width = picture.shape[:2]
    cut = Pillow.fromarray(picture).crop(image.box(width, height))
    chosen = Pillow.Resampling[image.filter.upper()]
    return np.asarray(cut.resize((image.size, image.size), chosen))


def normalise(pixels: Any, image: Image) -> Any:
    """0..255 RGB of any shape (..., 3), NumPy or TensorFlow, float32 -> what the model takes."""
    ordered = pixels if image.channels == "RGB" else pixels[..., ::-1]
    return (ordered - _spread(image.mean, pixels)) / _spread(image.std, pixels)


def _spread(values: Any, pixels: Any) -> Floats:
    """A value a channel, repeated for each pixel of one picture.

    TensorFlow takes 5 times as long to spread three values itself: 6 ms of a step's 150.
    """
    return np.array(np.broadcast_to(np.array(values, np.float32), pixels.shape[-3:]))


@dataclass(frozen=True)
class Examples:
    """The pictures of one split, sized for the model: in memory if they fit, else read anew."""

    pictures: Pictures
    image: Image
    cached: Pixels | None

    def __len__(self) -> int:
        return len(self.pictures)

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        return np.array(self.pictures.labels, np.int64)

    def original(self, index: int) -> Pixels:
        """One picture as decoded, before the contract's resizing."""
        content = self.pictures.read(index)
        return decode(content) if isinstance(content, bytes) else content

    def sized(self, index: int) -> Pixels:
        """One picture, uint8 size x size x 3."""
        return fit(self.original(index), self.image) if self.cached is None else self.cached[index]

    def pixels(self, indices: Any) -> Pixels:
        """Some pictures, uint8 [count, size, size, 3]."""
        if self.cached is not None:
            cached: Pixels = self.cached[indices]
            return cached
        return np.stack(list(_POOL.map(self.sized, indices)))

    def sample(self, count: int) -> list[int]:
        """Indices of `count` pictures (or all), spread evenly: they may lie sorted by class."""
        count = min(count, len(self))
        return [index * len(self) // count for index in range(count)]

    def inputs(self, indices: Sequence[int], batch_size: int = 64) -> Iterator[Floats]:
        """Some pictures as the model takes them, float32, in batches."""
        for start in range(0, len(indices), batch_size):
            pixels = self.pixels(indices[start : start + batch_size])
            yield normalise(pixels.astype(np.float32), self.image)


@dataclass(frozen=True)
class Data:
    """A source, read and checked."""

    classes: list[str]
    train: Examples
    val: Examples
    test: Examples

    def label(self, index: int) -> str | None:
        """The class of a test picture, where it is known."""
        label = self.test.labels[index]
        return None if label == UNKNOWN else self.classes[label]


def load(source: Source, image: Image) -> Data:
    """A source's three parts. Raises UserError as `read` does, and where none can be trained."""
    parts = {name: source.split(name) for name in SPLITS}
    classes = source.classes()
    require_usable(source.where, classes, parts)
    return Data(classes, **read(parts, image))


def read(parts: Mapping[Name, Pictures], image: Image) -> dict[Name, Examples]:
    """Decode and size every picture once, and keep them all when they fit in memory.

    Raises UserError with up to ten names of pictures that cannot be decoded, and their count.
    """
    size = sum(len(pictures) for pictures in parts.values()) * image.size**2 * 3
    keep = size <= MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    problems: list[str] = []
    examples = {
        name: _examples(pictures, image, keep, problems) for name, pictures in parts.items()
    }
    if problems:
        raise UserError(_unreadable(problems))
    return examples


def _examples(pictures: Pictures, image: Image, keep: bool, problems: list[str]) -> Examples:
    streamed = Examples(pictures, image, None)
    cache = np.zeros((len(pictures) if keep else 0, image.size, image.size, 3), np.uint8)

    def read_one(index: int) -> None:
        try:
            pixels = streamed.sized(index)
        except (OSError, ValueError) as error:
            problems.append(f"{pictures.names[index]} ({error})")
        else:
            if keep:
                cache[index] = pixels

    list(_POOL.map(read_one, range(len(pictures))))
    return Examples(pictures, image, cache if keep else None)


def _unreadable(problems: list[str]) -> str:
    named = "; ".join(sorted(problems)[:10])
    more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
    noun = "picture" if len(problems) == 1 else "pictures"
    return f"{len(problems)} {noun} cannot be read: {named}{more}. Repair or remove them."


def training(
    examples: Examples, classes: int, batch_size: int, augment: Augment, seed: int, epochs: range
) -> Any:
    """A dataset of (input, one-hot label) batches for all of `epochs`, without a break between
    them.

    Order and augmentation follow from the seed and the epoch alone, so an epoch is the same whether
    or not the ones before it ran in this process. What does not fill a batch waits for another
    epoch's order: batch norm cannot use a batch of one.
    """
    steps = steps_per_epoch(examples, batch_size)
    batch_size = min(batch_size, len(examples))
    labels = tf.constant(examples.labels)  # one-hot by the batch: ImageNet's would take 5 GB
    cached = None if examples.cached is None else tf.constant(examples.cached)
    alter = augmenter(augment, examples.image.size, seed)

    def order(epoch: Any) -> Any:
        indices = tf.random.experimental.stateless_shuffle(
            tf.range(len(examples)), seed=[seed, epoch]
        )
        batches = tf.reshape(indices[: steps * batch_size], [steps, batch_size])
        return tf.data.Dataset.from_tensor_slices(
            (tf.range(epoch * steps, (epoch + 1) * steps), batches)
        )

    def read(indices: Any) -> Any:
        if cached is not None:
            return tf.gather(cached, indices)
        pixels = tf.numpy_function(examples.pixels, [indices], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (batch_size, examples.image.size, examples.image.size, 3))

    def batch(number: Any, indices: Any) -> tuple[Any, Any]:
        pixels = tf.cast(read(indices), tf.float32)
        targets = tf.one_hot(tf.gather(labels, indices), classes)
        pixels, targets = alter(number, pixels, targets)
        return normalise(pixels, examples.image), targets

    numbers = tf.data.Dataset.range(epochs.start, epochs.stop)
    return numbers.flat_map(order).map(batch).prefetch(4)


def evaluation(examples: Examples, classes: int, batch_size: int = 64) -> Any:
    """A dataset of (input, one-hot label) batches, in order and unaltered."""
    labels = np.eye(classes, dtype=np.float32)[examples.labels]

    def batches() -> Iterator[tuple[Floats, Floats]]:
        for number, batch in enumerate(examples.inputs(range(len(examples)), batch_size)):
            yield batch, labels[number * batch_size : number * batch_size + len(batch)]

    size = examples.image.size
    signature = (
        tf.TensorSpec((None, size, size, 3), tf.float32),
        tf.TensorSpec((None, classes), tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return (dataset if examples.cached is None else dataset.cache()).prefetch(2)


def steps_per_epoch(examples: Examples, batch_size: int) -> int:
    """Full batches in one epoch; a set smaller than a batch is one."""
    return max(1, len(examples) // batch_size)
