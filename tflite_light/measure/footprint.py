"""How much memory a file takes at most while it runs, in a process of its own."""

import sys
from pathlib import Path

from tflite_light.errors import UserError
from tflite_light.measure.processes import last_words, ran

_SCRIPT = """
import os, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
def peak():
    lines = open("/proc/self/status")  # getrusage counts what the parent had, too
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak()
path = f"/proc/self/fd/{os.open(sys.argv[1], os.O_RDONLY)}"  # LiteRT's are UTF-8
interpreter = Interpreter(model_path=path, num_threads=1)
interpreter.allocate_tensors()
for end in interpreter.get_input_details():
    interpreter.set_tensor(end["index"], np.zeros(end["shape"], end["dtype"]))
interpreter.invoke()
print(peak() - before)
"""
_UNIT = 1024  # bytes, of what Linux counts in


def peak_bytes(path: Path) -> int | None:
    """The file, XNNPACK's copy of its weights, and activations; without LiteRT itself. None where
    the system does not tell.
    """
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-c", _SCRIPT, str(path)]
    done = ran(command)
    if done.returncode:
        raise UserError(f"{path} cannot be run: {last_words(done)}.", "Convert it again.")
    return int(done.stdout) * _UNIT
