"""Ranges of a calibrated file drawn in where steps finer than its rare extremes are worth more.

The converter takes the smallest and the largest value that calibration pictures gave. Here a range
ends where the mean square of what is cut off and of what rounding changes is least, as TensorRT's
and ai-edge-quantizer's calibrators do by other measures.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tflite_light.tflite.editing import Array, Editor
from tflite_light.tflite.moving import SAME_SCALE
from tflite_light.tflite.watching import Watched

_PICKING = {"MAXIMUM", "MINIMUM", "REDUCE_MAX", "REDUCE_MIN", "SELECT", "SELECT_V2"}
_BINS = 2048  # of a tensor's range
_LOOKED = 20_000  # values of a picture's tensor, spread over it
_SHARES = np.linspace(0.3, 1, 71)  # of the whole range
_STEPS = 255
_TINY = 1e-30
_ROOM = 1 / 128  # no value of a picture's is there, so that any range is right


def narrowed(content: bytes, pictures: Iterable[Array]) -> bytes:
    """The file with narrower ranges; those of its ends stay: pixels and logits are as they are."""
    editor, watched = Editor(content), Watched(content)
    ranges = _ranges(editor)
    counts = {index: np.zeros(_BINS) for index in ranges}
    for picture in pictures:
        watched.run(picture)
        for index, (low, high) in ranges.items():
            values = watched.value(index).ravel()
            seen = values[:: 1 + len(values) // _LOOKED]
            counts[index] += np.histogram(seen.clip(low, high), _BINS, (low, high))[0]
    for index, (low, high) in ranges.items():
        share = _best(counts[index], low, high)
        span = editor.tensor(index).quantization
        span.min, span.max = (np.array([end * share], np.float32) for end in (low, high))
    return editor.packed()


def roomy(content: bytes) -> bytes:
    """The file with a range for tensors that were zero on all pictures, as behind a dead ReLU.

    The converter would give them a step so small that no kernel takes it.
    """
    editor, changed = Editor(content), False
    for _, span in _spans(editor):
        if max(abs(float(span.min[0])), abs(float(span.max[0]))) < _TINY:
            span.max, changed = np.array([_ROOM], np.float32), True
    return editor.packed() if changed else content


def covering(content: bytes) -> bytes:
    """The file with ranges by which averages, and what only hands them on, hold all that they read.

    An average has the scale of what it reads, and the converter gives both the range of the
    average, which is narrower: it cuts off what is read. ShuffleNet v1's signal to noise, trained
    on signs, rises from 7 to 20 dB. What picks values, such as a maximum, leaves out some as well:
    that matters where others read them, too, as in CBAM's gates (from 8 to 35 dB).
    """
    editor = Editor(content)
    spans, widened = dict(_spans(editor)), set[int]()
    readers = editor.readers()
    for one in editor.operators:
        made, read = int(one.outputs[0]), [int(index) for index in one.inputs]
        kind = editor.kind(one)
        passes = kind in SAME_SCALE | _PICKING and widened.intersection(read)
        picks = kind in _PICKING and any(len(readers[at]) > 1 for at in read if at in spans)
        if kind == "AVERAGE_POOL_2D" or passes or picks:
            every = [spans[index] for index in (made, *read) if index in spans]
            low = min(float(span.min[0]) for span in every)
            high = max(float(span.max[0]) for span in every)
            spans[made].min, spans[made].max = (np.array([end], np.float32) for end in (low, high))
            widened.add(made)
    return editor.packed() if widened else content


def _spans(editor: Editor) -> Iterator[tuple[int, Any]]:
    """Activations, each with the range that calibration gave it."""
    for index, tensor in enumerate(editor.graph.tensors):
        span = tensor.quantization
        if span is not None and span.min is not None and editor.values(index) is None:
            yield index, span


def _ranges(editor: Editor) -> dict[int, tuple[float, float]]:
    """Of activations, those of the file's ends aside; around zero, as TFLite has them."""
    ends = {int(index) for index in (*editor.graph.inputs, *editor.graph.outputs)}
    found = {}
    for index, span in _spans(editor):
        if index in ends:
            continue
        low, high = min(float(span.min[0]), 0.0), max(float(span.max[0]), 0.0)
        if high - low > _TINY:
            found[index] = (low, high)
    return found


def _best(counts: Array, low: float, high: float) -> float:
    """The share of a range that leaves least error."""
    places = low + (np.arange(_BINS) + 0.5) * (high - low) / _BINS
    errors = []
    for share in _SHARES:
        cut = places - places.clip(share * low, share * high)
        step = share * (high - low) / _STEPS
        errors.append((counts * np.where(cut == 0, step**2 / 12, cut**2)).sum())
    return float(_SHARES[int(np.argmin(errors))])
