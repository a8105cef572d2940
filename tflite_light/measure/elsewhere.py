"""A file run by the TFLite runtime of another interpreter's environment."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_light import files
from tflite_light.contract import Tensor
from tflite_light.errors import UserError
from tflite_light.measure.goldens import Values
from tflite_light.measure.processes import last_words, ran

SCRIPT = Path(__file__).with_name("replay.py")
LIMIT_S = 600
_PYTHON = "Give the Python of an environment with NumPy and a TFLite runtime: `--runtime {}`"
_EXAMPLE = "ENV/bin/python"


@dataclass(frozen=True)
class Replayed:
    """What ran a file there, and its answers [classes] in the file's own type; or what it said
    instead.
    """

    runtime: str
    answers: list[Values]
    problem: str = ""


def replay(python: Path, model: Path, inputs: Sequence[Values], output: Tensor) -> Replayed:
    """The answers of the file `model` to inputs [size, size, 3] in the file's own type.

    Raises UserError where `python` is no interpreter, has no runtime, or ends on the way.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(model.read_bytes())
        (folder / "inputs.bin").write_bytes(b"".join(one.tobytes() for one in inputs))
        _run(python, folder)
        found = files.read_json(folder / "answers.json")
    if not found:
        raise UserError(
            f"{python} has no TFLite runtime: neither ai_edge_litert nor tflite_runtime nor "
            "tensorflow can be imported there.",
            f"Install one: `{python} -m pip install ai-edge-litert`",
        )
    answers = [np.array(one, output.dtype) for one in found.get("answers", [])]
    return Replayed(found["runtime"], answers, found.get("problem", ""))


def _run(python: Path, folder: Path) -> None:
    """Isolated from this process's own PYTHONPATH, and from the folders around the script."""
    program = str(python.absolute() if python.exists() else python)  # else one on the PATH
    command = [program, "-E", "-"]
    try:
        done = ran(command, input=SCRIPT.read_text(), cwd=folder, timeout=LIMIT_S)
    except OSError as error:
        raise UserError(
            f"{python} cannot be run: {error.strerror}.", _PYTHON.format(_EXAMPLE)
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{python} has not answered within {LIMIT_S} s.") from error
    if done.returncode or not (folder / "answers.json").exists():
        last = last_words(done)
        raise UserError(f"{python} ended before it answered: {last}.", _PYTHON.format(_EXAMPLE))
