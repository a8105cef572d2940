"""Where pictures come from.

A new source is one file here with one public class derived from `Source`. It only says which
pictures there are; the rooms of `pipeline/` turn them into numbers, the same way for every source.
It reads folders by the rule in `pipeline/walk.py`, and makes class names differ by
`classes.distinct`.
Fields that name files or folders are a `Location`, so that the source can be moved. Outliers are a
class to a source; here they are set apart.
"""

import hashlib
import json
from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from tflite_light.classes import plain
from tflite_light.contract import Image
from tflite_light.data._located import IsLocation as IsLocation
from tflite_light.data._located import Located
from tflite_light.data._located import Location as Location
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import OUTLIER, SPLITS, Pictures, Split
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data

ALL: Literal["all"] = "all"  # pictures that are to be divided
Given = Split | Literal["all"]
Scan = tuple[list[str], dict[Given, Pictures]]


class Source(Located):
    """Labelled pictures in three parts; `test` is only ever measured on, never chosen by."""

    outliers: str | None = Field(
        None,
        min_length=1,
        description="class whose pictures show none of the others: no label, but learnt as such",
    )

    @abstractmethod
    def scan(self) -> Scan:
        """Class names, all different, and the pictures in an order that depends on them alone.

        Pictures come in the parts that their owner gave, some of `SPLITS`; or under `ALL`, to be
        divided by content. Raises UserError where there are none, or some would be left out
        silently. Whether a training can do with them is asked after.
        """

    @cached_property
    def scanned(self) -> Scan:
        """What `scan` found when it was first needed, checked, outliers labelled OUTLIER; the
        option `skip_broken` is put into it.
        """
        from tflite_light.data._given import checked, require_whole

        names, given = self.scan()
        classes, skip = [plain(str(name)) for name in names], getattr(self, "skip_broken", False)
        require_whole(self.where, classes, given)
        found = {
            name: replace(checked(self.where, part), skip_broken=skip)
            for name, part in given.items()
        }
        if not self.outliers or plain(self.outliers) not in classes:
            return classes, found
        place = classes.index(plain(self.outliers))
        labels = {label: label - (label > place) for label in range(len(classes))}
        labels[place] = OUTLIER
        return [*classes[:place], *classes[place + 1 :]], {
            name: replace(part, labels=[labels.get(label, label) for label in part.labels])
            for name, part in found.items()
        }

    def classes(self) -> list[str]:
        """Class names, without that of outliers; a picture's label is an index into them."""
        outliers = self.outliers and plain(self.outliers)
        return [name for name in self._names() if name != outliers]

    def _names(self) -> list[str]:
        """Class names, perhaps with that of outliers, as fast as the source can tell them."""
        return self.scanned[0]

    @cached_property
    def parts(self) -> dict[Split, Pictures]:
        """The pictures of all three parts, without outliers."""
        return {name: _apart(part, outliers=False) for name, part in self._divided.items()}

    @cached_property
    def outlier_parts(self) -> dict[Split, Pictures]:
        """The outliers of all three parts; {} where the source names none.

        Raises UserError where the class that it names is not there.
        """
        if not self.outliers:
            return {}
        found = {name: _apart(part, outliers=True) for name, part in self._divided.items()}
        if not any(map(len, found.values())):
            raise UserError(
                f"{self.where} has no class {self.outliers!r} of outliers; its classes are "
                f"{some(self.classes(), 10)}.",
                f"Set `data.{self.key}.outliers` to one of them, or leave it out.",
            )
        return found

    def with_outliers_there(self) -> Self:
        """The same source; it names no class of outliers where it has none."""
        there = any(OUTLIER in part.labels for part in self.scanned[1].values())
        return self if there or not self.outliers else self.model_copy(update={"outliers": None})

    @cached_property
    def _divided(self) -> dict[Split, Pictures]:
        from tflite_light.data._split import complete

        return complete(self.where, self.scanned[1])

    def split(self, name: Split) -> Pictures:
        """The pictures of one part."""
        return self.parts[name]

    @property
    def is_divided_here(self) -> bool:
        """Whether the kit divides its pictures into parts, not their owner."""
        return ALL in self.scanned[1]

    def measured(self, outliers: bool = False) -> Pictures:
        """What a file that was trained elsewhere is measured on, or outliers of the same part.

        The part test, else val; all of them where it is the kit, not the user, that divides: which
        of them a file was trained on is then unknown.
        """
        found = {name: _apart(part, outliers) for name, part in self.scanned[1].items()}
        if ALL in found:
            return replace(found[ALL], kind="test or training pictures")
        part: Split | None = next((name for name in ("test", "val") if name in found), None)
        if part and not len(self.scanned[1][part]):
            raise UserError(
                f"{self.where} has no picture in {part}.",
                "Add some, or name the folder of the pictures to measure on.",
            )
        if not part:
            raise UserError(
                f"{self.where} has train alone, and figures on what was trained on mean little.",
                "Add test, or name the folder of the pictures to measure on.",
            )
        return found[part]

    def require_usable(self) -> None:
        """Raises UserError where a class, or outliers, cannot be trained or measured."""
        from tflite_light.data._usable import require_disjoint, require_outliers, require_usable

        require_disjoint(self.where, self._divided)
        require_usable(self.where, self.classes(), self.parts, self.scanned[1].keys())
        require_outliers(self.where, self.outlier_parts)

    def load(self, image: Image) -> "Data":
        """Every picture, decoded and sized for training.

        Raises UserError where a class cannot be trained, or a picture cannot be read.
        """
        from tflite_light.pipeline.reading import read_data

        self.require_usable()
        return read_data(self.classes(), self.parts, self.outlier_parts, image)

    def listing_digest(self) -> str:
        """SHA-256, in hex, of what a training sees: class names, each part's pictures and labels.

        Pictures go by name and stamp (a file's size, a record's checksum), not by content, which
        would take as long as training reads. Names are relative to the source, so that a moved or
        copied folder has the same digest.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(json.dumps(self.classes()).encode())
        for name in SPLITS:
            part = self._divided[name]
            stamps = part.stamps or [0] * len(part)
            rows = sorted(zip(self.relative(part.names), part.labels, stamps, strict=True))
            digest.update(json.dumps([name, rows]).encode())
        return digest.hexdigest()


def _apart(part: Pictures, outliers: bool) -> Pictures:
    """Those pictures of a part that are outliers, or the others; all of them are rarely copied."""
    chosen = [i for i, label in enumerate(part.labels) if (label == OUTLIER) == outliers]
    return part if len(chosen) == len(part) else part.chosen(chosen)
