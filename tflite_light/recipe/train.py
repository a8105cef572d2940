"""How a model is fitted: the recipe's `train`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tflite_light.parts import MOST_EPOCHS, Epochs, Part


class Freeze(Part):
    """Fine-tuning: the new classifier alone first, then all but batch norm at `train`'s own rate.

    Batch norm's statistics stay as loaded in every phase, but where `factorize` and `channels` have
    changed what they are of: weights whose batch norm was folded hold none of their own, and those
    of a small set are worse than the loaded ones. MobileNetV2 on hand
    signs reached 0.995 so, and 0.287 with statistics of its batches. Its gamma and beta stay, too,
    but in `qat`, which trains them.
    """

    epochs: Epochs = Field(1, description="epochs in which only the classifier is trained")
    learning_rate: float = Field(0.005, gt=0, le=10, description="highest rate in them")


class Stairs(Part):
    """A rate that is multiplied by `factor` again and again."""

    factor: float = Field(gt=0, lt=1, description="what the rate is multiplied by")
    every_epochs: float = Field(
        ge=1e-6, le=MOST_EPOCHS, description="epochs from one time to the next"
    )


def _kind(schedule: Any) -> str | None:
    if isinstance(schedule, dict | Stairs):
        return "stairs"
    return "name" if schedule in ("cosine", "linear") else None


Schedule = Annotated[
    Annotated[Literal["cosine", "linear"], Tag("name")] | Annotated[Stairs, Tag("stairs")],
    Discriminator(_kind, "schedule", "write cosine, linear or {factor: 0.94, every_epochs: 2}"),
]


class Train(Part):
    """How a model is fitted.

    Stages have their own epochs and rate, which falls by a cosine; no averaging, no patience.
    """

    epochs: Epochs = Field(30, description="passes over the training pictures")
    batch_size: int = Field(32, ge=1, le=65_536, description="pictures a step")
    optimizer: Literal["adamw", "sgd", "nesterov", "rmsprop"] = Field(
        "adamw", description="the last three have momentum 0.9; rmsprop: decay 0.9, epsilon 1"
    )
    learning_rate: float = Field(0.004, gt=0, le=10, description="highest rate")
    schedule: Schedule = Field(
        "cosine", description="how the rate falls: to 0 by a cosine, in a line, or in stairs"
    )
    warmup_epochs: float = Field(
        3, ge=0, le=MOST_EPOCHS, description="epochs in which the rate rises from 0"
    )
    weight_decay: float = Field(
        0.001,
        ge=0,
        lt=1,
        description="not on biases and norms; adamw: decoupled, rate x weight_decay x weight off "
        "each step; others: coupled, weight_decay x weight added to the gradient (L2)",
    )
    decay_depthwise: bool = Field(True, description="whether depthwise kernels decay as well")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="probability spread over all classes"
    )
    average: float = Field(
        0.99, ge=0, lt=1, description="momentum of the weights' moving average; 0: none"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="stop the fit after epochs without better val accuracy; keep the best",
    )
    class_weights: bool = Field(False, description="weigh pictures by the rarity of their class")
    outlier_weight: float = Field(
        0.5, gt=0, le=10, description="of the loss of outliers beside that of other pictures"
    )
    made_outliers: bool = Field(
        False,
        description="learn drawn pictures as outliers; beside others, half of each",
    )
    freeze: Freeze | None = Field(
        None, description="train the classifier alone first, for weights that were loaded"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32",
        description="of the arithmetic in float phases; variables are float32, and qat is",
    )
    jit_compile: bool | None = Field(
        None, description="steps of the fit as XLA's kernels; default: on GPUs, for 5,000 or more"
    )
    batch_norm_momentum: float | None = Field(
        None, gt=0, lt=1, description="default: 1 - 5 / steps an epoch, between 0.9 and 0.99"
    )
