"""What a delivered file says about itself to others, in its metadata."""

from tflite_light import __version__
from tflite_light.contract import CONTRACT, LABELS, Contract
from tflite_light.measure.accuracy import Measured
from tflite_light.measure.stated import is_pixel
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
        is_rgb=misfit(agreed) is None,
        mean=image.mean,
        std=image.std,
        labels=LABELS,
        contract=CONTRACT,
        license=license,
    )


def misfit(agreed: Contract) -> str | None:
    """Why MediaPipe Tasks would not see the pixels that the contract asks for; None where it does.

    Such a file does not call its input RGB, so that MediaPipe refuses it: a uint8 one would run,
    and be wrong. From `image_preprocessing_graph.cc` and `image_tensor_specs.cc` of MediaPipe.
    """
    image, input_ = agreed.image, agreed.input
    if image.channels != "RGB":
        return "it knows RGB alone"
    if input_.dtype == "int8":
        return "it takes uint8 and float32 pixels"
    if input_.dtype == "uint8" and not is_pixel(image.mean, image.std, input_):
        return "it gives uint8 pixels as they are, without mean and std"
    if input_.dtype == "float32" and len({*zip(image.mean, image.std, strict=True)}) > 1:
        return "it has one mean and std for all channels"
    return None


def _cut_out(agreed: Contract) -> str:
    if agreed.image.resize == "stretch":
        return "the whole of it, stretched"
    return f"the centred square of {agreed.image.crop:g} times the shorter side"
