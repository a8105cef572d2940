"""The preprocessing contract: what a consumer must do to pixels to get the answers training
promised.

It is part of the recipe (`image:`), is obeyed by training, calibration, evaluation and prediction,
and travels with every exported file: as `<name>.json` beside it with golden pictures, and without
them inside the file, in the zip archive that TFLite appends to a flatbuffer for associated files.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from tflite_light.errors import UserError
from tflite_light.sockets import Part

_MEMBER = "contract.json"
_LABELS = "labels.txt"


def _spread(value: Any) -> Any:
    return (value,) * 3 if isinstance(value, int | float) else value


PerChannel = Annotated[tuple[float, float, float], BeforeValidator(_spread), Field(strict=False)]
PerChannelPositive = Annotated[
    tuple[
        Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]
    ],
    BeforeValidator(_spread),
    Field(strict=False),
]


class Image(Part):
    """From a picture to the model's input, in four steps.

    1. Decode to 8-bit RGB: turn by the EXIF orientation, lay transparency on white, keep the high
       byte of 16-bit samples.
    2. Cut out a box. `crop`: the centred square whose side is floor(`crop` x shorter side + 0.5),
       at left = (width - side) // 2 and top = (height - side) // 2. `stretch`: the whole picture.
    3. Resize the cut-out to `size` x `size` with Pillow's `filter`, as wide as the reduction: a
       triangle (bilinear), Keys' cubic with a = -1/2 (bicubic), or the mean of what a pixel covers
       (box). Across and then down, 22-bit fixed-point sums, each pass rounded to 8 bits.
    4. Order the channels, subtract `mean`, divide by `std`.

    The default of 128 and 128 maps the 256 pixel values to [-1, 1) with an exact step of 1/128, so
    a quantised uint8 input with scale 1/128 and zero point 128 is the pixel itself.
    """

    size: int = Field(96, ge=32, le=1024, description="side of the square input, pixels")
    resize: Literal["crop", "stretch"] = Field(
        "crop", description="centred square, or whole picture"
    )
    crop: float = Field(
        1.0, gt=0, le=1, description="side of the square, share of the shorter side"
    )
    filter: Literal["bilinear", "bicubic", "box"] = Field(
        "bilinear", description="of the resizing; what the weights were trained with"
    )
    channels: Literal["RGB", "BGR"] = Field("RGB", description="order of the channels")
    mean: PerChannel = Field((128.0,) * 3, description="subtracted, in channel order")
    std: PerChannelPositive = Field((128.0,) * 3, description="divided by, in channel order")

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the part of a picture that is resized."""
        if self.resize == "stretch":
            return 0, 0, width, height
        side = max(1, int(self.crop * min(width, height) + 0.5))
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side

    def range(self) -> tuple[float, float]:
        """The smallest and largest value that a pixel of 0..255 can become."""
        channels = list(zip(self.mean, self.std, strict=True))
        return min(-m / s for m, s in channels), max((255 - m) / s for m, s in channels)


class Tensor(Part):
    """One end of the file: real = (value - zero_point) * scale, or the value where scale is 0."""

    shape: list[int]
    dtype: Literal["float32", "int8", "uint8"]
    scale: float = Field(0.0, ge=0)
    zero_point: int = 0


class Golden(Part):
    """A picture beside the file, and the file's own answer to it in the output's own units."""

    picture: str
    label: str | None = Field(description="what is on it, where that is known")
    output: list[float]


class Contract(Part):
    """All that a consumer of the file needs to know."""

    version: Literal[1] = 1
    model: str
    image: Image
    labels: list[str] = Field(min_length=2)
    input: Tensor
    output: Tensor
    output_is: Literal["logits"] = "logits"
    golden: list[Golden] = []


def beside(model: Path) -> Path:
    """Where the contract of a file lies."""
    return model.with_suffix(".json")


def read(model: Path) -> Contract:
    """The contract of a `.tflite` file: the one beside it, else the one inside it.

    Raises UserError when there is none or it is damaged.
    """
    side = beside(model)
    try:
        content = side.read_bytes() if side.exists() else _read_inside(model)
        return Contract.model_validate_json(content)
    except (OSError, KeyError, zipfile.BadZipFile):
        raise UserError(
            f"{model} has no contract: {side} is missing and none is inside the file. "
            "Export the model again, or copy the .json that was written beside it."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UserError(
            f"the contract of {model} is damaged, {place or 'its start'}: {first['msg']}. "
            "Export the model again, or copy the .json that was written beside it."
        ) from error


def embed(content: bytes, contract: Contract) -> bytes:
    """The file's bytes with the contract and its labels appended as a zip archive."""
    bare = contract.model_copy(update={"golden": []})
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a") as members:
        for name, text in ((_MEMBER, to_json(bare)), (_LABELS, "\n".join(contract.labels) + "\n")):
            members.writestr(
                zipfile.ZipInfo(name), text
            )  # ZipInfo's fixed date: equal runs, equal bytes
    return archive.getvalue()


def to_json(contract: Contract) -> str:
    return json.dumps(contract.model_dump(mode="json"), indent=2) + "\n"


def _read_inside(model: Path) -> bytes:
    with zipfile.ZipFile(model) as members:
        return members.read(_MEMBER)
