"""Ctrl-C stops at once, whatever runs, and says how to go on; so does a reader that goes away.

A KeyboardInterrupt is lost where TensorFlow calls back into Python or frees its objects: of 97
presses 5 were. So the command line leaves the process from the signal's handler. That loses
nothing: files are renamed into place when they are whole, and a run goes on from its last epoch.
"""

import os
import signal
import sys
from typing import Any

_command = ""
_alone = False  # in a process of the command line's own


def go_on_with(command: str) -> None:
    """What to type in order to go on after an interrupt."""
    global _command
    _command = command


def reader_left() -> None:
    """Leave quietly where the reader of the output has closed it, as `| head` does.

    By the exit code of what SIGPIPE ends. SIGPIPE itself would end it for any other pipe as well.
    """
    if _alone:
        os._exit(128 + signal.SIGPIPE)


def stop_at_once() -> None:
    """Answer Ctrl-C and SIGTERM from now on; for the process of the command line alone."""
    global _alone
    _alone = True
    stderr = os.dup(2)  # what is written to 2 may be held back just then

    def stop(number: int, frame: Any) -> None:
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the cursor, which a live bar hides
        hint = f"hint: go on with `{_command}`\n" if _command else ""
        os.write(stderr, f"{shown}\nstopped; what was finished is kept.\n{hint}".encode())
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
