"""Measuring a `.tflite` file on pictures that it has not come with."""

from collections import Counter
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
    for kind in kinds if data.exists() else ():
        if source := kind.at(data, skip_strangers):
            return source
    raise UserError(
        f"{data} does not exist.", "Give `--data` a folder of class folders or a .csv table."
    )


def _labelled(source: Source, labels: list[str]) -> Pictures:
    """The source's pictures, with the file's labels in place of its own; names are matched."""
    known = [plain(label) for label in labels]
    found = source.classes()
    strange = [name for name in found if name not in known]
    if strange:
        raise UserError(
            f"{source.where} has classes the file does not know: {', '.join(strange[:5])}. "
            f"The file's {len(labels)} labels are {', '.join(labels[:10])}.",
            "Rename them to the file's labels, or leave them out.",
        )
    counts = Counter(known)
    twice = [name for name in found if counts[name] > 1]
    if twice:
        indices = [str(index) for index, name in enumerate(known) if name == twice[0]]
        raise UserError(
            f"the file has {counts[twice[0]]} labels {twice[0]!r} (classes {', '.join(indices)}), "
            f"so the pictures of {source.where} cannot be told apart by that name.",
            "Export the file with labels that differ.",
        )
    pictures = source.measured()
    return replace(pictures, labels=[known.index(found[label]) for label in pictures.labels])
