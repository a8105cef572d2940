"""2,059 photographs of hands that show the digits 0 to 9, inside the package: no download."""

import itertools
import zipfile
from pathlib import Path

from pydantic import Field

from tflite_light.data import ALL, Scan, Source
from tflite_light.pipeline.pictures import SPLITS, Pictures

DIGITS = 10
ARCHIVE = Path(__file__).with_name("sign_digits.zip")


class SignDigits(Source):
    """Sign Language Digits (Turkey Ankara Ayranci Anadolu High School, 2017; Apache-2.0), 100 x 100
    RGB.

    Divided into 1,457 train, 219 val and 383 test pictures by the content of the original files, as
    `directory` divides them; re-encoded as JPEG of quality 90, without metadata. So pictures of
    one hand lie in several parts.
    """

    by_signer: bool = Field(False, description="divide by signers: one hand, one part")

    def scan(self) -> Scan:
        archive = zipfile.ZipFile(ARCHIVE)
        members = sorted(name for name in archive.namelist() if not name.endswith("/"))
        classes = sorted({member.split("/")[1] for member in members})
        if self.by_signer:
            members.sort(key=_number)
            labels = [classes.index(member.split("/")[1]) for member in members]
            return classes, {ALL: _pictures(archive, members, labels, _signers(labels))}
        parts = {name: [one for one in members if one.startswith(f"{name}/")] for name in SPLITS}
        return classes, {
            name: _pictures(archive, mine, [classes.index(one.split("/")[1]) for one in mine])
            for name, mine in parts.items()
        }


def _pictures(
    archive: zipfile.ZipFile,
    members: list[str],
    labels: list[int],
    signers: list[str] | None = None,
) -> Pictures:
    return Pictures(members, labels, lambda index: archive.read(members[index]), groups=signers)


def _number(member: str) -> int:
    """Of the photograph, as the camera counted: 1118 of test/0/IMG_1118.jpg."""
    return int(Path(member).stem.removeprefix("IMG_"))


def _signers(digits: list[int]) -> list[str]:
    """Whose hand each photograph shows, of photographs in the order in which they were taken.

    Nobody wrote it down, but each signer shows 0 to 9 in turn: 187 of 220 ascending runs have all
    ten, and a look at 16 runs found one hand in each. Runs that lack digits may be the rest of
    each other, a digit taken again, so such neighbours count as one signer.
    """
    begun = [0, *(i for i in range(1, len(digits)) if digits[i] <= digits[i - 1]), len(digits)]
    lacking = [end - start < DIGITS for start, end in itertools.pairwise(begun)]
    signers: list[str] = []
    for run, (start, end) in enumerate(itertools.pairwise(begun)):
        goes_on = run > 0 and lacking[run] and lacking[run - 1]
        signers += [signers[-1] if goes_on else f"signer {run}"] * (end - start)
    return signers
