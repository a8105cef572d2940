"""Arrays in NumPy's `.npz`, by the names of Keras variables."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights


class Npz(Weights):
    """Names such as `block3_expand_conv/kernel`, or those of `tf_keras.applications`.

    Where a batch norm has a beta alone it was folded into the convolution: gamma is then
    sqrt(1 + epsilon), the moving mean 0 and the moving variance 1.
    """

    path: str = Field(description="the file; relative to where the command is typed")

    def arrays(self, architecture: Architecture) -> Arrays:
        return read_npz(self.path)

    def codes(self, architecture: Architecture) -> dict[str, Names]:
        references = architecture.references()
        return {"own": {}} | {code: references[code] for code in references if code == "keras"}


def read_npz(path: str) -> Arrays:
    """All arrays of a file. Raises UserError when it is not one; nothing in it is executed."""
    import numpy as np

    from tflite_light.weights._match import describe

    try:
        with np.load(describe(path), allow_pickle=False) as archive:
            found = {name.removesuffix(":0"): archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise UserError(
            f"weights {path} cannot be read: {error}. Give a whole .npz of plain arrays."
        ) from error
    return {name: _floats(Path(path), name, array) for name, array in found.items()}


def _floats(path: Path, name: str, array: Any) -> Any:
    import numpy as np

    if array.dtype.kind not in "fiu":
        raise UserError(f"weights {path}: {name} holds {array.dtype}, not numbers.")
    return array.astype(np.float32) if array.dtype.kind == "f" else array
