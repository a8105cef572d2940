"""What a phase shows on stderr: live bars on a terminal, and a line an epoch."""

import sys
import time
from typing import Any, Self

from tflite_light.progress import duration, say
from tflite_light.stack import keras
from tflite_light.training.history import FILE_ACCURACY
from tflite_light.training.judge import FILE_SECONDS


class Display(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows one phase, and how far the whole run is, inside a `with`.

    `before` and `after` are the other phases' epochs, in time that one of this phase's takes.
    """

    def __init__(self, phase: str, before: float, after: float):
        super().__init__()
        self._phase, self._before, self._after = phase, before, after
        self._bar: Any = None
        self._epochs = 0  # seen by this process
        self._supports_tf_logs = True  # spares Keras fetching the metrics after each step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Take the bars away, which hide the cursor, however training ended."""
        if self._bar:
            self._bar.stop()

    def on_train_begin(self, logs: Any = None) -> None:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.monotonic()
        if self._bar:
            steps, epochs = self.params["steps"], self.params["epochs"]
            total, done = (self._before + epochs + self._after), self._before + epoch
            self._bars = [
                self._bar.add_task(f"{self._phase} {epoch + 1}/{epochs}", total=steps),
                self._bar.add_task("run", total=total * steps, completed=done * steps),
            ]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._bar:
            for task in self._bars:
                self._bar.advance(task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._bar:
            for task in self._bars:
                self._bar.remove_task(task)
        self._epochs += 1
        values = {"val_accuracy": 0.0, **(logs or {})}
        say(
            f"{self._phase} {epoch + 1}/{self.params['epochs']}  loss {values['loss']:.4f}  "
            f"accuracy {values['accuracy']:.4f}  val accuracy {values['val_accuracy']:.4f}"
            f"{_file(values)}{self._left(epoch)}"
        )

    def _left(self, epoch: int) -> str:
        """Time left for training, as the last epoch went; the first also traces the graph."""
        epochs = self.params["epochs"] - epoch - 1 + self._after
        seconds = epochs * (time.monotonic() - self._started)
        return "" if self._epochs == 1 or seconds < 1 else f"  {duration(seconds)} left"


def _file(values: Any) -> str:
    """What an epoch's file reached, and what it cost to know."""
    if FILE_ACCURACY not in values:
        return ""
    return f"  its file {values[FILE_ACCURACY]:.4f} ({values[FILE_SECONDS]:.1f} s)"
