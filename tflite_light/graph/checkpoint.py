"""Named arrays and a note in one `.npz`: atomic to write, checked when read, no code in it."""

import contextlib
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.graph.copied import settle

Arrays = dict[str, np.ndarray[Any, Any]]
_NOTE = "note.json"
# What NumPy and zipfile raise for bytes that are no whole archive; NotImplementedError (a version
# or encryption of the future) is a RuntimeError, an array larger than the memory a MemoryError.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def write(path: Path, arrays: Arrays, note: dict[str, Any]) -> None:
    content = io.BytesIO()
    text = np.frombuffer(json.dumps(note).encode(), np.uint8)
    np.savez(content, **arrays, **{_NOTE: text})  # type: ignore[arg-type]
    files.write(path, content.getvalue())


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Raises UserError when the file is missing or damaged."""
    with _opened(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != _NOTE}
        return arrays, _note(archive)


def read_note(path: Path) -> dict[str, Any]:
    """The note alone, without the arrays. Raises UserError when it is missing or damaged."""
    with _opened(path) as archive:
        return _note(archive)


def _note(archive: Any) -> dict[str, Any]:
    note = json.loads(archive[_NOTE].tobytes())
    if not isinstance(note, dict):
        raise ValueError("its note is no object")
    return note


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"checkpoint {path} is missing.", "Train the recipe again.") from None
    except DAMAGE as error:
        raise UserError(
            f"checkpoint {path} is damaged ({error}).", "Restore it or train the recipe again."
        ) from error


def variables_of(model: Any) -> dict[str, Any]:
    """All variables of a model by name, such as `stem_conv/kernel`."""
    if twice := names_twice(model):
        raise ValueError(f"variables of {model.name} share names: {twice}")
    return {_name(variable): variable for variable in model.weights}


def names_twice(model: Any) -> list[str]:
    """Names that several variables have, as some may that layers of one's own make themselves."""
    counts = Counter(map(_name, model.weights))
    return [name for name, count in counts.items() if count > 1]


def _name(variable: Any) -> str:
    name: str = variable.name
    return name.removesuffix(":0")


def weights_of(model: Any) -> Arrays:
    """What the variables of a model hold, by their names."""
    return {name: variable.numpy() for name, variable in variables_of(model).items()}


def digest(arrays: Arrays, known: bytes) -> str:
    """SHA-256, in hex, of arrays by their names, and of what else is known of them."""
    found = hashlib.sha256(known)
    for name, array in sorted(arrays.items()):
        found.update(name.encode())
        found.update(array.tobytes())
    return found.hexdigest()


def non_finite(arrays: Arrays) -> list[str]:
    """Names of the arrays that hold NaN or infinity."""
    return [name for name, array in arrays.items() if not np.isfinite(array).all()]


def set_weights(model: Any, arrays: Arrays, path: Path) -> None:
    """Raises UserError when the arrays are not this model's."""
    variables = variables_of(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if shapes != found:
        odd = sorted(
            name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name)
        )
        name = odd[0]
        raise UserError(
            f"checkpoint {path} does not fit the model: {len(odd)} weights differ, first {name} "
            f"({found.get(name, 'missing')} instead of {shapes.get(name, 'none')}).",
            "Was recipe.yaml changed, or the classes of the data?",
        )
    if damaged := non_finite(arrays):
        raise UserError(
            f"checkpoint {path} is damaged: {damaged[0]} holds NaN or infinity.",
            "Restore it or train the recipe again.",
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    settle(model)
