"""How long files take for a picture, by LiteRT on this computer: inference alone."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from tflite_light.measure.runners import TFLiteModel

WARM_UP, RUNS = 10, 100
THREADS = (1, 2, 4)  # the app's


@dataclass(frozen=True)
class Latency:
    """Milliseconds of each inference, sorted, without decoding and sizing a picture."""

    times: list[float]

    def quantile(self, share: float) -> float:
        """The smallest time that a share of the runs does not exceed, as in the app."""
        return self.times[max(math.ceil(share * len(self.times)), 1) - 1]


def latencies(content: bytes) -> list[dict[str, Any]]:
    """By threads, as many as there are processors: p50, p90 and worst of 100 inferences, ms.

    The keys are those of the app's rows.
    """
    threads = [number for number in THREADS if number <= (os.cpu_count() or 1)]
    return [{"accelerator": f"cpu{number}", **_row(content, number)} for number in threads]


def _row(content: bytes, threads: int) -> dict[str, float]:
    (found,) = in_turn([content], threads, RUNS)
    return {
        "p50_ms": found.quantile(0.5),
        "p90_ms": found.quantile(0.9),
        "worst_ms": found.times[-1],
    }


def in_turn(contents: Sequence[bytes], threads: int, runs: int) -> list[Latency]:
    """Of each file; one inference of each after the other, so that all share the computer's moods.

    In an order drawn anew each time: what ran before leaves the cache to the next as it does, by
    which a file was 5 % slower. After 10 of each that are not counted.
    """
    models = [TFLiteModel(content, threads) for content in contents]
    pictures = [np.zeros(model.input.shape[1:], model.input.dtype) for model in models]
    times: list[list[float]] = [[] for _ in models]
    order, random = list(range(len(models))), Random(0)
    for _ in range(WARM_UP + runs):
        random.shuffle(order)
        for place in order:
            times[place].append(_timed_ms(models[place], pictures[place]))
    return [Latency(sorted(own[WARM_UP:])) for own in times]


def _timed_ms(model: TFLiteModel, picture: np.ndarray[Any, Any]) -> float:
    start = time.perf_counter()
    model.answer(picture)
    return 1000 * (time.perf_counter() - start)
