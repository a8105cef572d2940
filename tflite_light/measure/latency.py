"""How long a file takes for a picture, by LiteRT on this computer."""

import statistics
import time
from typing import Any

import numpy as np

from tflite_light.measure.runners import TFLiteModel

WARM_UP, RUNS = 10, 100


def latency_ms(content: bytes, threads: int = 1) -> float:
    """Median of 100 inferences; inference alone, without decoding and sizing a picture."""
    model = TFLiteModel(content, threads)
    picture = np.zeros(model.input.shape[1:], model.input.dtype)
    times = [_timed(model, picture) for _ in range(WARM_UP + RUNS)][WARM_UP:]
    return 1000 * statistics.median(times)


def _timed(model: TFLiteModel, picture: np.ndarray[Any, Any]) -> float:
    start = time.perf_counter()
    model.answer(picture)
    return time.perf_counter() - start
