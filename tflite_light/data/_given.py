"""What a source gives, held to what it is to give; those of users' own have no other test."""

import operator
import reprlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tflite_light.data import ALL
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, UNKNOWN, Pictures
from tflite_light.wording import count, some

if TYPE_CHECKING:
    import numpy as np

_NUMBERS = {  # of each picture; all but labels where a source has them
    "labels": "A label is the place of its class among the classes, counted from 0.",
    "stamps": "A stamp is a number that changes with the content, such as the size in bytes.",
    "checksums": "A checksum is a number by which the content is known, such as its CRC-32.",
}
_NOBODY = ("None", "nan", "NaT", "<NA>")  # how values that name no group are written


def require_whole(where: str, classes: Sequence[str], parts: Collection[str]) -> None:
    """Raises UserError where two classes have one name, or a part's pictures would be left out."""
    if twice := [name for name, number in Counter(classes).items() if number > 1]:
        raise UserError(f"{where}: two classes are called {twice[0]!r}.", "Rename one of them.")
    odd = [repr(name) for name in parts if name not in (ALL, *SPLITS)]
    if not odd and (ALL not in parts or len(parts) == 1):
        return
    found = some(odd) if odd else f"{ALL!r} beside {some([one for one in parts if one != ALL])}"
    raise UserError(
        f"{where}: it gives pictures under {found}, which would be left out.",
        "Give parts called train, val and test; or all under `ALL` alone, to have them divided.",
    )


def checked(where: str, pictures: Pictures) -> Pictures:
    """The same pictures: plain strings and numbers in lists, and a `read` that checks what it gave.

    Raises UserError where they are of different lengths, a label, stamp or checksum is no whole
    number, or a group no name.
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
    found = []
    for name, value in zip(names, values, strict=True):
        try:
            found.append(_number(key, value) if key in _NUMBERS else _group(value))
        except ValueError as error:
            raise UserError(
                f"{where}: the {key[:-1]} of {name} is {reprlib.repr(value)}, {error}.",
                _NUMBERS.get(key, "A picture of its own gets a name of its own."),
            ) from None
    return found


def _number(key: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except (TypeError, AttributeError):  # the latter of a tensor of floats
        raise ValueError("no whole number") from None
    if key == "labels" and number < UNKNOWN:
        raise ValueError("the place of no class; outliers are a class that `outliers` names")
    return number


def _group(value: Any) -> str:
    written = str(value)
    if not written.strip() or (written in _NOBODY and not isinstance(value, str)):
        raise ValueError("the name of no group")
    return written


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
