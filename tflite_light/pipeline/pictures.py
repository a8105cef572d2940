"""The pictures of a split before they are decoded."""

import bisect
import errno
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
UNKNOWN = -1  # the label of a picture that has none
OUTLIER = -2  # of a picture that is of no class
NO_PICTURE = errno.ENODATA  # of an OSError by `read`: nothing was ever there


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split, read one by one when needed.

    `read(i)` gives the encoded file (bytes) or decoded pixels (uint8, height x width x 3) of
    picture `names[i]`, whose class is `labels[i]`, an index into the source's classes, or UNKNOWN;
    OUTLIER until a source has set those pictures apart, and of the outliers after.
    `open(i)` opens the encoded file, where less than all of it can be read.
    """

    names: list[str]
    labels: list[int]
    read: "Callable[[int], bytes | np.ndarray[Any, Any]]"
    stamps: list[int] | None = None  # numbers that change with the content, where they are cheap
    kind: str = "test pictures"  # what to call them where something is measured on them
    groups: list[str] | None = None  # who or what each shows, which may lie in one part alone
    open: "Callable[[int], IO[bytes]] | None" = None
    skip_broken: bool = False  # a picture that cannot be decoded is replaced by one of its class
    shards: list[int] | None = None  # how many lie in each file, where files are best read whole
    geometry: dict[str, Any] | None = None  # of the contract that sized them, where one has
    checksums: list[int] | None = None  # of each, where known unread; `read` holds pictures to them

    def __len__(self) -> int:
        return len(self.names)

    def chosen(self, indices: Sequence[int]) -> "Pictures":
        """Some of the pictures, in the order of the indices."""
        opened = self.open
        return replace(
            self,
            names=[self.names[index] for index in indices],
            labels=[self.labels[index] for index in indices],
            read=lambda index: self.read(indices[index]),
            stamps=self.stamps and [self.stamps[index] for index in indices],
            open=opened and (lambda index: opened(indices[index])),
            groups=self.groups and [self.groups[index] for index in indices],
            shards=self.shards and _left(self.shards, indices),
            checksums=self.checksums and [self.checksums[index] for index in indices],
        )


def _left(shards: list[int], indices: Sequence[int]) -> list[int] | None:
    """How many pictures of each file are chosen; None where they come in another order."""
    ends = list(itertools.accumulate(shards))
    files = [bisect.bisect(ends, index) for index in indices]
    return list(Counter(files).values()) if files == sorted(files) else None


def pictures_of(files: list[tuple[Path, int]], groups: list[str] | None = None) -> Pictures:
    """Files, their labels and perhaps their groups as `Pictures`."""
    return Pictures(
        names=[str(path) for path, _ in files],
        labels=[label for _, label in files],
        read=lambda index: files[index][0].read_bytes(),
        stamps=[path.stat().st_size for path, _ in files],
        open=lambda index: files[index][0].open("rb"),
        groups=groups,
    )
