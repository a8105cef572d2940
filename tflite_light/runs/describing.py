"""What a delivered file says about itself to others, in its metadata."""

from tflite_light import __version__
from tflite_light.contract import CONTRACT, LABELS, Contract
from tflite_light.measure.accuracy import Measured
from tflite_light.tflite.metadata import Description


def description(agreed: Contract, row: Measured, license: str | None) -> Description:
    """`row` has the file's accuracy."""
    image = agreed.image
    measured = "" if row.top1 is None else f"Top-1 {row.top1:.3f} on {row.pictures} {row.kind}. "
    return Description(
        name=agreed.model,
        text=(
            f"{agreed.model}, {row.name}, {len(agreed.labels)} classes; made by tflite-light "
            f"{__version__}. {measured}Pictures: {_cut_out(agreed)}, resized to "
            f"{image.size} x {image.size} ({image.filter}), {image.channels}."
        ),
        output="one logit a class; softmax makes probabilities of them",
        size=image.size,
        is_rgb=image.channels == "RGB",
        mean=image.mean,
        std=image.std,
        labels=LABELS,
        contract=CONTRACT,
        license=license,
    )


def _cut_out(agreed: Contract) -> str:
    if agreed.image.resize == "stretch":
        return "the whole of it, stretched"
    return f"the centred square of {agreed.image.crop:g} times the shorter side"
