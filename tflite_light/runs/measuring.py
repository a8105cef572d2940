"""A run's phases in its report: what each made of the network, before and after."""

import contextlib
from typing import Any

from tflite_light.cost.of_model import network
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, measure_model
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.runs.folder import Run


def measure_phase(
    run: Run, phase: str, model: Any, val: Examples | None, test: Examples, before: list[Measured]
) -> tuple[Measured, Floats]:
    """A row for the model that a phase left, and its logits on `test`.

    `before` are earlier rows: rounding leaves the network as it was.
    """
    pictures = f"{len(val)} val and {len(test)} test" if val else f"{len(test)}"
    say(f"{phase}: measuring on {pictures} pictures")
    row, logits = measure_model(phase, model, val, test, run.classes)
    rounded = phase in run.stages and run.stages[phase].yields == "quantised"
    row.multiply_adds = before[-1].multiply_adds if rounded else multiply_adds(model)
    return row, logits


def multiply_adds(model: Any) -> int | None:
    """Of one picture; None where a layer is of an unknown kind."""
    with contextlib.suppress(UserError):
        return network(model).multiply_adds
    return None
