"""A first run of a file that nobody vouches for, in a process that LiteRT may take down.

LiteRT checks much of a damaged file only while it computes, and then ends the process: two of
5,000 mutated files did. A kit that promises a message cannot leave that to chance.
Costs half a second.
"""

import subprocess
import sys
from pathlib import Path

from tflite_light.errors import UserError
from tflite_light.measure.processes import last_words, ran

SECONDS = 60
_SCRIPT = """
import contextlib, os, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
with contextlib.suppress(ImportError, OSError):  # where a system has them
    import resource
    used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = used + 2 * os.path.getsize(sys.argv[1]) + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    content = open(sys.argv[1], "rb").read()  # LiteRT takes no path that is no UTF-8
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for end in interpreter.get_input_details():
        interpreter.set_tensor(end["index"], np.zeros(end["shape"], end["dtype"]))
    interpreter.invoke()
except Exception as error:
    sys.exit(" ".join(str(error).split()) or type(error).__name__)
"""


def run(path: Path) -> None:
    """Raises UserError where a file does not run on zeros, in a minute and a GB beside itself."""
    command = [sys.executable, "-c", _SCRIPT, str(path)]
    try:
        ended = ran(command, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise _refused(path, f"it takes over {SECONDS} s for one picture") from None
    if ended.returncode:
        raise _refused(path, last_words(ended))


def _refused(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be run: {reason}.", "Copy it again, or convert it again.")
