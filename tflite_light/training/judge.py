"""Which epoch's weights a phase ends with, where not the last one's: those of the best file."""

import time
from collections.abc import Callable
from typing import Any

from tflite_light.stack import keras
from tflite_light.training.history import FILE_ACCURACY

FILE_SECONDS = "file_seconds"


class Judge(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds to an epoch's figures what its file reaches, by which the journal keeps the best.

    `accuracy` converts the model and runs the file on validation pictures.
    """

    def __init__(self, accuracy: Callable[[Any], float]):
        super().__init__()
        self._accuracy = accuracy
        self._supports_tf_logs = True  # spares Keras fetching the metrics after each step

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        start = time.monotonic()
        logs[FILE_ACCURACY] = self._accuracy(self.model)
        logs[FILE_SECONDS] = time.monotonic() - start
