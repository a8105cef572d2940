"""Where pictures come from.

A new source is one file here with one public class derived from `Source`. It only says which
pictures there are; `_pipeline.py` turns them into numbers, the same way for every source.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tflite_light.sockets import Part

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

    def __len__(self) -> int:
        return len(self.names)


Scan = tuple[list[str], dict[Split, Pictures]]


class Source(Part):
    """Labelled pictures in three parts; `test` is only ever measured on, never chosen by."""

    @abstractmethod
    def scan(self) -> Scan:
        """Class names, and each part's pictures in an order that depends on nothing but them.

        Raises UserError where there are none. Whether a training can do with them is asked after.
        """

    @property
    def where(self) -> str:
        """What to call the pictures to a person."""
        return f"data {getattr(self, 'path', self.key)}"

    @cached_property
    def scanned(self) -> Scan:
        """What `scan` found when it was first needed."""
        return self.scan()

    def classes(self) -> list[str]:
        """Class names; a picture's label is an index into them."""
        return self.scanned[0]

    def split(self, name: Split) -> Pictures:
        """The pictures of one part."""
        return self.scanned[1][name]
