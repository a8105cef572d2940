"""What is on a picture, by a file and its contract."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import contract
from tflite_light.contract import Contract
from tflite_light.errors import UserError
from tflite_light.measure.runners import TFLiteModel, probabilities
from tflite_light.pipeline.examples import read
from tflite_light.pipeline.pictures import pictures_of
from tflite_light.tflite import file as tflite


def open_file(path: Path) -> tuple[TFLiteModel, Contract]:
    """A `.tflite` and its contract.

    Raises UserError when it is not a TFLite file, cannot be run, has no contract, or one of another
    file.
    """
    content = tflite.read(path).content
    agreed = contract.read(path)
    try:
        model = TFLiteModel(content)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path} cannot be run: {error}. Export it again.") from error
    for end in ("input", "output"):
        if getattr(model, end) != getattr(agreed, end):
            raise UserError(
                f"the contract of {path} is another file's: its {end} differs. {_WHERE}"
            )
    if len(agreed.labels) != agreed.output.shape[-1]:
        raise UserError(
            f"the contract of {path} has {len(agreed.labels)} labels, but the file answers with "
            f"{agreed.output.shape[-1]} classes. {_WHERE}"
        )
    return model, agreed


_WHERE = "Keep the .json that was written beside the file, or export the model again."


def classify(path: Path, pictures: Sequence[Path], top: int) -> dict[str, list[dict[str, Any]]]:
    """The `top` labels and probabilities of each picture, by the file's contract.

    Raises UserError when any picture cannot be read; they are all tried first.
    """
    model, agreed = open_file(path)
    absent = [str(picture) for picture in pictures if not picture.is_file()]
    if absent:
        raise UserError(f"no such file: {', '.join(absent[:10])}. Give the paths of pictures.")
    inputs = read({"pictures": pictures_of([(picture, 0) for picture in pictures])}, agreed.image)[
        "pictures"
    ]
    shares = probabilities(model.logits(inputs.inputs(range(len(inputs)))))
    return {
        str(picture): [
            {"label": agreed.labels[index], "probability": float(share[index])}
            for index in np.argsort(-share, kind="stable")[:top]
        ]
        for picture, share in zip(pictures, shares, strict=True)
    }
