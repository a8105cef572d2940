"""What a network learns of another one: the recipe's `distil`."""

from typing import Literal

from pydantic import Field

from tflite_light.parts import Part

TEMPERATURE = {"dist": 1.0, "kd": 2.0}  # the paper's, and the best of 1, 2 and 4 that were tried


class Distil(Part):
    """Distillation: in every phase the network also learns the answers of a teacher.

    The teacher sees the very views that the network is trained on, altered as they are (Beyer et
    al. 2022, arXiv 2106.05237: answers computed beforehand overfit). It knows the data's classes,
    in the same order. Of a run it is what `fit` ended with; a recipe is one without `train`, with
    `weights`; a `.tflite` comes with its contract and answers picture by picture, which is slow.

    `kd` (Hinton et al. 2015, arXiv 1503.02531) asks for the teacher's probabilities; `dist` (Huang
    et al. 2022, arXiv 2205.10536) for some that correlate with them, between the classes of a
    picture and between the pictures of a batch. Both are multiplied by the temperature squared. Of
    two classes a picture's correlation is 1 or -1: `kd` says more there.

    `features` compares the last feature maps at each of the three coarsest resolutions, too, by
    their linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414), which asks for
    no equal widths: features x the mean of 1 - alignment joins the loss. The teacher is then a run
    or a recipe; its maps are resized to the network's where pictures are of other sizes.

    Training's loss is (1 - weight) x cross-entropy + weight x distillation, where `dist` is the sum
    of its two terms; the paper's factors of 1, 2 and 2 are a weight of 2/3. Validation's loss is
    the cross-entropy alone.
    """

    teacher: str = Field(
        min_length=1,
        description="folder of a finished run, an import's recipe, or a .tflite; relative to where "
        "the command is typed",
    )
    loss: Literal["kd", "dist"] = Field("kd", description="how answers are compared")
    weight: float = Field(0.9, gt=0, le=1, description="share of distillation in the loss")
    temperature: float | None = Field(
        None, gt=0, le=100, description="divides the logits; default: 2 for kd, 1 for dist"
    )
    features: float = Field(
        0, ge=0, le=100, description="weight of a loss of feature maps; 10 is a good one"
    )

    @property
    def softening(self) -> float:
        """The temperature, where none is written the one that suits the loss."""
        return self.temperature or TEMPERATURE[self.loss]
