"""What a source gives, held to what it is to give; those of users' own have no other test."""

import operator
import reprlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import Pictures
from tflite_light.wording import count

if TYPE_CHECKING:
    import numpy as np

_NUMBERS = {  # of each picture; all but labels where a source has them
    "labels": "A label is the place of its class among the classes, counted from 0.",
    "stamps": "A stamp is a number that changes with the content, such as the size in bytes.",
    "checksums": "A checksum is a number by which the content is known, such as its CRC-32.",
}


def checked(where: str, pictures: Pictures) -> Pictures:
    """The same pictures: plain strings and numbers in lists, and a `read` that checks what it gave.

    Raises UserError where they are of different lengths, or a label, stamp or checksum is no whole
    number.
    """
    there = [key for key in (*_NUMBERS, "groups") if getattr(pictures, key) is not None]
    for key in there:
        if (number := len(getattr(pictures, key))) != len(pictures.names):
            raise UserError(
                f"{where}: it gives {count(len(pictures.names), 'name')} and "
                f"{count(number, key.removesuffix('s'))}.",
                f"Give as many {key} as names.",
            )

    def read(index: int) -> "bytes | np.ndarray[Any, Any]":
        return _picture(where, pictures.names[index], pictures.read(index))

    plain: dict[str, Any] = {
        key: _plain(where, key, pictures.names, getattr(pictures, key)) for key in there
    }
    return replace(pictures, names=[*map(str, pictures.names)], read=read, **plain)


def _plain(where: str, key: str, names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """Of groups their names, of all else whole numbers."""
    if key not in _NUMBERS:
        return [*map(str, values)]
    numbers = []
    for name, value in zip(names, values, strict=True):
        try:
            numbers.append(operator.index(value))
        except (TypeError, AttributeError):  # the latter of a tensor of floats
            raise UserError(
                f"{where}: the {key.removesuffix('s')} of {name} is {reprlib.repr(value)}, no "
                "whole number.",
                _NUMBERS[key],
            ) from None
    return numbers


def _picture(where: str, name: str, found: Any) -> "bytes | np.ndarray[Any, Any]":
    if isinstance(found, bytes | bytearray | memoryview):
        return bytes(found)
    import numpy as np  # here, since instant commands need none of it

    if isinstance(found, np.ndarray):
        if found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3 and found.size:
            return found
        what = f"{found.dtype} of {' x '.join(map(str, found.shape)) or 'no dimension'}"
    else:
        what = type(found).__name__
    raise UserError(
        f"{where}: reading {name} gave {what}, neither an encoded picture nor its pixels.",
        "Let `read` give bytes of a file, or NumPy's uint8 of height x width x 3, from 0 to 255.",
    )
