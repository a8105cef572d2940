"""Which pictures of a part become golden pictures: of many classes, and some that a file is unsure
of.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflite_light.measure.goldens import FLOAT_SHARE, INTEGER_SHARE, OTHER_RUNTIME_STEPS
from tflite_light.measure.runners import TFLiteModel
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import UNKNOWN
from tflite_light.pipeline.preprocess import Floats

LOOKED_AT = 100  # pictures that the file answers for the choice: 4 s for MobileNetV2 at 224 px
NEAR = 3


def choose(model: TFLiteModel, examples: Examples, count: int) -> list[int]:
    """Indices of `count` pictures, or of fewer, none twice: far apart in their classes, then up to
    three near the decision boundary, none so near that another runtime may round to another label;
    but where all are.
    """
    looked_at = examples.sample(LOOKED_AT)
    if not looked_at or not count:
        return []
    logits = model.logits(examples.inputs(looked_at))
    certain = near_boundary(logits, rounding(logits, model))
    unsure = certain[: min(NEAR, count // 2)]
    known = examples.labels[looked_at]
    labels = np.where(known == UNKNOWN, logits.argmax(axis=1), known)
    others = sorted({*certain} - {*unsure}) if certain else range(len(looked_at))
    chosen = [others[place] for place in spread(labels[others].tolist(), count - len(unsure))]
    return [looked_at[place] for place in (*chosen, *unsure)]


def near_boundary(logits: Floats, rounding: Any) -> list[int]:
    """Pictures by the margin between their two best classes, the smallest first.

    Those whose margin is within what another runtime may round otherwise are left out: a consumer
    is to find the same label.
    """
    ordered = np.sort(logits, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    certain = np.flatnonzero(margins > rounding)
    return [int(place) for place in certain[np.argsort(margins[certain], kind="stable")]]


def rounding(logits: Floats, model: TFLiteModel) -> Any:
    """What another runtime may change each picture's logits by."""
    if model.output.scale:
        return OTHER_RUNTIME_STEPS * model.output.scale
    return (INTEGER_SHARE if model.in_integers else FLOAT_SHARE) * np.abs(logits).max(axis=1)


def spread(labels: Sequence[int], count: int) -> list[int]:
    """Places of `count` pictures: one each of classes far apart, or several of each of a few."""
    seen: Counter[int] = Counter()
    turns = []
    for label in labels:
        turns.append(seen[label])
        seen[label] += 1
    order = sorted(range(len(labels)), key=lambda place: (turns[place], labels[place]))
    few = order[: max(len(seen), count)]
    count = min(count, len(few))
    return [few[number * len(few) // count] for number in range(count)]
