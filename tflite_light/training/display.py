"""What a phase shows on stderr: a live bar on a terminal, and a line an epoch."""

import sys
from typing import Any

from tflite_light.progress import say
from tflite_light.stack import keras


class Display(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows one phase."""

    def __init__(self, phase: str):
        super().__init__()
        self._phase = phase
        self._bar: Any = None
        self._supports_tf_logs = True  # spares Keras fetching the metrics after each step

    def on_train_begin(self, logs: Any = None) -> None:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._bar:
            steps, epochs = self.params["steps"], self.params["epochs"]
            self._task = self._bar.add_task(f"{self._phase} {epoch + 1}/{epochs}", total=steps)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._bar:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._bar:
            self._bar.remove_task(self._task)
        values = {"val_accuracy": 0.0, **(logs or {})}
        say(
            f"{self._phase} {epoch + 1}/{self.params['epochs']}  loss {values['loss']:.4f}  "
            f"accuracy {values['accuracy']:.4f}  val accuracy {values['val_accuracy']:.4f}"
        )

    def on_train_end(self, logs: Any = None) -> None:
        if self._bar:
            self._bar.stop()
