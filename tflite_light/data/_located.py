"""Parts that read pictures from a place, and can read them from another."""

import glob
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from tflite_light.classes import plain
from tflite_light.errors import UserError
from tflite_light.parts import Part
from tflite_light.wording import count, some


class IsLocation:
    """Marks a field whose text is a path, or a pattern of paths."""


Location = Annotated[str, IsLocation]


class Located(Part):
    """A source apart from its pictures: the place that its `Location`s name, and the same source
    elsewhere or with other fields.
    """

    @classmethod
    def at(cls, path: Path, skip_strangers: bool = False) -> Self | None:
        """The source that `evaluate FILE --data path` measures on, if this kind reads `path`."""
        return None

    def takes(self, path: Path) -> bool:
        """Whether the same kind reads `path`, as far as that is known before it is read."""
        if not self.reads_files or not os.path.exists(path):
            return self.reads_files
        if "at" in vars(type(self)):
            return type(self).at(path) is not None
        return not self._moved(path).absent()

    @property
    def where(self) -> str:
        """What to call the pictures to a person."""
        return f"data {getattr(self, 'path', self.key)}"

    @property
    def reads_files(self) -> bool:
        """Whether it reads files that may be moved."""
        return bool(self._locations())

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
        moved = self._moved(where)
        if not self.takes(where):
            lacks = "".join(f"; {path} does not exist" for path in [*moved.absent().values()][:1])
            raise UserError(
                f"{where} is not of the kind that data {self.key} reads{lacks}.",
                "Give `--data` pictures kept as those of the recipe.",
            )
        return moved.changed(self.skipping) if skip_strangers and len(fields) == 1 else moved

    def _moved(self, where: Path) -> Self:
        fields, root = self._locations(), self._root()
        if len(fields) == 1:
            return self.changed(dict.fromkeys(fields, str(where)))
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

    def is_where(self, other: "Located") -> bool:
        """Whether both read the same place."""
        return bool(self._root()) and self._root() == other._root()

    @property
    def is_in_files(self) -> bool:
        """Whether it reads files of this computer, which are there."""
        return bool(self._root()) and not self.absent()

    @property
    def locations(self) -> list[str]:
        """Fields that hold paths."""
        return [*self._locations()]

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
