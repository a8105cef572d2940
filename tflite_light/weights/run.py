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

        file = Path(self.path) / "checkpoints" / "fit.npz"
        if not file.exists():
            raise UserError(
                f"weights {self.path}: no finished fit there.",
                "Give the folder of a run, such as runs/mobilenet_v2.",
            )
        found, note = checkpoint.read(file)
        here = {architecture.key: architecture.model_dump(mode="json")}
        if note.get("model") != here:
            raise UserError(
                f"weights {self.path} are of another network: {note.get('model')} there, {here} "
                "here.",
                "Write the same fields under model:.",
            )
        return found

    def codes(self, architecture: Architecture) -> dict[str, Names]:
        return {"own": {}}
