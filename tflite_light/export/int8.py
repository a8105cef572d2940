"""Integers throughout, from the pixels to the logits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tflite_light.errors import UserError
from tflite_light.export import Mode, _calibration
from tflite_light.graph.convert import (
    calibrated,
    converter_for,
    quantised,
    recalibrated,
    trained,
)
from tflite_light.graph.naming import by_kernels, fitting
from tflite_light.graph.quantised import is_quantised, unquantised
from tflite_light.progress import say
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Examples
    from tflite_light.tflite.file import File

_CORRECTED = 64  # pictures by which biases are corrected: 0.1 s each for MobileNet v2 at 224 px
_ROUNDED = 64  # and by which weights are rounded
# Fields that look for ranges or steps, or mend what these do.
_FITTED = ("equalise", "ranges", "rounding", "weight_bits", "correct_bias")
_JUDGED = 32  # pictures that show how much rounding changes; more name the same layers


class Int8(Mode):
    """Weights int8 by output channel (or by tensor), activations int8 by tensor, biases int32; no
    float op inside.

    After `qat` the ranges are those the model was trained with; without it they are calibrated on
    training pictures, which come through the same pipeline as in training. Layers kept in float
    have float32 weights, and a cast before and behind them. With them, or a scale a tensor, a `qat`
    stage's ranges are calibrated anew.
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
    float_bits: Literal[32, 16] = Field(32, description="of the weights of float_layers")
    correct_bias: bool = Field(
        True,
        description="biases take over what rounding changes in the mean; always with rounding: "
        "adaptive or weight_bits: 4, never with qat's ranges",
    )
    weight_scales: Literal["channel", "tensor"] = Field(
        "channel",
        description="of kernels: one an output channel, or one a layer for processors that know no "
        "other; after qat ranges are then calibrated anew",
    )
    equalise: bool = Field(
        False,
        description="channels are scaled against each other until each fills the ranges it "
        "shares; for weight_scales: tensor; not with qat's ranges",
    )
    ranges: Literal["extremes", "error"] = Field(
        "extremes",
        description="of activations: to the extremes that calibration pictures gave, or where "
        "cutting off and rounding change least together; not with qat's",
    )
    rounding: Literal["nearest", "adaptive"] = Field(
        "nearest",
        description="of weights; adaptive is by what layers answer to 64 pictures, in minutes; "
        "not with qat's ranges",
    )
    weight_bits: Literal[8, 4] = Field(
        8,
        description="4: at most 15 values a channel, which pack to half; the first layer, dense "
        "ones and transposed convolutions keep 8; not with qat's ranges",
    )
    calibration_images: int = _calibration.Images
    calibration_seed: int = _calibration.Seed

    @model_validator(mode="after")
    def _no_idle_field(self) -> Self:
        if not self.correct_bias and (steps := self._chosen_steps):
            raise ValueError(
                f"correct_bias: false has no effect with {steps}, which corrects biases, too; "
                "leave it out"
            )
        if self.float_bits < 32 and not self.float_layers:
            raise ValueError(
                f"float_bits: {self.float_bits} has no effect without float_layers; leave it out"
            )
        return self

    def require_known(self, model: Any) -> None:
        _calibration.require_possible(model, self.key)
        layers = [layer.name for layer in model.layers]
        fitting(layers, self._patterns, self._place, "of the network")
        if self._most >= len(layers):  # the file's operators are fewer still, and counted later
            raise UserError(
                f"{self._place}: {self._most} are all of the network's {len(layers)} layers.",
                "Write fewer, or export float32.",
            )

    @property
    def loses(self) -> dict[str, str]:
        """Weights that were equal are scaled by channels of the input, or rounded either way."""
        adaptive = self.rounding == "adaptive"
        field = "equalise" if self.equalise else "rounding: adaptive" if adaptive else None
        return {"clusters": field} if field else {}

    @property
    def idle_after_qat(self) -> str | None:
        asked = (
            f"{name}: {value}".lower()
            for name in _FITTED
            if (value := getattr(self, name)) != type(self).model_fields[name].default
        )
        field = next(asked, None) if self.takes_trained_ranges else None
        after = "after qat, whose ranges and weights are trained"
        return field and f"export.{self.key}: {field} has no effect {after}"

    @property
    def takes_trained_ranges(self) -> bool:
        return not self.float_layers and self._by_channel

    def convert(self, model: Any, examples: "Examples") -> bytes:
        from tflite_light.export._ranges import covering
        from tflite_light.tflite.ties import without_ties

        if self._has_ranges(model):
            if idle := self.idle_after_qat:
                raise UserError(f"{idle}.", "Leave it out.")
            return without_ties(trained(model, self.io))
        pictures = self.calibrated_on(model, examples) or []
        content = self._calibrated(model, examples, pictures)
        if self.equalise:
            content = self._equalised(content, examples, pictures)
        if self.ranges == "error":
            from tflite_light.export._ranges import narrowed

            content = narrowed(content, examples.inputs(pictures[:_CORRECTED], 1))
        content = covering(content)
        in_float = self._exempt(content, model, examples, pictures)
        made = quantised(content, self.io, in_float, self._by_channel)
        made = self._rounded(made, content, examples, pictures)
        if in_float and self.float_bits < 32:
            from tflite_light.export._exempt import halved

            made = halved(made)
        return without_ties(made)

    def calibrated_on(self, model: Any, examples: "Examples") -> list[int] | None:
        if self._has_ranges(model):
            return []
        return examples.balanced(self.calibration_images, self.calibration_seed)

    def rounded_from(self, model: Any, examples: "Examples") -> bytes:
        if not self.equalise:
            return super().rounded_from(model, examples)
        pictures = self.calibrated_on(model, examples) or []
        return self._equalised(self._calibrated(model, examples, pictures), examples, pictures)

    def check(self, file: "File", layers: Sequence[str] = ()) -> None:
        from tflite_light.export._exempt import strays

        super().check(file, layers)
        casts = self.io == "float32" or bool(self.float_layers)
        found = strays(file, self._patterns, layers, casts)
        if len(found) > self._most:
            raise UserError(
                f"the {self.stem} file would compute in float: {some(found)}.",
                "Use layers that TFLite has in int8, name these in `float_layers`, or export "
                "float32.",
            )

    @property
    def _place(self) -> str:
        return f"export.{self.key}.float_layers"

    @property
    def _patterns(self) -> list[str]:
        return self.float_layers if isinstance(self.float_layers, list) else []

    @property
    def _most(self) -> int:
        """How many operators may stay in float besides those that are named."""
        return self.float_layers if isinstance(self.float_layers, int) else 0

    def _has_ranges(self, model: Any) -> bool:
        """Whether the file takes the model's own, which know neither layers kept in float nor
        weights with one scale.
        """
        return is_quantised(model) and self.takes_trained_ranges

    @property
    def _chosen_steps(self) -> str:
        """The field by which weights are rounded anew, and biases corrected with them."""
        if self.rounding == "adaptive":
            return "rounding: adaptive"
        return f"weight_bits: {self.weight_bits}" if self.weight_bits < 8 else ""

    @property
    def _by_channel(self) -> bool:
        return self.weight_scales == "channel"

    def _calibrated(self, model: Any, examples: "Examples", pictures: list[int]) -> bytes:
        """The float file with the ranges that its tensors have on training pictures."""
        from tflite_light.export._ranges import roomy
        from tflite_light.tflite.file import File
        from tflite_light.tflite.layers import constant

        converter = converter_for(unquantised(model))
        _calibration.require_no_loop(converter, self.key)
        content = calibrated(
            converter,
            lambda: _calibration.inputs(examples, pictures, self.calibration_images),
        )
        if still := constant(File(content)):
            say(
                f"warning: {self.stem}: nothing changes on the {len(pictures)} calibration "
                f"pictures in {some(still)}: what other pictures do there may be cut off"
            )
        return roomy(content)

    def _equalised(self, content: bytes, examples: "Examples", pictures: list[int]) -> bytes:
        """The calibrated file with other ranges."""
        from tflite_light.export._equalisation import equalised
        from tflite_light.export._ranges import roomy

        made = equalised(content, examples.inputs(pictures, 1), self._by_channel)
        asked = len(pictures)
        made = recalibrated(made, lambda: _calibration.inputs(examples, pictures, asked))
        return roomy(made)

    def _rounded(
        self, made: bytes, float_: bytes, examples: "Examples", pictures: list[int]
    ) -> bytes:
        from tflite_light.export._rounding import corrected, rounded

        if self._chosen_steps:
            seen = list(examples.inputs(pictures[:_ROUNDED], 1))
            say(f"{self.stem}: rounding weights, layer by layer")
            return rounded(made, float_, seen, self.weight_bits, self.rounding == "adaptive")
        if self.correct_bias:
            return corrected(made, float_, examples.inputs(pictures[:_CORRECTED], 1))
        return made

    def _exempt(
        self, content: bytes, model: Any, examples: "Examples", pictures: list[int]
    ) -> set[str]:
        """The tensors of a calibrated file that operators kept in float write."""
        from tflite_light.export import _exempt

        few, layers = pictures[:_JUDGED], by_kernels(unquantised(model))
        if self._most:
            return _exempt.harmed(
                content,
                self._most,
                self._place,
                layers,
                lambda: _calibration.inputs(examples, few, len(few)),
            )
        return _exempt.named(content, self._patterns, self._place, layers)
