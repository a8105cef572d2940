"""Kinds of `.tflite` file.

A new mode is one file here with one public class derived from `Mode`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.lowering import Target
from tflite_light.parts import Part
from tflite_light.tflite.runtimes import is_older, oldest
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples
    from tflite_light.tflite.file import File

PHONE = "2.16"  # TFLite in the Android demo, the newest on Maven Central


def require_kernels(file: "File", name: str) -> None:
    """Raises UserError where the file called `name` has operators that no runtime is known for."""
    codes = sorted(code for code in {*file.codes()} if not oldest(*code))
    if codes:
        operators = [f"{operator} version {version}" for operator, version in codes]
        raise UserError(
            f"it is not known which runtimes have operators of the {name} file: {some(operators)}.",
            "Build the network without these layers.",
        )


class Mode(Part):
    """Turns a Keras model into the bytes of a file with batch 1, logits out."""

    accepts_qat_model: ClassVar[bool] = False  # or it converts the model before `qat`
    needs_pictures: ClassVar[bool] = False  # whether it cannot be made without examples

    on_gpu: ClassVar[bool] = True  # TFLite's GPU delegate takes all of such a file

    # What its tests hold a file to, against the Keras model and against float32.
    logit_error: ClassVar[float]  # largest difference of a logit, over the largest logit
    agreement: ClassVar[float]  # share of test pictures with the same first class
    size_ratio: ClassVar[float]  # bytes over those of float32

    name: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9_]*$",
        description="the file's, without .tflite; default: the mode's key",
    )
    runtime: str = Field(
        PHONE,
        pattern=r"^[12]\.\d{1,3}(\.\d{1,3})?$",
        description="oldest TFLite that has to know the file's operators",
    )
    target: Target = Field(
        "any",
        description="what the file's operators suit best; it runs everywhere: cpu takes fewest "
        "products, gpu and nnapi what they accept",
    )
    packed: bool = Field(
        False,
        description="also write NAME.tflite.packed for a download; `unpack` restores the file",
    )

    @property
    def stem(self) -> str:
        """What its file and its row in a report are called."""
        return self.name or self.key

    def require_known(self, model: Any) -> None:
        """Raises UserError where the model lacks layers that the mode names."""

    @property
    def loses(self) -> dict[str, str]:
        """Promises that a file of a float model would not keep -> the field that it is for."""
        return {}

    @property
    def takes_trained_ranges(self) -> bool:
        """Whether its file has the ranges and weights that `qat` trained, after it."""
        return False

    @property
    def idle_after_qat(self) -> str | None:
        """What is wrong with a field that asks for others, where the file takes those."""
        return None

    @abstractmethod
    def convert(self, model: Any, examples: "Examples") -> bytes:
        """`examples` are training pictures, for calibration."""

    def calibrated_on(self, model: Any, examples: "Examples") -> list[int] | None:
        """Which examples set the ranges; [] where they were trained, None where there are none."""
        return None

    def rounded_from(self, model: Any, examples: "Examples") -> bytes:
        """The float file whose values this mode's file of the same model rounds."""
        from tflite_light.graph.convert import convert, converter_for
        from tflite_light.graph.quantised import unquantised

        return convert(converter_for(unquantised(model)))

    def check(self, file: "File", layers: Sequence[str] = ()) -> None:
        """Raises UserError when the file is not what the mode promises; `layers` are those of the
        network, by which a mode may have named some."""
        require_kernels(file, self.stem)
        newer = [
            f"{op} version {version} (since {since})"
            for op, version in sorted({*file.codes()})
            if (since := oldest(op, version)) and is_older(self.runtime, since)
        ]
        if newer:
            raise UserError(
                f"the {self.stem} file needs a newer runtime than {self.runtime}: {some(newer)}.",
                f"Set `export.{self.key}.runtime` to what your phones have, or build the network "
                "without these layers.",
            )
