"""Measuring a `.tflite` file on pictures that it has not come with."""

import os
import re
from dataclasses import replace
from pathlib import Path

from tflite_light.classes import plain
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, measure_file
from tflite_light.measure.predict import open_file
from tflite_light.pipeline.examples import read
from tflite_light.pipeline.pictures import Pictures
from tflite_light.sockets import load, names
from tflite_light.wording import some


def evaluate_file(path: str | Path, data: str | Path, skip_strangers: bool = False) -> Measured:
    """Accuracy of a `.tflite` on the labelled pictures of a folder or a table.

    Raises UserError when the labels are not the file's or a picture cannot be read.
    """
    path, data = Path(path), Path(data)
    model, contract = open_file(path)
    pictures = _labelled(_source(data, skip_strangers), contract.labels)
    examples = read({"test": pictures}, contract.image)["test"]
    return measure_file(path.name, path.read_bytes(), model, examples, None)


def _source(data: Path, skip_strangers: bool) -> Source:
    """What reads such a path, of all sources."""
    kinds: list[type[Source]] = [load("data", name) for name in names("data")]
    there = os.path.exists(data)
    for kind in kinds if there else ():
        if source := kind.at(data, skip_strangers):
            return source
    raise UserError(
        f"{data} does not exist.", "Give `--data` a folder of class folders or a .csv table."
    )


def _labelled(source: Source, labels: list[str]) -> Pictures:
    """The source's pictures, with the file's labels in place of its own; names are matched."""
    known, found = [plain(label) for label in labels], source.classes()
    if strange := [name for name in found if name not in known]:
        raise UserError(
            f"{source.where} has classes the file does not know: {some(strange)}. "
            f"The file's {len(labels)} labels are {some(labels, 10)}.",
            _suggestion(strange[0], known),
        )
    if twice := [name for name in found if known.count(name) > 1]:
        indices = [str(index) for index, name in enumerate(known) if name == twice[0]]
        raise UserError(
            f"the file's labels {' and '.join(indices)} are both {twice[0]!r}, so the pictures of "
            f"{source.where} cannot be told apart by that name.",
            "Export the file again, which makes its labels differ.",
        )
    places = {name: index for index, name in enumerate(known)}
    pictures = source.measured()
    return replace(pictures, labels=[places[found[label]] for label in pictures.labels])


def _suggestion(name: str, known: list[str]) -> str:
    """What to do about a class that is no label; one that occurred twice has its index there."""
    alike = [label for label in known if re.fullmatch(re.escape(name) + r" \(\d+\)", label)]
    if alike:
        return f"{name} is more than one class: write {' or '.join(alike)}."
    return "Rename them to the file's labels, or leave them out."
