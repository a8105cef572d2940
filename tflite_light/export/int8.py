"""Integers throughout, from the pixels to the logits."""

import re
from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.export import Mode, _calibration
from tflite_light.graph.convert import calibrated, convert, converter_for, quantised, rounding_noise
from tflite_light.graph.naming import fitting
from tflite_light.graph.quantised import is_quantised, unquantised
from tflite_light.progress import say
from tflite_light.stack import tf
from tflite_light.tflite.file import File
from tflite_light.tflite.layers import constant, operators
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples

_JUDGED = 32  # pictures that show how much rounding changes; more name the same layers
CASTS = ("QUANTIZE", "DEQUANTIZE")


class Int8(Mode):
    """Weights int8 by output channel, activations int8 by tensor, biases int32; no float op inside.

    After `qat` the ranges are those the model was trained with; without it they are calibrated on
    training pictures, which come through the same pipeline as in training. Layers kept in float
    have float32 weights, and a cast before and behind them; a `qat` stage's ranges are then
    calibrated anew.
    """

    accepts_qat_model: ClassVar[bool] = True
    needs_pictures: ClassVar[bool] = True
    logit_error: ClassVar[float] = 0.25
    agreement: ClassVar[float] = 0.95
    size_ratio: ClassVar[float] = 0.4

    io: Literal["uint8", "int8", "float32"] = Field(
        "uint8", description="type of the file's input and output"
    )
    float_layers: list[str] | Annotated[int, Field(ge=1)] = Field(
        [],
        description="layers to keep in float32, by name or pattern such as `block1_*`; or how "
        "many, those that rounding changes most",
    )
    calibration_images: int = _calibration.Images
    calibration_seed: int = _calibration.Seed

    def require_known(self, model: Any) -> None:
        layers = [layer.name for layer in model.layers]
        fitting(layers, self._patterns, f"export.{self.key}.float_layers", "of the network")

    def convert(self, model: Any, examples: "Examples") -> bytes:
        from tflite_light.tflite.ties import without_ties

        if self._has_ranges(model):
            converter = converter_for(model)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            kind = tf.dtypes.as_dtype(self.io)
            converter.inference_input_type = converter.inference_output_type = kind
            return without_ties(convert(converter))
        content = self._calibrated(model, examples)
        kept = self._kept(content) if self._patterns else self._harmed(content, model, examples)
        return without_ties(quantised(content, self.io, kept))

    def calibrated_on(self, model: Any, examples: "Examples") -> list[int] | None:
        if self._has_ranges(model):
            return []
        return examples.balanced(self.calibration_images, self.calibration_seed)

    def check(self, file: File) -> None:
        super().check(file)
        casts = CASTS if self.io == "float32" or self.float_layers else ()
        strays = [
            one.kind
            for one in operators(file)
            if one.is_float and one.kind not in casts and not one.fits(self._patterns)
        ]
        if len(strays) > self._most:
            kinds = ", ".join(sorted(set(strays)))
            raise UserError(
                f"the {self.stem} file would compute {len(strays)} operators in float ({kinds}).",
                "Use layers that TFLite has in int8, name them in `float_layers`, or export "
                "float32.",
            )

    @property
    def _patterns(self) -> list[str]:
        return self.float_layers if isinstance(self.float_layers, list) else []

    @property
    def _most(self) -> int:
        """How many operators may stay in float besides those that are named."""
        return self.float_layers if isinstance(self.float_layers, int) else 0

    def _has_ranges(self, model: Any) -> bool:
        """Whether the file takes the model's own; they know nothing of layers kept in float."""
        return is_quantised(model) and not self.float_layers

    def _calibrated(self, model: Any, examples: "Examples") -> bytes:
        """The float file with the ranges that its tensors have on training pictures."""
        chosen = self.calibrated_on(model, examples) or []
        content = calibrated(
            converter_for(unquantised(model) if is_quantised(model) else model),
            lambda: _calibration.inputs(examples, chosen, self.calibration_images),
        )
        if still := constant(File(content)):
            say(
                f"warning: {self.stem}: nothing changes on the {len(chosen)} calibration pictures "
                f"in {some(still)}: what other pictures do there may be cut off"
            )
        return content

    def _kept(self, content: bytes) -> set[str]:
        """The tensors that operators kept in float write."""
        every = list(operators(File(content)))
        for pattern in self._patterns:
            if not any(one.fits([pattern]) for one in every):
                raise UserError(
                    f"export.{self.key}.float_layers: {pattern!r} names no operator of the file.",
                    "Its layers are part of others there, such as a batch norm of its "
                    "convolution: name those.",
                )
        return {one.output for one in every if one.fits(self._patterns)}

    def _harmed(self, content: bytes, model: Any, examples: "Examples") -> set[str]:
        """The tensors of so many operators as may stay in float, those that rounding harms most."""
        if not self._most:
            return set()
        pictures = (self.calibrated_on(model, examples) or [])[:_JUDGED]
        noise = rounding_noise(content, lambda: _calibration.inputs(examples, pictures, 0))
        every = [one.output for one in operators(File(content))]
        worst = sorted(noise, key=lambda found: -found[1])[: self._most]
        kept = {_named(name, every): share for name, share in worst}
        for name, share in kept.items():
            say(f"{self.stem}: {name} stays in float: {10 * log10(1 / share):.0f} dB as int8")
        return set(kept)


def _named(name: str, tensors: Sequence[str]) -> str:
    """The tensor that a verifying operator was named after: the converter adds digits."""
    found = [one for one in tensors if re.fullmatch(re.escape(one) + r"\d*", name)]
    return max(found, key=len)
