"""Golden pictures: a file's own answers, by which a consumer shows that it obeys the contract."""

import os.path
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image as Pillow

from tflite_light.contract import Contract, Golden, sha256
from tflite_light.measure.runners import TFLiteModel, runtime
from tflite_light.pipeline.decode import Pixels, decode
from tflite_light.pipeline.preprocess import crop_and_resize, normalise
from tflite_light.tflite.ends import quantise
from tflite_light.wording import count

# What another runtime or processor may differ by. Measured of int8 files by XNNPACK and by TFLite's
# own kernels: at most 5 steps of the output in ten networks, 7 in MobileNetV2 1.0 on
# 66 photographs (XNNPACK on x86 and Arm: none; of LiteRT 2.3 and TensorFlow 2.16: 1). Of float32
# and float16: at most 9e-6 of the largest output. Of int8 weights between float ends, where
# activations are rounded as they come: 0.041 of the largest output, 5 steps of 8 bits.
OTHER_RUNTIME_STEPS = 10
FLOAT_SHARE = 1e-4
INTEGER_SHARE = OTHER_RUNTIME_STEPS / 128
INPUT_DIFFERS = (
    "the input made of it differs from the one it was exported with: the picture, the contract's "
    "`image`, or the way of decoding, resizing or normalising has changed; "
    "`tflite-light verify` names the cause"
)

Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Finding:
    """What differs at one golden picture: the picture, the input made of it, or the output."""

    picture: str
    kind: Literal["picture", "input", "output"]
    text: str


@dataclass(frozen=True)
class Prepared:
    """A golden picture that is here: its file's bytes, its pixels, and the input made of them."""

    golden: Golden
    content: bytes
    pixels: Pixels
    values: Values

    @property
    def differs(self) -> bool:
        """Whether the input is not the one that the golden picture was exported with."""
        expected = self.golden.input_sha256
        return bool(expected) and sha256(self.values.tobytes()) != expected

    @property
    def altered(self) -> bool:
        """Whether the pixels are known not to be those that it was exported with."""
        expected = self.golden.decoded_sha256
        return bool(expected) and sha256(self.pixels.tobytes()) != expected


def golden(
    content: bytes, name: str, label: str | None, agreed: Contract, model: TFLiteModel
) -> Golden:
    """An encoded picture with the answer that the file gives to it here."""
    pixels = decode(content)
    values = input_of(pixels, agreed)
    return Golden(
        picture=name,
        label=label,
        decoded_sha256=sha256(pixels.tobytes()),
        input_sha256=sha256(values.tobytes()),
        output=[float(value) for value in model.answer(values)],
        runtime=runtime(),
    )


def input_of(picture: Pixels | Pillow.Image, agreed: Contract) -> Values:
    """uint8 [height, width, 3], or Pillow's RGB -> the input [size, size, 3] in the file's type."""
    pixels = crop_and_resize(picture, agreed.image).astype(np.float32)
    return quantise(normalise(pixels, agreed.image), agreed.input)


def prepare(one: Golden, folder: Path, agreed: Contract) -> Prepared:
    """Raises OSError or ValueError where the picture in `folder` cannot be read."""
    content = (folder / one.picture).read_bytes()
    pixels = decode(content)
    return Prepared(one, content, pixels, input_of(pixels, agreed))


def check(agreed: Contract, model: TFLiteModel, folder: Path) -> list[Finding]:
    """What differs when the golden pictures in `folder` are answered here; [] if nothing.

    The input is compared first: where it differs, the preprocessing does, and the output is not
    looked at. An int8 output must be equal where the runtime is the golden's own, and may be 10
    steps off elsewhere; a float one 1e-4 of the largest output, or 0.08 where the file computes
    with integers. Pictures that are not there are passed over: a file may travel without them.
    """
    there = [one for one in agreed.golden if os.path.isfile(folder / one.picture)]
    return [finding for one in there for finding in _findings(one, folder, agreed, model)]


def warnings(findings: list[Finding]) -> list[str]:
    """A line for each kind of finding, with the first of it."""
    lines = []
    for kind in dict.fromkeys(finding.kind for finding in findings):
        same = [finding for finding in findings if finding.kind == kind]
        number = count(len(same), "golden picture")
        lines.append(f"{number}, first {same[0].picture}: {same[0].text}")
    return lines


def output_off(
    answer: Values, one: Golden, agreed: Contract, model: TFLiteModel, here: str
) -> tuple[float, str]:
    """How far an answer of the runtime `here` is off, in steps or as a share of the largest output;
    and what is wrong with it, nothing within tolerance.
    """
    if answer.shape != (len(one.output),):
        text = f"{len(one.output)} outputs are listed, but the file answers with {answer.size}"
        return float("inf"), text
    quantised = bool(agreed.output.scale)
    largest = 1.0 if quantised else float(max(np.abs(one.output).max(), 1e-30))
    off = np.abs(answer.astype(np.float64) - one.output) / largest
    usual = allowed(one, model, here)
    wrong = np.flatnonzero(~(off <= usual))  # NaN, too
    worst = float(off.max())
    if not wrong.size:
        return worst, ""
    differs = f"{worst:.0f} steps" if quantised else f"{worst:.1e} of the largest"
    most = f"{usual:g} are" if quantised else f"{usual:.1g} is"
    first = int(wrong[0])
    return worst, (
        f"the output differs by {differs}, at most {most} expected: "
        f"{one.runtime or 'an unknown runtime'} gave it, {here} here; first at output {first} "
        f"({agreed.labels[first]}): {answer[first]:g}, expected {one.output[first]:g}"
    )


def allowed(one: Golden, model: TFLiteModel, here: str) -> float:
    """What an answer of the runtime `here` may be off, in the unit of `output_off`."""
    if model.output.scale:
        return 0 if one.runtime == here else OTHER_RUNTIME_STEPS
    return INTEGER_SHARE if model.in_integers else FLOAT_SHARE


def _findings(one: Golden, folder: Path, agreed: Contract, model: TFLiteModel) -> Iterator[Finding]:
    try:
        prepared = prepare(one, folder, agreed)
    except (OSError, ValueError) as error:
        yield Finding(one.picture, "picture", f"cannot be read: {error}")
        return
    if prepared.differs:
        yield Finding(one.picture, "input", INPUT_DIFFERS)
        return
    _, problem = output_off(model.answer(prepared.values), one, agreed, model, runtime())
    if problem:
        yield Finding(one.picture, "output", problem)
