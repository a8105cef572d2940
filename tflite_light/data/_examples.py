"""Photographs of hands, for the examples that sources give to the tests."""

from pathlib import Path

from tflite_light.data.sign_digits import SignDigits

CLASSES, EACH = 3, 20


def write_photographs(folder: Path, classes: int = CLASSES, each: int = EACH) -> Path:
    """A new folder with class folders `sign0`, `sign1` ... of `each` photographs."""
    pictures = SignDigits().split("train")
    for label in range(classes):
        (folder / f"sign{label}").mkdir(parents=True)
        mine = [index for index, found in enumerate(pictures.labels) if found == label]
        for index in mine[:each]:
            content = pictures.read(index)
            assert isinstance(content, bytes)
            (folder / f"sign{label}" / Path(pictures.names[index]).name).write_bytes(content)
    return folder
