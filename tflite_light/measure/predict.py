"""What is on a picture, by a file and its contract."""

import math
import queue
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from tflite_light import contract
from tflite_light.contract import Contract
from tflite_light.errors import UserError
from tflite_light.measure import foreign, goldens, stated, trial
from tflite_light.measure.confidence import rejects
from tflite_light.measure.runners import TFLiteModel, probabilities
from tflite_light.pipeline.decode import Pixels, in_memory, upright
from tflite_light.pipeline.examples import reason, unreadable
from tflite_light.pipeline.listing import Listed
from tflite_light.pipeline.preprocess import Floats
from tflite_light.pipeline.streaming import CORES, streamed
from tflite_light.progress import say
from tflite_light.tflite import file as tflite
from tflite_light.tflite import identity
from tflite_light.tflite.ends import dequantise
from tflite_light.tflite.file import File
from tflite_light.wording import several

_WHERE = "Keep the .json that was written beside the file, or export the model again."

Picture = str | Path | Pillow.Image | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answer:
    """A label, its place among the file's outputs, and its probability, 0..1."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Prediction:
    """A picture's path, "" where it has none, and answers, the likeliest first; or none, and why.

    `none_of_these`: by the file's own threshold the picture shows none of its labels; None where
    the file has no threshold.
    """

    picture: str
    answers: list[Answer]
    none_of_these: bool | None = None
    problem: str = ""


class Predictor:
    """A `.tflite` that names what is on pictures, as an app that obeys its contract would.

    Of a file without one, as far as its standard metadata say how. Raises UserError when `path` is
    not a TFLite file, cannot be run, or says too little.
    """

    def __init__(self, path: str | Path):
        self.model, self.contract = open_file(Path(path))
        self._counts = Counter(self.contract.labels)

    def predict(self, picture: Picture, top: int = 1) -> Prediction:
        """The `top` likeliest labels of a picture, the likeliest first.

        A picture is the path of a file, a Pillow image, or uint8 RGB [height, width, 3]. Raises
        UserError when it is none of them or cannot be read. Threads that share a predictor wait
        for each other.
        """
        _require_some(top)
        if isinstance(picture, str | Path):
            return _require_read([self._named(self.model, str(picture), top)])[0]
        pixels = _seen(picture) if isinstance(picture, Pillow.Image) else picture
        return self._answers(self.model, "", _checked(pixels), top)

    def predict_files(
        self, paths: str | Path | Sequence[str | Path], top: int = 1
    ) -> list[Prediction]:
        """The answers to each picture, in order.

        Raises UserError when any picture cannot be read; they are all tried first.
        """
        _require_some(top)
        return _require_read(self.stream((Listed(str(path)) for path in several(paths)), top))

    def stream(self, pictures: Iterable[Listed], top: int = 1) -> Iterator[Prediction]:
        """The answers to each picture or why it has none, in order, as they come; by all cores.

        `pictures` are drawn as far ahead as `streamed` does, and few are held in memory.
        """
        idle = self._single

        def ask(one: Listed) -> Prediction:
            if one.problem:
                return Prediction(one.path, [], problem=one.problem)
            model = idle.get()
            try:
                return self._named(model, one.path, top)
            finally:
                idle.put(model)

        return streamed(ask, pictures)

    def title(self, answer: Answer) -> str:
        """Its label, with the index where several classes have that label."""
        several = self._counts[answer.label] > 1
        return f"{answer.label} ({answer.index})" if several else answer.label

    @cached_property
    def _single(self) -> "queue.SimpleQueue[TFLiteModel]":
        """The file once a core: cores share a picture's inference badly, pictures well."""
        idle: queue.SimpleQueue[TFLiteModel] = queue.SimpleQueue()
        for _ in range(CORES):
            idle.put(TFLiteModel(self.model.content, threads=1))
        return idle

    def _named(self, model: TFLiteModel, path: str, top: int) -> Prediction:
        try:
            pixels = upright(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            return Prediction(path, [], problem=reason(error))
        return self._answers(model, path, pixels, top)

    def _answers(
        self, model: TFLiteModel, path: str, pixels: Pixels | Pillow.Image, top: int
    ) -> Prediction:
        answer = model.answer(goldens.input_of(pixels, self.contract))
        output, confidence = dequantise(answer, model.output), self.contract.confidence
        if self.contract.output_is == "probabilities":
            return Prediction(path, self._top(output, top))
        share = probabilities(output, confidence.temperature if confidence else 1.0)
        if not confidence or confidence.threshold is None:
            return Prediction(path, self._top(share, top))
        return Prediction(path, self._top(share, top), bool(rejects(confidence, output[None])[0]))

    def _top(self, share: Floats, top: int) -> list[Answer]:
        labels = self.contract.labels
        likeliest = [int(index) for index in np.argsort(-share, kind="stable")[:top]]
        return [Answer(labels[index], index, float(share[index])) for index in likeliest]


def open_file(path: Path) -> tuple[TFLiteModel, Contract]:
    """A `.tflite` and its contract; what its golden pictures show to differ here goes to stderr.

    Where it has none, its standard metadata stand in. Raises UserError as `opened` does.
    """
    model, agreed = opened(path, foreign.contract_of)
    for warning in goldens.warnings(goldens.check(agreed, model, path.parent)):
        say(f"warning: {path}: {warning}")
    return model, agreed


def opened(
    path: Path, otherwise: Callable[[Path, File, TFLiteModel], Contract] | None = None
) -> tuple[TFLiteModel, Contract]:
    """A `.tflite` and its contract; `otherwise` gives one for a file that has none.

    Raises UserError when it is not a TFLite file, cannot be run, has no contract, or one of another
    file.
    """
    file = tflite.read(path)
    agreed = contract.find(path, identity.network)
    if agreed is None and otherwise is None:
        raise contract.missing(path)
    if agreed is None or agreed.flatbuffer is None:
        trial.run(path)
    try:
        model = TFLiteModel(file.content)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{path} cannot be run: {reason}.", "Export it again.") from error
    if agreed:
        stated.require_agreement(path, file.content, agreed)
    elif otherwise:
        agreed = otherwise(path, file, model)
    assert agreed
    _require_own(agreed, model, path)
    return model, agreed


def _require_own(agreed: Contract, model: TFLiteModel, path: Path) -> None:
    """Raises UserError where a contract does not fit the file."""
    for end in ("input", "output"):
        if getattr(model, end) != getattr(agreed, end):
            raise UserError(f"the contract of {path} is another file's: its {end} differs.", _WHERE)
    size = agreed.image.size
    if agreed.input.shape != [1, size, size, 3]:
        raise UserError(
            f"the contract of {path} sizes pictures to {size} x {size}, but the file takes "
            f"{agreed.input.shape}.",
            _WHERE,
        )
    classes = math.prod(agreed.output.shape)
    if len(agreed.labels) != classes:
        raise UserError(
            f"the contract of {path} has {len(agreed.labels)} labels, but the file answers with "
            f"{classes} classes.",
            _WHERE,
        )


def _require_read(found: Iterable[Prediction]) -> list[Prediction]:
    found = list(found)
    if problems := [f"{one.picture} ({one.problem})" for one in found if one.problem]:
        raise unreadable(problems)
    return found


def _require_some(top: int) -> None:
    if top < 1:
        raise UserError(f"top is {top}.", "Ask for 1 label or more.")


def _seen(picture: Pillow.Image) -> Pixels:
    try:
        return in_memory(picture)
    except ValueError as error:
        raise UserError(
            f"the picture cannot be read: {error}.", "Give an RGB image, `picture.convert('RGB')`."
        ) from error


def _checked(picture: Any) -> np.ndarray[Any, Any]:
    kind, shape = getattr(picture, "dtype", None), tuple(getattr(picture, "shape", ()))
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        found = type(picture).__name__ if kind is None else f"{kind} {list(shape)}"
        raise UserError(
            f"the picture is {found}.", "Give uint8 RGB [height, width, 3], values 0..255."
        )
    checked: np.ndarray[Any, Any] = picture
    return checked
