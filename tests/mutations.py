"""Mutated files through `inspect`, `predict` and `verify`, in a process that LiteRT may take down.

    python mutations.py FOLDER START END

FOLDER has the files that are mutated, each time in another way by the number of the mutation, and
what lies beside `signs_int8.tflite`. A line of JSON says what became of one: what each command made
of it.
"""

import contextlib
import io
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.measure.predict import Predictor
from tflite_light.report import costs
from tflite_light.runs.inspecting import inspect
from tflite_light.runs.verifying import verify

MEMORY = 1 << 30  # bytes that the process may add to what it has
NUMBERS = (0, 1, 2, -1, -2, 127, 128, 255, 2**15, 2**16, 2**20, 2**30, 2**31 - 1, -(2**31))
PICTURE = np.full((40, 40, 3), 100, np.uint8)


def mutated(sources: list[bytes], number: int) -> bytes:
    """One to three changes, more often where the structure is than among the values."""
    chance = random.Random(number)
    content = bytearray(chance.choice(sources))
    places = structure(bytes(content))
    for _ in range(chance.randint(1, 3)):
        if len(content) < 64:
            break
        at = chance.randrange(len(content)) if chance.random() < 0.3 else chance.choice(places)
        _change(content, at % len(content), sources, chance)
    return bytes(content)


def structure(content: bytes) -> list[int]:
    """Where small numbers stand close together, as offsets and shapes do; and both ends."""
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i4").astype(np.int64)
    small = np.convolve(np.abs(words) < 100_000, np.ones(16), "same")
    ends = [*range(2000), *range(len(content) - 2000, len(content))]
    return [int(word) * 4 for word in np.flatnonzero(small >= 14)] + ends


def _change(content: bytearray, at: int, sources: list[bytes], chance: random.Random) -> None:
    kind = chance.random()
    if kind < 0.35:
        content[at] ^= chance.randint(1, 255)
    elif kind < 0.75:
        size = chance.choice([1, 2, 4, 4, 4, 8])
        number = chance.choice([*NUMBERS, *(chance.randint(-300, 3000) for _ in range(8))])
        at = min(at // size, len(content) // size - 1) * size
        content[at : at + size] = (number % 256**size).to_bytes(size, "little")
    elif kind < 0.85:
        del content[at : at + chance.choice([1, 4, 16, 64, 10**6])]
    else:
        other = chance.choice(sources)
        start = chance.randrange(len(other))
        part = other[start : start + chance.randint(1, 200)]
        content[at : at + len(part)] = part


def _outcome(command: Any, path: Path) -> str:
    try:
        command(path)
    except UserError:
        return "refused"
    except BaseException as error:  # the point of the test
        return f"{type(error).__name__}: {error}"
    return "ok"


def _inspect(path: Path) -> None:
    found = inspect(path)
    json.dumps(found.to_json(), allow_nan=False)
    costs.show(found)


def _predict(path: Path) -> None:
    Predictor(path).predict(PICTURE)


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(folder: Path, start: int, end: int) -> None:
    lines = sys.stdout
    sources = [path.read_bytes() for path in sorted(folder.glob("*.tflite"))]
    _limit()
    with tempfile.TemporaryDirectory() as own, contextlib.redirect_stdout(io.StringIO()):
        shutil.copytree(folder, own, dirs_exist_ok=True)
        alone, beside = Path(own, "mutated.tflite"), Path(own, "signs_int8.tflite")
        for number in range(start, end):
            for path in (alone, beside):
                path.write_bytes(mutated(sources, number))
            outcome = [_outcome(_inspect, alone), _outcome(_predict, alone)]
            outcome.append(_outcome(verify, beside))
            print(json.dumps(outcome), file=lines, flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
