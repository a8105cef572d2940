"""Every architecture through the stages that are used together, up to its files."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import networks
from test_every_stage import example, pictures, require_promises, trained

from tflite_light.compress import Stage
from tflite_light.export import Mode
from tflite_light.export.float32 import Float32
from tflite_light.export.int8 import Int8
from tflite_light.measure.runners import TFLiteModel
from tflite_light.models import Architecture
from tflite_light.pipeline.examples import Examples
from tflite_light.sockets import load
from tflite_light.stack import keras
from tflite_light.tflite.file import File

pytestmark = pytest.mark.slow
SIZE = 64
COMBINATIONS = [
    "prune",
    "cluster",
    "qat",
    "prune qat",
    "cluster qat",
    "prune cluster qat",
    "factorize qat",
    "channels qat",
]


def smallest(name: str) -> Architecture:
    """The variant with the fewest parameters of those that are published."""
    part = load("models", name)
    fewest = min(part.published(), key=lambda row: row.parameters or 0)
    made: Architecture = part(**fewest.fields)
    return made


@pytest.fixture(autouse=True)
def _forgotten(combination: str) -> Iterator[None]:
    """What a network's last combination leaves: eight networks in one process were over 16 GB."""
    yield
    if combination == COMBINATIONS[-1]:
        trained.cache_clear()
        keras.backend.clear_session()
        gc.collect()


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("name", networks())
def test_every_network_keeps_every_promise_in_its_files(name: str, combination: str) -> None:
    keys = tuple(combination.split())
    stages: list[Stage] = [example(key) for key in keys]
    model, plans = trained(keys, smallest(name), SIZE)
    examples = pictures(SIZE)
    quantised = stages[-1].yields == "quantised"
    for mode in [Int8()] if quantised else [Float32(), Int8()]:
        content = mode.convert(model, examples)
        require_promises(content, stages, plans)
        require_answers(mode, content, model, examples)


def require_answers(mode: Mode, content: bytes, model: Any, examples: Examples) -> None:
    """After 20 steps some networks answer half a step of a pixel by a third of their logits'
    deviation; rounding every layer may do four times as much. By chance a quarter would agree."""
    batch = next(examples.inputs(examples.sample(64)))
    keras_says, file_says = model.predict_on_batch(batch), TFLiteModel(content).logits([batch])
    error = apart(file_says, keras_says)
    agreement = np.mean(keras_says.argmax(1) == file_says.argmax(1))
    print(f"{mode.key}: agreement {agreement:.3f}, error {error:.4f} of the logits' deviation")
    if isinstance(mode, Float32):
        assert error < 1e-4
    else:
        assert File(content).float_operators() == []
        half = np.random.default_rng(0).uniform(-0.5, 0.5, batch.shape) / 127.5
        noise = apart(model.predict_on_batch((batch + half).astype(np.float32)), keras_says)
        assert agreement >= 0.9 or (agreement >= 0.6 and error < max(0.1, 4 * noise))


def apart(some: Any, others: Any) -> float:
    return float(np.sqrt(np.mean((some - others) ** 2)) / others.std())
