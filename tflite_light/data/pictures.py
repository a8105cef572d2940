"""A folder of pictures without labels: what an import is calibrated and compared on."""

from pathlib import Path

from pydantic import Field

from tflite_light.data import Location, Scan, Source
from tflite_light.data._split import split_of
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, UNKNOWN, Split, pictures_of


class Unlabelled(Source):
    """JPEG, PNG, BMP or WebP files, in folders of any depth, divided 70/10/20 by content.

    They have no classes, so nothing can be trained on them.
    """

    path: Location = Field(
        min_length=1, description="the folder; relative to where the command is typed"
    )

    def scan(self) -> Scan:
        folder = Path(self.path)
        files: dict[Split, list[tuple[Path, int]]] = {name: [] for name in SPLITS}
        for path in sorted(folder.rglob("*")):
            hidden = any(step.startswith(".") for step in path.relative_to(folder).parts)
            if path.is_file() and not hidden:
                files[split_of(path.read_bytes())].append((path, UNKNOWN))
        if not any(files.values()):
            raise UserError(
                f"data folder {folder} is empty or does not exist. Set data.pictures.path."
            )
        return [], {name: pictures_of(files[name]) for name in SPLITS}
