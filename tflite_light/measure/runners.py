"""Asking a model: Keras models and `.tflite` files alike take inputs and give logits."""

import importlib.metadata
import os
import platform
import threading
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np

from tflite_light.errors import Unmade
from tflite_light.pipeline.preprocess import Floats
from tflite_light.stack import quiet
from tflite_light.tflite.ends import dequantise, end, quantise
from tflite_light.wording import count

Answers = TypeVar("Answers", bound=np.ndarray[Any, Any])


class Runner(Protocol):
    @property
    def traces(self) -> bool:
        """Whether its first answer to batches of a size takes far longer, as Keras' does."""

    def logits(self, batches: Iterable[Floats]) -> Floats:
        """Float32 batches [n, size, size, 3] -> logits [sum of n, classes]."""


class KerasModel:
    traces = True

    def __init__(self, model: Any):
        self.model = model

    def logits(self, batches: Iterable[Floats]) -> Floats:
        return finite(np.concatenate([self.model.predict_on_batch(batch) for batch in batches]))


def runtime() -> str:
    """What `TFLiteModel` runs a file with, such as `ai-edge-litert 2.3.0, XNNPACK, x86_64`."""
    version = importlib.metadata.version("ai-edge-litert")
    return f"ai-edge-litert {version}, XNNPACK, {platform.machine()}"


class TFLiteModel:
    """A file's content run by LiteRT with XNNPACK, one picture at a time as on a phone; threads
    that share one wait for each other."""

    traces = False

    def __init__(self, content: bytes, threads: int | None = None):
        from ai_edge_litert.interpreter import Interpreter

        self.content, threads = content, threads or os.cpu_count()
        self._free = threading.Lock()
        with quiet():  # it announces XNNPACK
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        if (len(inputs), len(outputs)) != (1, 1):
            ends = f"{count(len(inputs), 'input')} and {count(len(outputs), 'output')}"
            raise ValueError(f"it has {ends}, where a classifier has one of each")
        (self._input,), (self._output,) = inputs, outputs
        self.input, self.output = end(self._input), end(self._output)
        kinds = {one["dtype"] for one in self._interpreter.get_tensor_details()}
        self.in_integers = bool(kinds & {np.int8, np.uint8})  # some of it, whatever its ends

    def logits(self, batches: Iterable[Floats]) -> Floats:
        raw = [self.answer(quantise(one, self.input)) for batch in batches for one in batch]
        return finite(dequantise(np.stack(raw), self.output))

    def answer(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """One input [size, size, 3] in the file's own type -> [classes] in the file's own type.

        Raises Unmade where the file's operators do not fit its tensors.
        """
        try:
            with self._free:
                self._interpreter.set_tensor(self._input["index"], values[None])
                self._interpreter.invoke()
                answer: np.ndarray[Any, Any] = self._interpreter.get_tensor(self._output["index"])
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            problem = f"the file stops while it runs: {reason}."
            raise Unmade(problem, "Export it again.") from error
        return finite(answer.reshape(-1))  # [1, classes], or [1, 1, 1, classes] in others' files


def finite(answers: Answers) -> Answers:
    """The answers. Raises Unmade where one is no number: no label could be chosen by it."""
    if not np.isfinite(answers).all():
        raise Unmade(
            "the network answers with NaN or infinity.",
            "Its training diverged, or its input is not as it was trained on: train again with a "
            "lower learning_rate.",
        )
    return answers


def probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """Softmax over the last axis of logits / temperature."""
    logits = logits / np.float32(temperature)
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    softmax: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return softmax
