"""A folder of pictures without labels: what an import is calibrated and compared on."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field

from tflite_light.data import ALL, Location, Scan, Source
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import UNKNOWN, pictures_of
from tflite_light.pipeline.walk import SKIP, SKIP_BROKEN, Walk


class Unlabelled(Source):
    """Pictures of any format, in folders of any depth, divided 70/10/20 by content.

    They have no classes, so nothing can be trained on them. `pipeline/walk.py` says which files
    count.
    """

    path: Location = Field(
        min_length=1, description="the folder; relative to where the command is typed"
    )
    skip_strangers: bool = Field(False, description=SKIP)
    skip_broken: bool = Field(False, description=SKIP_BROKEN)

    @classmethod
    def example(cls, folder: Path) -> Self:
        from tflite_light.data._examples import write_photographs

        return cls(path=str(write_photographs(folder / "photos")))

    def scan(self) -> Scan:
        folder = Path(self.path)
        walk = Walk(folder)
        there = os.path.isdir(folder)
        files = [(path, UNKNOWN) for path in walk.pictures(folder)] if there else []
        walk.conclude(self.where, "data.pictures", self.skip_strangers)
        if not files:
            found = "does not exist" if not os.path.exists(folder) else "is a file"
            raise UserError(
                f"data folder {folder} {'holds no pictures' if there else found}.",
                "Set data.pictures.path, or `--outliers`, to a folder of pictures.",
            )
        return [], {ALL: pictures_of(files)}
