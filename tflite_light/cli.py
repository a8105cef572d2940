"""The command line: finds commands by their names, and shows what went wrong for a person."""

import atexit
import errno
import gc
import importlib
import pkgutil
from typing import Any

import click

from tflite_light import __version__, commands
from tflite_light.errors import UserError
from tflite_light.interrupts import stop_at_once


class Cli(click.Group):
    """A command is a file in `commands/`, imported when it is needed.

    A UserError becomes its lines on stderr and exit code 2.
    """

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
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except OSError as error:
            if not error.filename and error.errno != errno.ENOSPC:
                raise
            where = error.filename or "the disk or device that is written to"
            click.echo(f"error: cannot use {where}: {error.strerror}.", err=True)
            ctx.exit(2)


def _files() -> dict[str, str]:
    """Each command's name and its file's."""
    files = [found.name for found in pkgutil.iter_modules(commands.__path__)]
    return {file.removesuffix("_"): file for file in files if not file.startswith("_")}


@click.command(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Train, compress and export lightweight image classifiers for phones."""
    atexit.register(gc.freeze)  # a last collection would cost 30 ms, after TensorFlow 700


def run() -> None:
    """The process of the command line."""
    stop_at_once()
    main(prog_name="tflite-light")
