"""Train, compress and export lightweight image classifiers whose int8 files keep their promises.

The names in `__all__` are the public Python API, on one page in docs/api.md. Each is imported when
it is first asked for, so that `import tflite_light` takes no time and loads no TensorFlow.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

_chosen = os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True")
KERAS_3 = "tensorflow" in sys.modules and not _chosen  # which TensorFlow was loaded with by then
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # for when it is loaded from now on

if TYPE_CHECKING:
    from tflite_light.cost.inspection import Inspected
    from tflite_light.errors import Unmade, UserError
    from tflite_light.measure.accuracy import Measured
    from tflite_light.measure.confusion import Confusion
    from tflite_light.measure.predict import Answer, Predictor
    from tflite_light.recipe import Recipe
    from tflite_light.recipe import load as load_recipe
    from tflite_light.runs.comparing import Compared, compare
    from tflite_light.runs.conductor import resume
    from tflite_light.runs.conductor import start as train
    from tflite_light.runs.evaluating import evaluate_file
    from tflite_light.runs.finished import evaluate as evaluate_run
    from tflite_light.runs.finished import export as export_run
    from tflite_light.runs.folder import Run, open_run
    from tflite_light.runs.importing import export as export_recipe
    from tflite_light.runs.inspecting import inspect
    from tflite_light.runs.verifying import Verification, verify

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Compared",
    "Confusion",
    "Inspected",
    "Measured",
    "Predictor",
    "Recipe",
    "Run",
    "Unmade",
    "UserError",
    "Verification",
    "compare",
    "evaluate_file",
    "evaluate_run",
    "export_recipe",
    "export_run",
    "inspect",
    "load_recipe",
    "open_run",
    "resume",
    "train",
    "verify",
]

_HOMES = {  # name here -> module, and the name there where it is another
    "Answer": "measure.predict",
    "Compared": "runs.comparing",
    "Confusion": "measure.confusion",
    "Inspected": "cost.inspection",
    "Measured": "measure.accuracy",
    "Predictor": "measure.predict",
    "Recipe": "recipe",
    "Run": "runs.folder",
    "Unmade": "errors",
    "UserError": "errors",
    "Verification": "runs.verifying",
    "compare": "runs.comparing",
    "evaluate_file": "runs.evaluating",
    "evaluate_run": "runs.finished:evaluate",
    "export_recipe": "runs.importing:export",
    "export_run": "runs.finished:export",
    "inspect": "runs.inspecting",
    "load_recipe": "recipe:load",
    "open_run": "runs.folder",
    "resume": "runs.conductor",
    "train": "runs.conductor:start",
    "verify": "runs.verifying",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, _, there = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), there or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
