"""The command line: finds commands by their names, and shows what went wrong for a person."""

import atexit
import errno
import gc
import importlib
import io
import os
import pkgutil
import sys
from typing import Any

import click

from tflite_light import __version__, commands, own
from tflite_light.commands._group import Group
from tflite_light.errors import UserError
from tflite_light.interrupts import reader_left, stop_at_once

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
_DEVICE = "the disk or device that is written to"
_COLLECTION = 100_000  # objects between collections; at Python's 700 they are a tenth of the start
_ELSEWHERE = "Free some space or choose another folder."
_RIGHTS = "Give yourself the right to read and write there, or work on a copy."
_LESS = "Lower `train.batch_size` or `image.size`, or use a machine with more."


class Cli(Group):
    """A command is a file in `commands/`, imported when it is needed.

    A UserError becomes its lines on stderr and exit code 2.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # what a terminal lacks is written as \\u0447
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_files())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _files():
            return None
        file = importlib.import_module(f"tflite_light.commands.{_files()[name]}")
        found: click.Command = file.command
        found.name = name
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            reader_left()
            raise
        except Exception as error:
            known = explained(error)
            if not known:
                raise
            click.echo(f"error: {known}", err=True)
            ctx.exit(2)


def explained(error: Exception) -> UserError | None:
    """What a person can mend; None for a bug."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError):
        return UserError(": ".join(filter(None, ("not enough memory", str(error)))) + ".", _LESS)
    if isinstance(error, OSError) and (error.filename or error.errno in _DISK):
        named = _RIGHTS if isinstance(error, PermissionError) else ""
        hint = named if error.filename else _ELSEWHERE
        return UserError(f"cannot use {error.filename or _DEVICE}: {error.strerror}.", hint)
    if isinstance(error, FileNotFoundError):  # tempfile's, which names no file
        return UserError(f"{error.strerror}.", "Set `TMPDIR` to a folder that can be written.")
    if place := own.blame(error):
        return UserError(f"{place}.", "It is code of yours: correct it there.")
    return _from_tensorflow(error)


def _from_tensorflow(error: Exception) -> UserError | None:
    """TensorFlow's own errors: they name what the system refused in their text only."""
    tensorflow = sys.modules.get("tensorflow")
    if not tensorflow or not isinstance(error, tensorflow.errors.OpError):
        return None
    if isinstance(error, tensorflow.errors.ResourceExhaustedError) and "OOM" in error.message:
        return UserError(f"not enough memory: {error.message.splitlines()[0]}.", _LESS)
    refused = next((os.strerror(n) for n in _DISK if os.strerror(n) in error.message), None)
    return UserError(f"cannot use {_DEVICE}: {refused}.", _ELSEWHERE) if refused else None


def _files() -> dict[str, str]:
    """Each command's name and its file's: `inspect_.py` and `pack_data.py` are `inspect` and
    `pack-data`."""
    files = [found.name for found in pkgutil.iter_modules(commands.__path__)]
    shown = [file for file in files if not file.startswith("_")]
    return {file.removesuffix("_").replace("_", "-"): file for file in shown}


@click.command(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Train, compress and export lightweight image classifiers for phones."""
    atexit.register(gc.freeze)  # a last collection would cost 30 ms, after TensorFlow 700


def _open_closed_streams() -> None:
    """A stream that the caller closed, as `2>&-` does, swallows what is written to it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def run() -> None:
    """The process of the command line."""
    _open_closed_streams()
    stop_at_once()
    gc.set_threshold(_COLLECTION)
    main(prog_name="tflite-light")
