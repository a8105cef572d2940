"""Where pictures come from.

A new source is one file here with one public class derived from `Source`. It only says which
pictures there are; the rooms of `pipeline/` turn them into numbers, the same way for every source.
It reads folders by the rule in `pipeline/walk.py`, and makes class names differ by
`classes.distinct`.
Fields that name files or folders are a `Location`, so that the source can be moved. Outliers are a
class to a source; here they are set apart.
"""

import glob
import hashlib
import itertools
import json
import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from tflite_light.classes import plain
from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.parts import Part
from tflite_light.pipeline.pictures import OUTLIER, SPLITS, Pictures, Split
from tflite_light.wording import count, some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data

ALL: Literal["all"] = "all"  # pictures that are to be divided
Given = Split | Literal["all"]
Scan = tuple[list[str], dict[Given, Pictures]]


class IsLocation:
    """Marks a field whose text is a path, or a pattern of paths."""


Location = Annotated[str, IsLocation]


class Source(Part):
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

    @classmethod
    def at(cls, path: Path, skip_strangers: bool = False) -> Self | None:
        """The source that `evaluate FILE --data path` measures on, if this kind reads `path`."""
        return None

    def takes(self, path: Path) -> bool:
        """Whether the same kind reads `path`, as far as that is known before it is read."""
        unknown = "at" not in vars(type(self)) or not os.path.exists(path)
        return self.reads_files and (unknown or type(self).at(path) is not None)

    @property
    def where(self) -> str:
        """What to call the pictures to a person."""
        return f"data {getattr(self, 'path', self.key)}"

    @property
    def reads_files(self) -> bool:
        """Whether it reads files that may be moved."""
        return bool(self._locations())

    @cached_property
    def scanned(self) -> Scan:
        """What `scan` found when it was first needed, checked, outliers labelled OUTLIER; the
        option `skip_broken` is put into it.
        """
        from tflite_light.data._given import checked

        names, given = self.scan()
        classes, skip = [str(name) for name in names], getattr(self, "skip_broken", False)
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

    def located(self, where: Path, skip_strangers: bool = False) -> Self:
        """The same source at `where`: its path, or the folder that all its paths share.

        It leaves out strangers if `skip_strangers` is set and it can.
        Raises UserError for a source that reads no files, or where `where` does not exist.
        """
        fields = self._locations()
        if not fields:
            raise UserError(
                f"data {self.key} reads no files, so it cannot be read from {where}.",
                "Leave out `--data`.",
            )
        if not (os.path.exists(where) or glob.has_magic(str(where))):  # TFRecords' may be a pattern
            raise UserError(f"{where} does not exist.", "Give `--data` where the pictures are now.")
        if not self.takes(where):
            raise UserError(
                f"{where} is not of the kind that data {self.key} reads.",
                "Give `--data` pictures kept as those of the recipe.",
            )
        if len(fields) == 1:
            skipping = self.skipping if skip_strangers else {}
            return self.changed(dict.fromkeys(fields, str(where)) | skipping)
        root = self._root()
        return self.changed(
            {
                key: str(where / _placed(path).removeprefix(f"{root}/"))
                for key, path in fields.items()
                if path
            }
        )

    def without(self, names: Sequence[str]) -> Self:
        """The same source but for some pictures. Raises UserError where it cannot leave out any."""
        if not names:
            return self
        if not hasattr(self, "leave_out"):
            raise UserError(
                f"{self.where}: {count(len(names), 'picture')} to leave out: {some(names, 3)}.",
                f"data {self.key} leaves out none: remove them there.",
            )
        every = {*self.leave_out, *self.relative(list(names))}
        return self.changed({"leave_out": sorted(every)} if every else {})

    def absolute(self) -> Self:
        """The same source, found from any folder; addresses such as `gs://` stay as they are."""
        named = self._locations().items()
        return self.changed({key: _placed(path) for key, path in named if path})

    def absent(self) -> dict[str, str]:
        """Fields that name files or folders that do not exist, and what they name; cheap."""
        named = {key: path for key, path in self._locations().items() if path}
        return {key: path for key, path in named.items() if not os.path.exists(path)}

    def _locations(self) -> dict[str, str | None]:
        """Fields that hold paths, and the paths."""
        return {
            key: getattr(self, key)
            for key, field in type(self).model_fields.items()
            if IsLocation in field.metadata
        }

    def _root(self) -> str:
        """The longest path that all paths of the source begin with, absolute; else nothing."""
        paths = [_placed(path).split("/") for path in self._locations().values() if path]
        shared = itertools.takewhile(lambda steps: len({*steps}) == 1, zip(*paths, strict=False))
        return "/".join(step for step, *_ in shared)

    def relative(self, names: list[str]) -> list[str]:
        """Pictures' names without the place of the source, in one form of Unicode."""
        from tflite_light.pipeline.shards import is_remote

        root, here = self._root(), f"{Path.cwd()}/"
        bases = (f"{root}/", f"{Path(root).parent}/") if root else ()  # a folder; that of a table

        def relative(name: str) -> str:
            there = name if Path(name).is_absolute() or is_remote(name) else here + name
            base = next((base for base in bases if there.startswith(base)), None)
            return plain(there.removeprefix(base) if base else name)

        return [relative(name) for name in names]

    def bare(self) -> Self:
        """The same source without what is said of its own pictures alone: groups, and those to
        leave out that are not there."""
        said = {"group", "leave_out"} & self.model_fields_set
        if not said:
            return self
        kept = self.model_dump(include=self.model_fields_set - said)
        there = [
            one
            for one in getattr(self, "leave_out", ())
            if os.path.lexists(f"{self._root()}/{one}")
        ]
        return type(self).model_validate(kept | ({"leave_out": there} if there else {}))

    @property
    def skipping(self) -> dict[str, Any]:
        """The change by which strangers are left out, of sources that can."""
        return {"skip_strangers": True} if "skip_strangers" in type(self).model_fields else {}

    def changed(self, changes: dict[str, Any]) -> Self:
        """The same source with other fields."""
        # not model_copy, which would keep what was scanned
        return type(self).model_validate({**self.model_dump(exclude_unset=True), **changes})


def _placed(path: str) -> str:
    """Absolute, so that it is found from any folder; addresses such as `gs://` are so already."""
    from tflite_light.pipeline.shards import is_remote

    return path if is_remote(path) else str(Path(path).absolute())


def _apart(part: Pictures, outliers: bool) -> Pictures:
    """Those pictures of a part that are outliers, or the others; all of them are rarely copied."""
    chosen = [i for i, label in enumerate(part.labels) if (label == OUTLIER) == outliers]
    return part if len(chosen) == len(part) else part.chosen(chosen)
