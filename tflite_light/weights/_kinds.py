"""What a file of weights is, seen from its content, and which part reads it."""

import zipfile
from pathlib import Path
from typing import NoReturn

from tflite_light.errors import UserError

SUFFIXES = {".pt": "torch", ".pth": "torch", ".bin": "torch", ".tar": "torch", ".ckpt": "torch"}
SUFFIXES |= {".npz": "npz", ".safetensors": "safetensors", ".h5": "keras", ".keras": "keras"}
KERAS_HINT = (
    "Save its weights in Python: "
    "`numpy.savez('weights.npz', **{w.name: w.numpy() for w in model.weights})`, and write "
    "`weights: {npz: {path: weights.npz}}`."
)


def kind_of(path: str, *known: str) -> str:
    """Which of the kinds `known` a file is: torch, safetensors, npz, checkpoint (this project's).

    Raises UserError that says where in a recipe the file belongs, if it is none of them.
    """
    place = Path(path)
    if place.is_dir():
        _refuse_folder(place)
    if not place.is_file():
        raise UserError(
            f"weights {path} do not exist.",
            "Give the path of a file, relative to where the command is typed.",
        )
    kind = _content(place) or SUFFIXES.get(place.suffix.lower(), "")
    if kind not in known:
        _refuse(path, kind)
    return kind


def _content(path: Path) -> str:
    """By the first bytes, or the members of an archive; nothing where that does not tell."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(b"\x89HDF"):
        return "keras"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    return _members(path) if head.startswith(b"PK") else ""


def _members(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged archive; its reader says so
        return ""
    if "note.json.npy" in names:
        return "checkpoint"
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    if "model.weights.h5" in names:
        return "keras"
    return "npz" if any(name.endswith(".npy") for name in names) else ""


def _refuse(path: str, kind: str) -> NoReturn:
    problems = {
        "torch": "is a PyTorch checkpoint",
        "safetensors": "is a .safetensors file",
        "npz": "is a NumPy .npz archive",
        "checkpoint": "is a checkpoint of this project",
        "tflite": "is a .tflite file, whose weights are folded and perhaps quantised",
        "keras": "is a Keras file",
    }
    hints = {
        "tflite": "Give what it was exported from, such as `weights: {run: {path: runs/NAME}}`.",
        "keras": KERAS_HINT,
        "checkpoint": f"Write `{_checkpoint_line(Path(path))}`.",
    }
    part = {"safetensors": "torch"}.get(kind, kind)
    raise UserError(
        f"weights {path}: {problems.get(kind, 'neither a PyTorch checkpoint nor an .npz file')}.",
        hints.get(kind)
        or (
            f"Write `weights: {{{part}: {{path: {path}}}}}`."
            if kind
            else "Give a .pth, .pt, .safetensors or .npz file."
        ),
    )


def _refuse_folder(path: Path) -> NoReturn:
    if (path / "checkpoints").is_dir():
        raise UserError(
            f"weights {path}: the folder of a run.", f"Write `weights: {{run: {{path: {path}}}}}`."
        )
    if (path / "saved_model.pb").exists():
        raise UserError(f"weights {path}: a TensorFlow SavedModel.", KERAS_HINT)
    raise UserError(f"weights {path}: a folder.", "Give the path of a file.")


def _checkpoint_line(path: Path) -> str:
    """The line of a recipe that starts from a checkpoint: by its run, if it is what `run` takes."""
    if path.parts[-2:] == ("checkpoints", "fit.npz"):
        return f"weights: {{run: {{path: {path.parent.parent}}}}}"
    return f"weights: {{npz: {{path: {path}}}}}"
