"""TensorFlow's calibrator, of files in which nothing is overwritten."""

from collections.abc import Callable, Iterable
from typing import Any

from tensorflow.lite.python.optimize import calibrator

from tflite_light.tflite.editing import Editor


class Calibrator(calibrator.Calibrator):  # type: ignore[misc]
    """TFLite computes sums and products in place of what they read, where nothing else reads it.
    TensorFlow's calibrator looks afterwards, so that what was read got the range of both: a ReLU's
    was up to 13 times too wide before a batch norm. What a file gives out stays, so all of it is.
    """

    def __init__(self, content: bytes, *others: Any):
        editor = Editor(content)
        self._ends = editor.graph.outputs
        made = [int(index) for one in editor.operators for index in one.outputs]
        inner = [index for index in dict.fromkeys(made) if index not in self._ends]
        editor.graph.outputs = [*self._ends, *inner]
        super().__init__(editor.packed(), *others)

    def calibrate(self, batches: Callable[[], Iterable[list[Any]]]) -> bytes:
        editor = Editor(super().calibrate(batches))
        editor.graph.outputs = self._ends
        return editor.packed()
