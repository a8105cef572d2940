"""`image:` of a recipe, and of a contract: from a picture to the model's input."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from tflite_light.parts import Part

AS_WRITTEN = "as written"  # context of a validation that takes what an older export was made with
_FARTHEST = 10_000  # that a mean or std may be from pixels of 0..255; usual ones are below 256


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
    4. Order the channels, subtract `mean`, divide by `std`: in float32, each step rounded. Pixels
       are 0..255, and `mean` and `std` are in the same unit.

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
    mean: PerChannel = Field(
        (128.0,) * 3,
        description="subtracted from pixels of 0..255, in channel order; or one number",
    )
    std: PerChannelPositive = Field(
        (128.0,) * 3,
        description="divided by, in the unit of pixels of 0..255, in channel order; or one number",
    )

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        checks = (_wrong_unit, _too_far, _idle_crop)
        problems = [] if info.context == AS_WRITTEN else [check(self) for check in checks]
        if any(problems):
            raise ValueError("; ".join(filter(None, problems)))
        return self

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

    def distance(self, other: "Image") -> float:
        """How far apart the two normalise any pixel value, at most: both are linear in it."""
        return max(
            abs((pixel - a) / b - (pixel - c) / d)
            for a, b, c, d in zip(self.mean, self.std, other.mean, other.std, strict=True)
            for pixel in (0, 255)
        )


def _wrong_unit(image: Image) -> str:
    """What is wrong with a mean or std of pixels of 0..1; nothing with mean 0, std 1 or 255.

    No picture collection has a mean between 0 and 1 of 255, nor a std below 1.
    """
    if not (any(0 < abs(mean) < 1 for mean in image.mean) or any(std < 1 for std in image.std)):
        return ""
    mean = [value * 255 if abs(value) <= 1 else value for value in image.mean]
    std = [value * 255 if value <= 1 else value for value in image.std]
    return (
        "mean and std are of pixels of 0..1, but pixels are 0..255 here. Multiply them by 255: "
        f"mean: {_written(mean)}, std: {_written(std)}"
    )


def _too_far(image: Image) -> str:
    """Whether pixels of 0..255 become all but equal, so that nothing can be learnt of them."""
    if max(map(abs, (*image.mean, *image.std))) <= _FARTHEST:
        return ""
    return f"mean and std are of pixels of 0..255, of which nothing is left beyond {_FARTHEST}"


def _idle_crop(image: Image) -> str:
    idle = image.resize == "stretch" and image.crop != 1
    return "crop has no effect with resize: stretch; remove one of them" if idle else ""


def _written(values: list[float]) -> str:
    """As in a recipe: one number for three equal ones."""
    numbers = [f"{value:.6g}" for value in values]
    return numbers[0] if len(set(numbers)) == 1 else f"[{', '.join(numbers)}]"
