"""Training that ends at a chosen moment of a phase, by `kill -9` where it is run as a program:

python tests/killing.py PHASE MOMENT train RECIPE ...
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tflite_light.training import history
from tflite_light.training.history import Row
from tflite_light.training.journal import Journal

MOMENTS = ("before an epoch", "after an epoch", "within an epoch", "before its end")


def kill_at(
    patch: pytest.MonkeyPatch, phase: str, moment: str, stop: Callable[[], object], epochs: int = 2
) -> None:
    """`stop` is called when the plan is there and no state; between the first epoch's state and its
    history; within the second epoch; and between the last state and the phase's weights."""
    begin, write = Journal.on_epoch_begin, history.write_history
    train = Journal.on_train_batch_end

    def on_epoch_begin(self: Journal, epoch: int, logs: Any = None) -> None:
        if (self._phase, moment, epoch) == (phase, "before an epoch", 0):
            stop()
        begin(self, epoch, logs)

    def on_train_batch_end(self: Journal, batch: int, logs: Any = None) -> None:
        if (self._phase, moment, len(self.history), batch) == (phase, "within an epoch", 1, 3):
            stop()
        train(self, batch, logs)

    def write_history(path: Path, rows: list[Row]) -> None:
        last = {"after an epoch": 1, "before its end": epochs}.get(moment)
        if rows[-1]["phase"] == phase and len(rows) == last:
            stop()
        write(path, rows)

    patch.setattr(Journal, "on_epoch_begin", on_epoch_begin)
    patch.setattr(Journal, "on_train_batch_end", on_train_batch_end)
    patch.setattr(history, "write_history", write_history)


if __name__ == "__main__":
    from tflite_light.cli import main

    of_phase, at_moment, *arguments = sys.argv[1:]
    die = functools.partial(os.kill, os.getpid(), signal.SIGKILL)
    kill_at(pytest.MonkeyPatch(), of_phase, at_moment, die)
    main(arguments)
