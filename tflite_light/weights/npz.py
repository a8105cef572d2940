"""Arrays in NumPy's `.npz`, by the names of Keras variables."""

import zipfile

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights

LARGEST_BYTES = 2 << 30  # zip may compress a thousandfold; the largest network here has 0.3 GB


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
        if not zipfile.is_zipfile(describe(path)):
            raise ValueError("it is no .npz archive")
        with np.load(path, allow_pickle=False) as archive:
            claimed = sum(member.file_size for member in archive.zip.infolist())
            if claimed > LARGEST_BYTES:
                raise ValueError(f"it unpacks to {claimed:,} bytes")
            found = {name.removesuffix(":0"): np.asarray(archive[name]) for name in archive.files}
    except UserError:
        raise
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(
            f"weights {path} cannot be read: {str(error)[:200]}. Give a whole .npz of plain arrays."
        ) from error
    return found
