"""Photographs of hands, for the examples that sources give to the tests."""

from pathlib import Path

from tflite_light.data.sign_digits import SignDigits

CLASSES, EACH = 3, 20


def write_photographs(folder: Path) -> Path:
    """A new folder with `CLASSES` class folders of `EACH` photographs."""
    pictures = SignDigits().split("train")
    for label in range(CLASSES):
        (folder / f"sign{label}").mkdir(parents=True)
        mine = [index for index, found in enumerate(pictures.labels) if found == label]
        for index in mine[:EACH]:
            content = pictures.read(index)
            assert isinstance(content, bytes)
            (folder / f"sign{label}" / Path(pictures.names[index]).name).write_bytes(content)
    return folder
