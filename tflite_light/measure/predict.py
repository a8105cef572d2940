"""What is on a picture, by a file and its contract."""

import contextlib
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

from tflite_light import contract
from tflite_light.contract import Contract
from tflite_light.errors import UserError
from tflite_light.measure import foreign, goldens, stated, trial
from tflite_light.measure.runners import TFLiteModel, probabilities
from tflite_light.pipeline.examples import Examples, read
from tflite_light.pipeline.pictures import UNKNOWN, Pictures, pictures_of
from tflite_light.pipeline.preprocess import Floats
from tflite_light.progress import say
from tflite_light.tflite import file as tflite
from tflite_light.tflite import identity
from tflite_light.tflite.file import File
from tflite_light.wording import some

_ORIENTATION = ExifTags.Base.Orientation
_WHERE = "Keep the .json that was written beside the file, or export the model again."
_NOT_IN_PNG = ("CMYK", "YCbCr", "HSV")  # converted as a file of that mode is

Picture = str | Path | Pillow.Image | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answer:
    """A label, its place among the file's outputs, and its probability, 0..1."""

    label: str
    index: int
    probability: float


class Predictor:
    """A `.tflite` that names what is on pictures, as an app that obeys its contract would.

    Of a file without one, as far as its standard metadata say how. Raises UserError when `path` is
    not a TFLite file, cannot be run, or says too little.
    """

    def __init__(self, path: str | Path):
        self.model, self.contract = open_file(Path(path))
        self._counts = Counter(self.contract.labels)

    def predict(self, picture: Picture, top: int = 1) -> list[Answer]:
        """The `top` likeliest labels of a picture, the likeliest first.

        A picture is the path of a file, a Pillow image, or uint8 RGB [height, width, 3]. Raises
        UserError when it is none of them or cannot be read.
        """
        if isinstance(picture, str | Path):
            return self.predict_files([picture], top)[0]
        content = _encoded(picture) if isinstance(picture, Pillow.Image) else _checked(picture)
        return self._answers(Pictures(["picture"], [UNKNOWN], lambda _: content), top)[0]

    def predict_files(self, paths: Sequence[str | Path], top: int = 1) -> list[list[Answer]]:
        """The answers to each picture, in order.

        Raises UserError when any picture cannot be read; they are all tried first.
        """
        files = [Path(path) for path in paths]
        absent = [str(path) for path in files if not os.path.isfile(path)]
        if absent:
            raise UserError(
                f"no such file: {some(absent, 10)}.",
                "Give paths of pictures, such as `photos/*.jpg`; folders are not searched.",
            )
        return self._answers(pictures_of([(path, UNKNOWN) for path in files]), top)

    def title(self, answer: Answer) -> str:
        """Its label, with the index where several classes have that label."""
        several = self._counts[answer.label] > 1
        return f"{answer.label} ({answer.index})" if several else answer.label

    def _answers(self, pictures: Pictures, top: int) -> list[list[Answer]]:
        examples: Examples = read({"pictures": pictures}, self.contract.image)["pictures"]
        outputs = self.model.logits(examples.inputs(range(len(examples))))
        shares = probabilities(outputs) if self.contract.output_is == "logits" else outputs
        return [self._top(share, top) for share in shares]

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


def _encoded(picture: Pillow.Image) -> bytes:
    """As a PNG, so that it is decoded as any other: turned upright, transparency on white."""
    content, turn = io.BytesIO(), Pillow.Exif()
    with contextlib.suppress(Exception):  # EXIF that is missing or cannot be read
        turn[_ORIENTATION] = picture.getexif()[_ORIENTATION]
    try:
        picture = picture.convert("RGB") if picture.mode in _NOT_IN_PNG else picture
        picture.save(content, "PNG", exif=turn, compress_level=0)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the picture cannot be read: {error}.", "Give an RGB image, `picture.convert('RGB')`."
        ) from error
    return content.getvalue()


def _checked(picture: Any) -> np.ndarray[Any, Any]:
    kind, shape = getattr(picture, "dtype", None), tuple(getattr(picture, "shape", ()))
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        found = type(picture).__name__ if kind is None else f"{kind} {list(shape)}"
        raise UserError(
            f"the picture is {found}.", "Give uint8 RGB [height, width, 3], values 0..255."
        )
    checked: np.ndarray[Any, Any] = picture
    return checked
