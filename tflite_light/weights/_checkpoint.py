"""This project's own checkpoints as weights to start from."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.models import Architecture
from tflite_light.weights import Arrays

_KEEPING = ("fit", "prune", "cluster")  # phases that leave layers and variables as they were


def read(path: Path, architecture: Architecture) -> Arrays:
    """The weights of a checkpoint. Raises UserError when it is damaged or of another network."""
    arrays, note = checkpoint.read(path)
    here = {architecture.key: architecture.model_dump(mode="json")}
    there = note.get("model")
    if _unplaced(there) != _unplaced(here):
        raise UserError(
            f"weights {path} are of another network: {there} there, {here} here.",
            "Write the same fields under `model:`.",
        )
    return arrays


def _unplaced(model: Any) -> Any:
    """A network's fields without the path of a saved one: its layers say whether it is the same."""
    if not isinstance(model, dict):
        return model
    return {
        key: {name: value for name, value in fields.items() if name != "path"}
        for key, fields in model.items()
    }


def classes(path: Path) -> list[str] | None:
    """What the logits of a checkpoint stand for."""
    found: Any = checkpoint.read_note(path).get("classes")
    return [str(name) for name in found] if isinstance(found, list) else None


def image(path: Path) -> Image | None:
    """What the pictures of the training went through."""
    try:
        return Image.model_validate(checkpoint.read_note(path).get("image"), strict=False)
    except ValidationError:
        return None


def stages(path: Path) -> list[str]:
    """What the run of a checkpoint compresses its network by."""
    recipe: Any = checkpoint.read_note(path).get("recipe") or {}
    return [next(iter(stage)) for stage in recipe.get("compress", [])]


def changed(path: Path) -> str:
    """A hint where stages of the run had changed the network, whose fields stay the same."""
    every = stages(path)
    if path.stem not in every:
        return ""
    done = ["fit", *every[: every.index(path.stem) + 1]]
    first = next((place for place, key in enumerate(done) if key not in _KEEPING), None)
    if first is None:
        return ""
    return (
        f"The network is no longer that of `model:`, since the run's {done[first]} changed it. "
        f"Give the checkpoint from before, {path.with_name(done[first - 1] + '.npz')}."
    )


def write_example(path: Path, architecture: Architecture) -> Path:
    """A checkpoint as training leaves it, of ten classes."""
    from tflite_light.graph.build import build

    model = build(architecture, size=32, classes=10, seed=1)
    names = [f"class{number}" for number in range(10)]
    note = {
        "model": {architecture.key: architecture.model_dump(mode="json")},
        "image": Image(size=32).model_dump(mode="json"),
        "classes": names,
    }
    checkpoint.write(path, checkpoint.weights_of(model), note)
    return path
