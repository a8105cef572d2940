"""What a source gives, held to what it is to give; those of users' own have no other test."""

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import Pictures

if TYPE_CHECKING:
    import numpy as np

_OF_EACH = {"groups": str, "stamps": int, "checksums": int}  # where a source has them


def checked(where: str, pictures: Pictures) -> Pictures:
    """The same pictures: plain strings and numbers in lists, and a `read` that checks what it gave.

    Raises UserError where they are of different lengths, or a label is no whole number.
    """
    there = [key for key in _OF_EACH if getattr(pictures, key) is not None]
    for key in ("labels", *there):
        if (number := len(getattr(pictures, key))) != len(pictures.names):
            raise UserError(
                f"{where}: it gives {len(pictures.names)} names and {number} {key}.",
                f"Give as many {key} as names.",
            )

    def read(index: int) -> "bytes | np.ndarray[Any, Any]":
        return _picture(where, pictures.names[index], pictures.read(index))

    plain: dict[str, Any] = {key: [*map(_OF_EACH[key], getattr(pictures, key))] for key in there}
    return replace(
        pictures,
        names=[str(name) for name in pictures.names],
        labels=_whole(where, pictures.names, pictures.labels),
        read=read,
        **plain,
    )


def _whole(where: str, names: Sequence[str], labels: Sequence[Any]) -> list[int]:
    try:
        return [operator.index(label) for label in labels]
    except TypeError:
        odd = next(i for i, label in enumerate(labels) if not hasattr(label, "__index__"))
        raise UserError(
            f"{where}: the label of {names[odd]} is {labels[odd]!r}, no whole number.",
            "A label is the place of its class among the classes, counted from 0.",
        ) from None


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
