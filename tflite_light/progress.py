"""What goes to stderr while something runs; stdout has the result alone."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SHORT = 2  # seconds; what takes less shows no progress
EVERY = {True: 0.2, False: 10}  # seconds between two looks, on a terminal and in a log
CLEAR = "\r\x1b[K"  # back to the start of the terminal's line, and empty it


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time for people, to two figures or so: 40 s, 7 min, 2 h 10 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def counted(items: Iterable[Item], total: int, doing: str) -> Iterator[Item]:
    """The items; where they take long, with how many are done, their rate and the time left.

    A terminal has one line that changes, a log a line every 10 s.
    """
    live, begun = sys.stderr.isatty(), time.monotonic()
    due = begun + SHORT
    try:
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now >= due and done < total:
                due = now + EVERY[live]
                text = _progress(doing, done, total, now - begun)
                print(f"{CLEAR if live else ''}{text}", end="" if live else "\n", file=sys.stderr)
                sys.stderr.flush()
    finally:
        if live and due > begun + SHORT:
            print(CLEAR, end="", file=sys.stderr, flush=True)


def _progress(doing: str, done: int, total: int, seconds: float) -> str:
    rate = f"{done / seconds:,.0f}/s" if done > seconds else f"{seconds / done:.1f} s each"
    left = duration((total - done) * seconds / done)
    return f"{doing}: {done:,} of {total:,}, {rate}, {left} left"
