"""The model of another run."""

from pathlib import Path

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights


class Run(Weights):
    """What a run's `fit` ended with, of the same architecture."""

    path: str = Field(description="the run's folder, such as runs/mobilenet_v2")

    def arrays(self, architecture: Architecture) -> Arrays:
        from tflite_light.graph import checkpoint
        from tflite_light.runs.folder import open_run

        file = Path(self.path) / "checkpoints" / "fit.npz"
        if not file.exists():
            raise UserError(
                f"weights {self.path}: no finished fit there. Give the folder of a run, such as "
                "runs/mobilenet_v2."
            )
        theirs = open_run(Path(self.path)).recipe.model
        if theirs != architecture:
            raise UserError(
                f"weights {self.path} are of another network: {theirs!r} there, {architecture!r} "
                "here. Write the same fields under model:."
            )
        return checkpoint.read(file)[0]

    def codes(self, architecture: Architecture) -> dict[str, Names]:
        return {"own": {}}
