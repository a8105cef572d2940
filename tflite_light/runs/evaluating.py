"""Measuring a `.tflite` file on pictures that it has not come with."""

import importlib
from pathlib import Path
from typing import Any

from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, measure_file
from tflite_light.measure.predict import open_file
from tflite_light.pipeline.examples import read
from tflite_light.pipeline.pictures import Pictures, pictures_of


def evaluate_file(path: str | Path, data: str | Path) -> Measured:
    """Accuracy of a `.tflite` on the labelled pictures of a folder or a table.

    Raises UserError when the labels are not the file's or a picture cannot be read.
    """
    path, data = Path(path), Path(data)
    model, contract = open_file(path)
    examples = read({"test": _labelled(data, contract.labels)}, contract.image)["test"]
    return measure_file(path.name, path.read_bytes(), model, examples, None)


def _module(data: Path) -> Any:
    """The source's file that knows how such pictures lie."""
    return importlib.import_module(f"tflite_light.data.{'directory' if data.is_dir() else 'csv'}")


def _labelled(data: Path, labels: list[str]) -> Pictures:
    if not data.exists():
        raise UserError(
            f"{data} does not exist. Give --data a folder of class folders or a .csv table."
        )
    pairs = _module(data).labelled(data)
    strange = sorted({label for _, label in pairs} - set(labels))
    if strange:
        raise UserError(
            f"{data} has classes the file does not know: {', '.join(strange[:5])}. "
            f"The file's {len(labels)} labels are {', '.join(labels[:10])}."
        )
    if not pairs:
        raise UserError(
            f"{data} has no pictures with a class. Give --data a folder that holds a folder of "
            "pictures for each class, or a .csv table of path and label."
        )
    return pictures_of([(picture, labels.index(label)) for picture, label in pairs])
