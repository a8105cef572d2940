"""Inputs that a consumer made of golden pictures, as its code would give them to the runtime."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from tflite_light.contract import Contract
from tflite_light.errors import UserError
from tflite_light.measure.goldens import Values
from tflite_light.progress import say
from tflite_light.wording import count, some

_NAMES = (
    "Write what is given to the interpreter for the picture N.png as N.npy, or its bytes as N.bin."
)


def read_dumps(folder: Path, agreed: Contract) -> dict[str, Values]:
    """Golden pictures and the inputs [size, size, 3] given for them in `folder`, those that are;
    which are not, and files of no picture, are said.

    Raises UserError where there are none, or one is not of the file's type and shape.
    """
    found, used = {}, set()
    for one in agreed.golden:
        stem = folder / PurePath(one.picture).stem
        paths = [stem.with_name(stem.name + end) for end in (".npy", ".bin")]
        there = [path for path in paths if path.is_file()]
        if len(there) > 1:
            raise UserError(
                f"{folder} has {there[0].name} and {there[1].name}, both for {one.picture}.",
                "Keep one of them there.",
            )
        if there:
            found[one.picture] = _read(there[0], agreed)
            used |= {there[0]}
    if not found:
        raise UserError(f"{folder} has no input of a golden picture.", _NAMES)
    pictures = {folder / PurePath(one.picture).name for one in agreed.golden}
    _say_others(folder, agreed, found, sorted({*folder.iterdir()} - used - pictures))
    return found


def _say_others(
    folder: Path, agreed: Contract, given: Mapping[str, Values], others: Sequence[Path]
) -> None:
    """Where not all pictures have inputs given, or not all files belong to one."""
    golden = [one.picture for one in agreed.golden]
    lacking = [PurePath(picture).name for picture in golden if picture not in given]
    if lacking:
        pictures = count(len(golden), "golden picture")
        say(f"{folder} has inputs of {len(given)} of {pictures}: none of {', '.join(lacking)}")
    if others:
        belong = "belongs" if len(others) == 1 else "belong"
        say(f"{some([one.name for one in others])} in {folder} {belong} to no golden picture")


def _read(path: Path, agreed: Contract) -> Values:
    shape, kind = agreed.input.shape[1:], np.dtype(agreed.input.dtype)
    try:
        content = path.read_bytes()
        if path.suffix == ".npy":
            values = np.lib.format.read_array(io.BytesIO(content))
        else:
            values = np.frombuffer(content, kind)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {str(error).rstrip('.')}.", _NAMES) from error
    fits = path.suffix == ".bin" or list(values.shape)[-3:] == shape
    if values.dtype != kind or values.size != np.prod(shape) or not fits:
        raise UserError(
            f"{path} is {values.dtype} {list(values.shape)}, but the file takes {kind} "
            f"{agreed.input.shape}.",
            _NAMES,
        )
    made: Values = values.reshape(shape)
    return made
