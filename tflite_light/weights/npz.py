"""Arrays in NumPy's `.npz`, by the names of Keras variables."""

import zipfile
from pathlib import Path
from typing import Self

from pydantic import Field

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights

LARGEST_BYTES = 2 << 30  # zip may compress a thousandfold; the largest network here has 0.3 GB


class Npz(Weights):
    """Names such as `block3_expand_conv/kernel`, or those of `tf_keras.applications`; or a
    checkpoint of a run from before `factorize`, `channels` and `qat`, such as
    `runs/x/checkpoints/fit.npz`.

    Where a batch norm has a beta alone it was folded into the convolution: gamma is then
    sqrt(1 + epsilon), the moving mean 0 and the moving variance 1.
    """

    path: str = Field(description="the file; relative to where the command is typed")

    def arrays(self, architecture: Architecture) -> Arrays:
        from tflite_light.weights import _checkpoint

        if self._is_checkpoint():
            return _checkpoint.read(Path(self.path), architecture)
        return read_npz(self.path)

    def references(self, architecture: Architecture) -> dict[str, Names]:
        return {"own": {}} | {
            name: names for name, names in architecture.references().items() if name == "keras"
        }

    def classes(self) -> list[str] | None:
        from tflite_light.weights import _checkpoint

        return _checkpoint.classes(Path(self.path)) if self._is_checkpoint() else None

    def image(self, architecture: Architecture) -> Image | None:
        from tflite_light.weights import _checkpoint

        return _checkpoint.image(Path(self.path)) if self._is_checkpoint() else None

    def misfit_hint(self) -> str:
        from tflite_light.weights import _checkpoint

        changed = self._is_checkpoint() and _checkpoint.changed(Path(self.path))
        return changed or super().misfit_hint()

    def _is_checkpoint(self) -> bool:
        from tflite_light.weights._kinds import kind_of

        return kind_of(self.path, "npz", "checkpoint") == "checkpoint"

    @classmethod
    def example(cls, folder: Path) -> Self:
        import numpy as np

        from tflite_light.graph import build, checkpoint

        model = build.build(cls.example_architecture(), size=32, classes=10, seed=1)
        arrays = checkpoint.weights_of(model)
        np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
        return cls(path=str(folder / "weights.npz"))


def read_npz(path: str) -> Arrays:
    """All arrays of a file. Raises UserError when it is not one; nothing in it is executed."""
    import numpy as np

    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz archive")
        with np.load(path, allow_pickle=False) as archive:
            claimed = sum(member.file_size for member in archive.zip.infolist())
            if claimed > LARGEST_BYTES:
                raise ValueError(f"it unpacks to {claimed:,} bytes")
            found = {name.removesuffix(":0"): np.asarray(archive[name]) for name in archive.files}
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(
            f"weights {path} cannot be read: {str(error)[:200]}.",
            "Give a whole .npz of plain arrays.",
        ) from error
    return found
