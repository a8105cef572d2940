"""2,059 photographs of hands that show the digits 0 to 9, inside the package: no download."""

import zipfile
from pathlib import Path

from tflite_light.data import Scan, Source
from tflite_light.pipeline.pictures import SPLITS, Pictures

ARCHIVE = Path(__file__).with_name("sign_digits.zip")


class SignDigits(Source):
    """Sign Language Digits (Turkey Ankara Ayranci Anadolu High School, 2017; Apache-2.0), 100 x 100
    RGB.

    Divided into 1,457 train, 219 val and 383 test pictures by the content of the original files, as
    `directory` divides them; re-encoded as JPEG of quality 90, without metadata.
    """

    def scan(self) -> Scan:
        archive = zipfile.ZipFile(ARCHIVE)
        members = sorted(name for name in archive.namelist() if not name.endswith("/"))
        classes = sorted({member.split("/")[1] for member in members})
        return classes, {name: _pictures(archive, members, classes, name) for name in SPLITS}


def _pictures(
    archive: zipfile.ZipFile, members: list[str], classes: list[str], split: str
) -> Pictures:
    mine = [member for member in members if member.startswith(f"{split}/")]
    labels = [classes.index(member.split("/")[1]) for member in mine]
    return Pictures(mine, labels, read=lambda index: archive.read(mine[index]))
