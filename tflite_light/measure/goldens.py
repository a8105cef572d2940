"""Golden pictures: a file's own answers, by which a consumer shows that it obeys the contract."""

import os.path
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tflite_light.contract import Contract, Golden, sha256
from tflite_light.measure.runners import TFLiteModel, quantise, runtime
from tflite_light.pipeline.decode import Pixels, decode
from tflite_light.pipeline.preprocess import crop_and_resize, normalise
from tflite_light.wording import count

# What another runtime or processor may differ by. Measured: six int8 networks by XNNPACK and by
# TFLite's reference kernels, at most 5 steps of the output (XNNPACK on x86 and Arm: none);
# float32 by XNNPACK on x86 and Arm, at most 9e-6 of the largest output.
OTHER_RUNTIME_STEPS = 5
FLOAT_SHARE = 1e-4
INPUT_DIFFERS = (
    "the input made of it differs from the one it was exported with: the picture, the contract's "
    "`image`, or the way of decoding, resizing or normalising has changed"
)


@dataclass(frozen=True)
class Finding:
    """What differs at one golden picture: the picture, the input made of it, or the output."""

    picture: str
    kind: Literal["picture", "input", "output"]
    text: str


def golden(
    picture: Pixels, name: str, label: str | None, agreed: Contract, model: TFLiteModel
) -> Golden:
    """`picture` with the answer that the file gives to it here."""
    values = input_of(picture, agreed)
    return Golden(
        picture=name,
        label=label,
        input_sha256=sha256(values.tobytes()),
        output=[float(value) for value in model.answer(values)],
        runtime=runtime(),
    )


def input_of(picture: Pixels, agreed: Contract) -> np.ndarray[Any, Any]:
    """uint8 [height, width, 3] -> the input [size, size, 3] in the file's own type."""
    pixels = crop_and_resize(picture, agreed.image).astype(np.float32)
    return quantise(normalise(pixels, agreed.image), agreed.input)


def check(agreed: Contract, model: TFLiteModel, folder: Path) -> list[Finding]:
    """What differs when the golden pictures in `folder` are answered here; [] if nothing.

    The input is compared first: where it differs, the preprocessing does, and the output is not
    looked at. An int8 output must be equal where the runtime is the golden's own, and may be 5
    steps off elsewhere; a float32 one 1e-4 of the largest output. Pictures that are not there are
    passed over: a file may travel without them.
    """
    found = (_check(one, folder, agreed, model) for one in agreed.golden)
    return [finding for finding in found if finding]


def warnings(findings: list[Finding]) -> list[str]:
    """A line for each kind of finding, with the first of it."""
    lines = []
    for kind in dict.fromkeys(finding.kind for finding in findings):
        same = [finding for finding in findings if finding.kind == kind]
        number = count(len(same), "golden picture")
        lines.append(f"{number}, first {same[0].picture}: {same[0].text}")
    return lines


def _check(one: Golden, folder: Path, agreed: Contract, model: TFLiteModel) -> Finding | None:
    if not os.path.isfile(folder / one.picture):
        return None
    try:
        values = input_of(decode((folder / one.picture).read_bytes()), agreed)
    except (OSError, ValueError) as error:
        return Finding(one.picture, "picture", f"cannot be read: {error}")
    if one.input_sha256 and sha256(values.tobytes()) != one.input_sha256:
        return Finding(one.picture, "input", INPUT_DIFFERS)
    answer = model.answer(values).astype(np.float64)
    if answer.shape != (len(one.output),):
        text = f"{len(one.output)} outputs are listed, but the file answers with {len(answer)}"
        return Finding(one.picture, "output", text)
    problem = _off(np.abs(answer - one.output).max(), one, agreed)
    return Finding(one.picture, "output", problem) if problem else None


def _off(off: float, one: Golden, agreed: Contract) -> str:
    """What is wrong with an output that is `off` from the golden one; nothing within tolerance."""
    if agreed.output.scale:
        usual: float = 0 if one.runtime == runtime() else OTHER_RUNTIME_STEPS
        problem = f"differs by {off:.0f} steps, at most {usual} are expected"
    else:
        off, usual = off / max(np.abs(one.output).max(), 1e-30), FLOAT_SHARE
        problem = f"differs by {off:.1e} of the largest, at most {usual:.0e} is expected"
    if off <= usual:  # false for NaN
        return ""
    then = one.runtime or "an unknown runtime"
    return f"the output {problem}: {then} gave it, {runtime()} here"
