"""The pictures that somebody named: files, folders, patterns, and lists of them."""

import glob
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tflite_light.pipeline import formats
from tflite_light.pipeline.walk import SHOWN, Walk
from tflite_light.progress import say
from tflite_light.wording import count, some

LIST = "-"  # the name of the list on stdin
BOM = "\ufeff".encode()  # before lists of PowerShell and Notepad


@dataclass(frozen=True)
class Listed:
    """A picture's path; or what was named and why there is no picture."""

    path: str
    problem: str = ""


def listed(names: Iterable[str], stdin: IO[bytes]) -> Iterator[Listed]:
    """The pictures that are named, in the order given, drawn one by one.

    A folder stands for the pictures in it, by the rule in `walk.py`: other files are left out and
    named on stderr. A pattern stands for what it matches, each picture once, sorted. `-` stands for
    the paths of files and folders on stdin, a line each, or NUL-separated as `find -print0` writes.
    """
    for name in names:
        if name == LIST:
            yield from _or_problem(_of_list(stdin), name, "the list is empty")
        elif glob.has_magic(name) and not os.path.lexists(name):
            yield from _or_problem(_matching(name), name, "nothing matches this pattern")
        else:
            yield from _at(name)


def _or_problem(found: Iterator[Listed], name: str, problem: str) -> Iterator[Listed]:
    """What was found, or why nothing was."""
    first = next(found, None)
    yield first or Listed(name, problem)
    yield from found


def _at(path: str) -> Iterator[Listed]:
    if os.path.isdir(path):
        yield from _or_problem(_inside(path), path, "no picture in this folder")
    else:
        yield Listed(path)


def _inside(folder: str) -> Iterator[Listed]:
    walk = Walk(Path(folder))
    yield from (Listed(str(path)) for path in walk.below(walk.root))
    yield from (Listed(str(path), reason) for path, reason in walk.broken)
    if walk.others:
        number = count(len(walk.others), "file that is", "files that are")
        say(f"{folder}: left out {number} no {formats.NAMES}: {some(walk.others, SHOWN, '; ')}")


def _matching(pattern: str) -> Iterator[Listed]:
    seen = set()
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - Path refuses `/*`
        for one in _at(match):
            if one.path not in seen:
                seen.add(one.path)
                yield one


def _of_list(stdin: IO[bytes]) -> Iterator[Listed]:
    for number, name in enumerate(_names(stdin)):
        if path := os.fsdecode(name if number else name.removeprefix(BOM)):
            yield from _at(path)


def _names(stdin: IO[bytes]) -> Iterator[bytes]:
    """The names in a list, each as soon as it is there."""
    source = getattr(stdin, "raw", stdin)  # whose lock no thread holds when the process ends
    separator, rest = b"", b""
    while chunk := source.read(io.DEFAULT_BUFFER_SIZE):
        rest += chunk
        separator = separator or next((one for one in (b"\0", b"\n") if one in rest), b"")
        if separator:
            *whole, rest = rest.split(separator)
            yield from _stripped(whole, separator)
    yield from _stripped([rest], separator)


def _stripped(names: list[bytes], separator: bytes) -> Iterator[bytes]:
    """Without the second half of a line's end as Windows writes it, and without empty lines."""
    lines = [name.removesuffix(b"\r") for name in names] if separator != b"\0" else names
    yield from (name for name in lines if name)
