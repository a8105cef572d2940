"""The pictures of a split before they are decoded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
UNKNOWN = -1  # the label of a picture that has none


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split, read one by one when needed.

    `read(i)` gives the encoded file (bytes) or decoded pixels (uint8, height x width x 3) of
    picture `names[i]`, whose class is `labels[i]`, an index into the source's classes, or UNKNOWN.
    """

    names: list[str]
    labels: list[int]
    read: "Callable[[int], bytes | np.ndarray[Any, Any]]"
    stamps: list[int] | None = None  # numbers that change with the content, where they are cheap
    kind: str = "test pictures"  # what to call them where something is measured on them
    groups: list[str] | None = None  # who or what each shows, which may lie in one part alone

    def __len__(self) -> int:
        return len(self.names)

    def chosen(self, indices: Sequence[int]) -> "Pictures":
        """Some of the pictures, in the order of the indices."""
        return Pictures(
            [self.names[index] for index in indices],
            [self.labels[index] for index in indices],
            lambda index: self.read(indices[index]),
            self.stamps and [self.stamps[index] for index in indices],
            self.kind,
            self.groups and [self.groups[index] for index in indices],
        )


def pictures_of(files: list[tuple[Path, int]], groups: list[str] | None = None) -> Pictures:
    """Files, their labels and perhaps their groups as `Pictures`."""
    return Pictures(
        names=[str(path) for path, _ in files],
        labels=[label for _, label in files],
        read=lambda index: files[index][0].read_bytes(),
        stamps=[path.stat().st_size for path, _ in files],
        groups=groups,
    )
