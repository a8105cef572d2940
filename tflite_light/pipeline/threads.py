"""Work on pictures by as many threads as there are cores; Pillow and hashing let others run."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

CORES = os.cpu_count() or 1
AHEAD = 8 * CORES  # jobs that wait for a thread at a time; a million would take 1 GB to queue
_POOL = ThreadPoolExecutor(CORES)


def in_order(function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
    """The function's result for each job; some of those to come are under way meanwhile."""
    waiting: deque[Future[Any]] = deque()
    try:
        for job in jobs:
            waiting.append(_POOL.submit(function, job))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
