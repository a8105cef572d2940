"""Work on many things by all cores: results in order, as they come, and few of them held."""

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CORES = os.cpu_count() or 1
AHEAD = 256  # things that wait for a thread or to be taken; a million would take 1 GB to queue
POOL = ThreadPoolExecutor(CORES)  # Pillow and LiteRT let other threads run while they work


def streamed(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int = AHEAD
) -> Iterator[Result]:
    """The results of `items`, in their order, each as soon as it and those before it are there.

    Items are drawn in a thread of their own, since a list on stdin or a folder of a million may be
    slow; at most `ahead` at a time. What `items` or `function` raise is raised in its place. When
    the iterator is closed, nothing more is begun.
    """
    waiting: queue.Queue[Future[Any] | None] = queue.Queue(ahead)
    closed = threading.Event()

    def draw() -> None:
        try:
            for item in items:
                if closed.is_set():
                    return
                waiting.put(POOL.submit(function, item))
        except BaseException as error:
            failed = Future[Any]()
            failed.set_exception(error)
            waiting.put(failed)
        waiting.put(None)

    threading.Thread(target=draw, daemon=True).start()
    try:
        while result := waiting.get():
            yield result.result()
    finally:
        closed.set()
        _cancel(waiting)


def _cancel(waiting: "queue.Queue[Future[Any] | None]") -> None:
    """Also lets the thread that draws go on to its end, should it wait for a free place."""
    while not waiting.empty():
        if result := waiting.get_nowait():
            result.cancel()
