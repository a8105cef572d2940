"""Programs that run a file in a process of their own, which may end otherwise than it should."""

import signal
import subprocess
from collections.abc import Sequence
from typing import Any


def ran(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """What a program printed, whatever bytes that is; `options` are those of `subprocess.run`."""
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, **options
    )


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """What it said last on stderr, without a full stop; or the signal that ended it."""
    if done.returncode < 0:
        return f"it ends the process that runs it, by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.strip().splitlines() or [f"it ended by exit code {done.returncode}"]
    return lines[-1].rstrip(".")
