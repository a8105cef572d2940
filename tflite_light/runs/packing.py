"""A recipe's pictures as shards: sized once, for trainings that read them again and again."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light import classes
from tflite_light.errors import UserError
from tflite_light.pipeline import shards
from tflite_light.pipeline.apart import require_apart
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.pipeline.reading import measurable
from tflite_light.pipeline.shards import Index, Shard
from tflite_light.pipeline.streaming import streamed
from tflite_light.progress import counted
from tflite_light.recipe import Recipe
from tflite_light.stack import tf
from tflite_light.wording import first_line

LABELS = "labels.txt"


@dataclass(frozen=True)
class Packed:
    """What a folder of shards has come to; `outliers` is their class, where there are any."""

    folder: str
    pictures: dict[str, int]
    shards: int
    size_bytes: int
    outliers: str | None = None

    @property
    def data(self) -> dict[str, object]:
        """A recipe's `data` that reads it."""
        parts: dict[str, str] = {name: f"{self.folder}/{name}-*" for name in SPLITS}
        beside = {"outliers": self.outliers} if self.outliers else {}
        return {"tfrecord": parts | {"labels": f"{self.folder}/{LABELS}"} | beside}


def pack(recipe: Recipe, folder: str) -> Packed:
    """Write a recipe's pictures, sized by its contract, into a new folder, on any path that
    TensorFlow opens. Raises UserError where that is not empty, a picture cannot be read, or too
    many are in two parts.

    The index is written last: without it the folder is no finished pack.
    """
    if not folder:
        raise UserError("the folder's name is empty.", "Give `-o` a new folder.")
    folder = folder.rstrip("/") or "/"
    _require_new(folder)
    data = recipe.source.load(recipe.image)
    require_apart(recipe.source.where, data.parts)
    data = measurable(data)
    strange = recipe.source.outliers if data.outliers else None
    known = [*data.classes, *([classes.plain(strange)] if strange else [])]
    text = "".join(f"{name}\n" for name in known)
    if not _is_list_of(text, known):
        raise UserError(
            f"{recipe.source.where}: class names such as {known[0]!r} cannot be kept one a line.",
            "Rename the classes: without blanks around names, and not all by numbers with a colon.",
        )
    try:
        tf.io.gfile.makedirs(folder)
        found: dict[str, Shard] = {}
        for name in SPLITS:
            examples = getattr(data, name)
            found |= _write(folder, name, examples, examples.labels)
        for name, examples in data.outliers.items():  # which the same patterns find
            if len(examples):
                labels = np.full(len(examples), len(data.classes))  # their class is the last
                found |= _write(folder, f"{name}-outliers", examples, labels)
        with tf.io.gfile.GFile(f"{folder}/{LABELS}", "w") as file:
            file.write(text)
        shards.write_index(folder, Index(shards.geometry(recipe.image), found))
    except tf.errors.OpError as error:
        reason = first_line(error).removeprefix(f"{folder}; ")
        raise UserError(f"cannot write {folder}: {reason}.", "Choose another folder.") from error
    pictures: dict[str, int] = {name: len(part) for name, part in data.parts.items()}
    size = sum(shard.size for shard in found.values())
    return Packed(folder, pictures, len(found), size, strange)


def _is_list_of(text: str, names: list[str]) -> bool:
    """Whether a list of names is read as these: `16:9` and `4:3` would be numbered ones."""
    try:
        return classes.parse(LABELS, text.encode()) == names
    except UserError:
        return False


def _require_new(folder: str) -> None:
    if not tf.io.gfile.exists(folder):
        return
    if not tf.io.gfile.isdir(folder):
        raise UserError(f"{folder} is a file.", "Give `-o` a new folder.")
    held = tf.io.gfile.listdir(folder)
    if any(name.endswith(".tfrecord") for name in held) and shards.INDEX not in held:
        raise UserError(
            f"{folder} has shards without {shards.INDEX}, as where packing was stopped.",
            "Remove them if they are of that, or give `-o` a new folder.",
        )
    if held:
        raise UserError(f"{folder} is not empty.", "Give `-o` a new folder.")


def _write(
    folder: str, name: str, examples: Examples, labels: "np.ndarray[Any, Any]"
) -> dict[str, Shard]:
    """One part's shards, in an order drawn once: pictures that lie together are of all classes."""
    mixed = np.random.default_rng(0).permutation(len(examples)).tolist()
    count = max(1, round(len(examples) * _size(examples) / shards.SHARD_BYTES))
    count = min(len(examples), max(count, min(shards.TOGETHER, len(examples))))
    found: dict[str, Shard] = {}
    content = streamed(lambda index: shards.encoded(examples.sized(index)), mixed)
    pictures = counted(content, len(examples), f"packing {name}")
    bounds = [number * len(examples) // count for number in range(count + 1)]
    for number in range(count):
        file = f"{name}-{number:05}-of-{count:05}.tfrecord"
        own = mixed[bounds[number] : bounds[number + 1]]
        records = ((next(pictures), int(labels[index])) for index in own)
        found[file] = shards.write_shard(f"{folder}/{file}", records)
    next(pictures, None)  # so that its line on the terminal is taken away
    return found


def _size(examples: Examples) -> float:
    """Bytes of a picture, by some of them."""
    chosen = examples.sample(20)
    return sum(len(shards.encoded(examples.sized(index))) for index in chosen) / len(chosen)
