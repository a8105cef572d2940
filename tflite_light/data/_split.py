"""Dividing files into train, val and test, and what makes a division unfit for training."""

import hashlib
import itertools
from collections import Counter

from tflite_light.contract import require_printable
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures, Split

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
FEWEST = 3  # pictures in a class: one for each part


def split_of(content: bytes) -> Split:
    """The part a picture belongs to, by its bytes alone.

    So adding pictures never moves another, and identical files never lie on both sides. Each class
    is divided 70/10/20 in expectation.
    """
    share = _share(content, 0)
    if share < SHARES["train"]:
        return "train"
    return "val" if share < SHARES["train"] + SHARES["val"] else "test"


def held_out(content: bytes) -> bool:
    """Whether a picture given for training is kept for val, by its bytes; an eighth are.

    Independent of `split_of`, which may have divided the folders before.
    """
    return _share(content, 1) < SHARES["val"] / (SHARES["train"] + SHARES["val"])


def _share(content: bytes, word: int) -> float:
    """A number in [0, 1) that looks random: one 64-bit word of the content's SHA-256."""
    digest = hashlib.sha256(content).digest()
    return int.from_bytes(digest[8 * word : 8 * word + 8], "big") / 2**64


def require_usable(where: str, classes: list[str], parts: dict[Split, Pictures]) -> None:
    """Raises UserError where a class cannot be trained or measured."""
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none: these pictures have no labels"
        raise UserError(f"{where}: at least two classes are needed, found {found}.")
    require_printable(where, classes)
    for one, other in itertools.combinations(SPLITS, 2):
        both = set(parts[one].names) & set(parts[other].names)
        if both:
            raise UserError(f"{where}: {min(both)} is in both {one} and {other}. Keep it in one.")
    counts = {name: Counter(parts[name].labels) for name in SPLITS}
    for label, class_name in enumerate(classes):
        total = sum(counts[name][label] for name in SPLITS)
        missing = [name for name in ("train", "test") if not counts[name][label]]
        if total < FEWEST or missing:
            lack = " and ".join(missing or ["val"])
            raise UserError(
                f"{where}: class {class_name!r} has {total} pictures, too few to split: none for "
                f"{lack}. "
                "Add pictures (20 a class are safe), or sort them into train/, val/ and test/ "
                "yourself."
            )
    if not len(parts["val"]):
        raise UserError(f"{where}: no picture for val. Add pictures, or give some to val yourself.")
