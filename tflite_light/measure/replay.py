"""Runs a file in another interpreter's environment, which has NumPy and some TFLite runtime alone.

Its text is given to that interpreter, which may be as old as Python 3.8; nothing imports it. In the
folder that it is started in lie `model.tflite` and `inputs.bin`, inputs in the file's own type one
behind the other; it writes `answers.json` there.
"""

import importlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List  # noqa: UP035 - for Python 3.8

import numpy as np

RUNTIMES = (  # module and package
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow", "tensorflow"),
)


def replay() -> Dict[str, Any]:  # noqa: UP006
    """What runs files there, and the file's answers or why it has none."""
    for module, package in RUNTIMES:
        try:
            runtime = importlib.import_module(module)
        except ImportError:
            continue
        version = getattr(runtime, "__version__", None) or metadata.version(package)
        kernels = "XNNPACK, " if package == "ai-edge-litert" else ""  # as runners.py names it
        name = f"{package} {version}, {kernels}{platform.machine()}"
        try:
            return {"runtime": name, "answers": answers(getattr(runtime, "lite", runtime))}
        except (ValueError, RuntimeError) as error:
            return {"runtime": name, "problem": str(error)}
    return {}


def answers(runtime: Any) -> List[List[float]]:  # noqa: UP006
    model = runtime.Interpreter(model_path="model.tflite", num_threads=1)
    model.allocate_tensors()
    (first,), (last,) = model.get_input_details(), model.get_output_details()
    found = []
    for one in np.fromfile("inputs.bin", first["dtype"]).reshape([-1, *first["shape"]]):
        model.set_tensor(first["index"], one)
        model.invoke()
        found.append(model.get_tensor(last["index"])[0].tolist())
    return found


if __name__ == "__main__":
    Path("answers.json").write_text(json.dumps(replay()))
