"""Where pictures come from.

A new source is one file here with one public class derived from `Source`. It only says which
pictures there are; the rooms of `pipeline/` turn them into numbers, the same way for every source.
"""

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from tflite_light.contract import Image
from tflite_light.pipeline.pictures import SPLITS, Pictures, Split
from tflite_light.sockets import Part

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data

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

    def load(self, image: Image) -> "Data":
        """Every picture, decoded and sized for training.

        Raises UserError where a class cannot be trained, or a picture cannot be read.
        """
        from tflite_light.data._split import require_usable
        from tflite_light.pipeline.examples import Data, read

        parts = {name: self.split(name) for name in SPLITS}
        require_usable(self.where, self.classes(), parts)
        return Data(self.classes(), **read(parts, image))
