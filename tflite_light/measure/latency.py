"""How long a file takes for a picture, by LiteRT on this computer."""

import math
import os
import time
from typing import Any

import numpy as np

from tflite_light.measure.runners import TFLiteModel

WARM_UP, RUNS = 10, 100
THREADS = (1, 2, 4)  # the app's


def latencies(content: bytes) -> list[dict[str, Any]]:
    """By threads, as many as there are processors: p50, p90 and worst of 100 inferences, ms.

    Inference alone, without decoding and sizing a picture. The keys are those of the app's rows.
    """
    threads = [number for number in THREADS if number <= (os.cpu_count() or 1)]
    return [{"accelerator": f"cpu{number}", **_latency(content, number)} for number in threads]


def _latency(content: bytes, threads: int) -> dict[str, float]:
    model = TFLiteModel(content, threads)
    picture = np.zeros(model.input.shape[1:], model.input.dtype)
    times = sorted([_timed_ms(model, picture) for _ in range(WARM_UP + RUNS)][WARM_UP:])
    return {"p50_ms": _quantile(times, 0.5), "p90_ms": _quantile(times, 0.9), "worst_ms": times[-1]}


def _quantile(times: list[float], share: float) -> float:
    """The smallest time that a share of the runs does not exceed, as in the app."""
    return times[math.ceil(share * len(times)) - 1]


def _timed_ms(model: TFLiteModel, picture: np.ndarray[Any, Any]) -> float:
    start = time.perf_counter()
    model.answer(picture)
    return 1000 * (time.perf_counter() - start)
