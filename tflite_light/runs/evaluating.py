"""Measuring a `.tflite` file on pictures that it has not come with."""

import os
import re
from dataclasses import replace
from pathlib import Path

from tflite_light.classes import distinct, plain
from tflite_light.contract import Image
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, measure_file
from tflite_light.measure.balance import Balance
from tflite_light.measure.confidence import FEWEST
from tflite_light.measure.predict import open_file
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import UNKNOWN, Pictures, Split
from tflite_light.pipeline.reading import read
from tflite_light.progress import say
from tflite_light.sockets import load, names
from tflite_light.wording import some

NO_THRESHOLD = "has no threshold, so it gives every picture a label"


def evaluate_file(
    path: str | Path,
    data: str | Path,
    skip_strangers: bool = False,
    outliers: str | Path | None = None,
) -> Measured:
    """Accuracy of a `.tflite` on the labelled pictures of a folder or a table.

    They may be of some of its classes, in any order: names are matched. `outliers` is a folder of
    pictures of no class. Raises UserError when the pictures have labels that are not the file's, or
    one cannot be read.
    """
    path, data = Path(path), Path(data)
    model, contract = open_file(path)
    if outliers and not (contract.confidence and contract.confidence.threshold is not None):
        hint = f"Export it again, by {FEWEST} val pictures or more."
        raise UserError(f"{path} {NO_THRESHOLD}.", hint)
    pictures = labelled(path, source_at(data, skip_strangers), contract.labels)
    examples = read({"test": pictures}, contract.image)["test"]
    strange = outliers_at(outliers, contract.image, skip_strangers) if outliers else None
    classes = distinct(str(path), contract.labels)
    remark(examples, classes)
    made = path.name, path.read_bytes(), model, examples, classes, None
    return measure_file(*made, contract, strange)


def outliers_at(folder: str | Path, image: Image, skip_strangers: bool) -> Examples:
    """The pictures of a folder, at any depth, that show none of a file's classes."""
    fields = {"path": str(folder), "skip_strangers": skip_strangers}
    pictures = load("data", "pictures").model_validate(fields).measured()
    return read({"outliers": pictures}, image)["outliers"]


def remark(examples: Examples, classes: list[str]) -> None:
    """Say on stderr which classes have no pictures, and where some have far more than others."""
    if UNKNOWN in examples.labels:
        return
    balance = Balance.of(classes, examples.labels)
    if absent := [name for name in classes if name not in balance.pictures]:
        say(f"no pictures of {len(absent)} of {len(classes)} classes: {some(absent)}")
    if balance.uneven:
        say(f"{balance.sentence()}; look at balanced accuracy and at each class")


def source_at(data: Path, skip_strangers: bool) -> Source:
    """What reads such a path, of all sources."""
    kinds: list[type[Source]] = [load("data", name) for name in names("data")]
    there = os.path.exists(data)
    for kind in kinds if there else ():
        if source := kind.at(data, skip_strangers):
            return source
    raise UserError(
        f"{data} does not exist.", "Give `--data` a folder of class folders or a .csv table."
    )


def labelled(model: Path, source: Source, labels: list[str], part: Split | None = None) -> Pictures:
    """A part of the source, or what it has to measure others on, with the labels of a model (a file
    or a run) in place of its own; names are matched.

    They may be some of the labels, in any order. Raises UserError where they are others.
    """
    known, found = [plain(label) for label in labels], source.classes()
    if strange := [name for name in found if name not in known]:
        raise UserError(
            f"{source.where} has classes that {model} does not know: {some(strange)}. "
            f"Its {len(labels)} labels are {some(labels, 10)}.",
            _suggestion(strange[0], known),
        )
    if twice := [name for name in found if known.count(name) > 1]:
        indices = [str(index) for index, name in enumerate(known) if name == twice[0]]
        raise UserError(
            f"labels {' and '.join(indices)} of {model} are both {twice[0]!r}, so the pictures of "
            f"{source.where} cannot be told apart by that name.",
            "Export the file again, which makes its labels differ.",
        )
    places = {name: index for index, name in enumerate(known)}
    pictures = source.split(part) if part else source.measured()
    return replace(pictures, labels=[places[found[label]] for label in pictures.labels])


def _suggestion(name: str, known: list[str]) -> str:
    """What to do about a class that is no label; one that occurred twice has its index there."""
    alike = [label for label in known if re.fullmatch(re.escape(name) + r" \(\d+\)", label)]
    if alike:
        return f"{name} is more than one class: write {' or '.join(alike)}."
    return (
        "Rename them to its labels, or leave them out; pictures of no class are for `--outliers "
        "FOLDER` of `evaluate`."
    )
