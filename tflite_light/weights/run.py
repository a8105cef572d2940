"""The model of another run."""

from pathlib import Path
from typing import Self

from pydantic import Field

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights


class Run(Weights):
    """What a run's `fit` ended with, of the same architecture."""

    path: str = Field(
        description="the run's folder, such as runs/mobilenet_v2; relative to where the command is "
        "typed"
    )

    def arrays(self, architecture: Architecture) -> Arrays:
        from tflite_light.weights import _checkpoint

        return _checkpoint.read(self._file(), architecture)

    def references(self, architecture: Architecture) -> dict[str, Names]:
        return {"own": {}}

    def classes(self) -> list[str] | None:
        from tflite_light.weights import _checkpoint

        return _checkpoint.classes(self._file())

    def image(self, architecture: Architecture) -> Image | None:
        from tflite_light.weights import _checkpoint

        return _checkpoint.image(self._file())

    def remarks(self) -> list[str]:
        from tflite_light.weights import _checkpoint

        later = _checkpoint.stages(self._file())
        if not later:
            return []
        return [f"weights {self.path}: what `fit` left, without {', '.join(later)}"]

    def _file(self) -> Path:
        if Path(self.path).is_file():
            from tflite_light.weights._kinds import kind_of

            kind_of(self.path)  # says where a file belongs
        file = Path(self.path) / "checkpoints" / "fit.npz"
        if not file.exists():
            raise UserError(
                f"weights {self.path}: no finished `fit` there.",
                "Give the folder of a run, such as runs/mobilenet_v2.",
            )
        return file

    @classmethod
    def example(cls, folder: Path) -> Self:
        from tflite_light.weights import _checkpoint

        file = folder / "checkpoints" / "fit.npz"
        _checkpoint.write_example(file, cls.example_architecture())
        return cls(path=str(folder))
