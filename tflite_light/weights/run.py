"""The model of another run."""

from pathlib import Path
from typing import Any

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture
from tflite_light.weights import Arrays, Weights


class Run(Weights):
    """What a run's `fit` ended with, of the same architecture."""

    path: str = Field(description="the run's folder, such as runs/mobilenet_v2")

    def arrays(self, architecture: Architecture) -> Arrays:
        from tflite_light import checkpoint

        file = Path(self.path) / "checkpoints" / "fit.npz"
        if not file.exists():
            raise UserError(
                f"weights {self.path}: no finished fit there. Give the folder of a run, such as "
                "runs/mobilenet_v2."
            )
        return checkpoint.read(file)[0]

    def load(self, model: Any, architecture: Architecture) -> list[str]:
        from tflite_light.weights._match import fit

        return fit(model, architecture, self.arrays(architecture), {"own": {}}, self.path)
