"""What each operator of a file takes, by LiteRT's own profiler.

Its Python package has none, but the library in it has the C functions, `litert/c/litert_profiler.h`
of google-ai-edge/LiteRT, whose structures are said to be stable. In a process of its own: what
is wrong there ends it.
"""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tflite_light.errors import UserError
from tflite_light.measure.processes import last_words, ran

RUNS = 50
_OPERATOR, _INSIDE = 2, 8  # kinds of event: of TFLite's own operators, and inside a delegate
_SCRIPT = Path(__file__).with_name("profile_.py")


@dataclass(frozen=True)
class Spent:
    """What all calls of a kernel take for a picture."""

    kernel: str
    calls: int
    ms: float


@dataclass(frozen=True)
class Profile:
    """`kernels`, those first that take longest. `partitions` are runs of operators that XNNPACK
    takes, `outside` the operators that it does not.
    """

    kernels: list[Spent]
    outside: list[str]
    partitions: int


def profile(path: Path, threads: int) -> Profile:
    """Medians of 50 pictures. Raises UserError where LiteRT does not run the file so."""
    command = [sys.executable, str(_SCRIPT), str(path), str(threads), str(RUNS)]
    done = ran(command)
    if done.returncode:
        raise UserError(
            f"{path} cannot be profiled: {last_words(done)}.",
            "Leave out `--profile`: the times are without it.",
        )
    found = json.loads(done.stdout)
    return Profile(*_spent(found["events"]), found["partitions"])


def _spent(events: list[tuple[int, str, int, int]]) -> tuple[list[Spent], list[str]]:
    """Kernels, and the operators that TFLite runs itself. Events are kind, name, number of the
    operator, and microseconds; of all runs in a row.
    """
    times: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for kind, name, number, us in events:
        if kind in (_OPERATOR, _INSIDE):
            times[kind, name, number].append(us)
    spent: dict[str, Spent] = {}
    for (_, name, _), found in times.items():
        calls = len(found) // RUNS  # each part that XNNPACK runs counts its operators from 0
        so_far = spent.get(name, Spent(name, 0, 0.0))
        ms = so_far.ms + median(found) * calls / 1000
        spent[name] = Spent(name, so_far.calls + calls, ms)
    kernels = [*spent.values()]
    own = [name for kind, name, _ in times if kind == _OPERATOR]
    return sorted(kernels, key=lambda one: -one.ms), own
