"""Quantisation-aware training: the model learns with the rounding that its int8 file will have."""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from tflite_light.compress import Kind, Plan, Stage
from tflite_light.compress._layers import without
from tflite_light.compress._structure import keeping
from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.graph import lint
from tflite_light.graph.copied import cloned, copied
from tflite_light.graph.fusing import folded
from tflite_light.graph.kernels import kernels
from tflite_light.graph.lint import internal
from tflite_light.graph.uses import is_norm
from tflite_light.parts import Epochs
from tflite_light.stack import keras, tf, tfmot
from tflite_light.wording import some

if TYPE_CHECKING:
    from tflite_light.pipeline.examples import Data, Examples

CALIBRATION = 512  # training pictures that set the first ranges


class QAT(Stage):
    """Jacob et al. 2018, arXiv 1712.05877, by TF-MOT's 8-bit scheme. Zeros and equal
    weights that earlier stages promised are kept: rounding by output channel leaves them equal.

    TF-MOT starts every activation's range at [-6, 6] and forgets that only after 1,000 steps, so
    that a short stage would train for ranges the network does not have. Here they start from
    what 512 training pictures span, and the input's is what the contract's 256 pixel values become.

    Batch norm's statistics stay as they come, so that training sees what the file folds; those that
    lag behind a training of few steps are measured first, but for those that are held. MobileNet v2
    0.35 on the signs, pruned and clustered, reached 0.979 to 0.982 in the files of its last
    epochs; 0.971 to 0.974 with statistics of its batches, 0.974 to 0.977 with those until epoch 3
    of 5, and 0.971 with statistics estimated anew at the end.
    """

    yields: ClassVar[Kind] = "quantised"
    preserves: ClassVar[frozenset[str]] = frozenset({"zeros", "clusters"})
    epoch_cost: ClassVar[float] = 3.0  # MobileNet v2 0.35 at 96 px, 2 cores

    exclude: list[str] = Field(
        [], description="layers whose weights are not rounded in training, only in the file"
    )
    epochs: Epochs = Field(3, description="epochs of training inside the stage")
    learning_rate: float = Field(
        5e-4, gt=0, le=1, description="highest rate; half an epoch up, then cosine"
    )

    def plan(self, model: Any, data: "Data | None") -> Plan:
        """The layers that are excluded; before a run, whether TF-MOT would round all others,
        and the file compute with integers throughout."""
        layers = [layer for layer in model.layers if kernels(layer)]
        rounded = without(layers, self.exclude, "compress.qat.exclude")
        excluded = [layer.name for layer in layers if layer not in rounded]
        if not rounded:
            raise UserError(
                "compress.qat.exclude names every layer: none would be rounded in training.",
                "Exclude fewer layers, or leave the stage out.",
            )
        if data is None:
            _require_known(model)
            wrapped = self.wrap(model, {"kept": []}, 1)
            _require_rounded(wrapped, excluded)
            _require_integers(wrapped)
        return {"excluded": excluded}

    def covers(self, model: Any, plan: Plan) -> list[str]:
        return [name for name in super().covers(model, plan) if name not in plan["excluded"]]

    def wrap(self, model: Any, plan: Plan, steps: int) -> Any:
        annotated = cloned(folded(model), _annotated)
        configs = vars(internal("default_8bit.default_8bit_quantize_configs"))
        scheme = internal("default_8bit.default_8bit_quantize_scheme").Default8BitQuantizeScheme()
        with tfmot.quantization.keras.quantize_scope(configs):
            wrapped = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
        _leave_unrounded(wrapped, plan.get("excluded", ()))
        _hold(wrapped)
        _freeze_norms(wrapped)
        return wrapped

    def callbacks(self, wrapped: Any, plan: Plan) -> list[Any]:
        return keeping(wrapped, plan["kept"])

    def prepare(self, wrapped: Any, model: Any, plan: Plan, examples: "Examples") -> None:
        from tflite_light.graph.statistics import LAG, held, lag

        def pictures() -> Iterator[Any]:
            return examples.inputs(examples.sample(CALIBRATION), batch_size=32)

        if lag(model, pictures(), held(model)) > LAG:
            _measure_norms(wrapped, model, pictures())
        set_input_range(wrapped, examples.image)  # first: it starts at [0, 0], and all follows it
        with _observing():
            for batch in pictures():
                wrapped(batch, training=False)


def _require_known(model: Any) -> None:
    """Raises UserError where TF-MOT would refuse layers."""
    if found := lint.refused(model):
        names = [f"{name} {reason}" for name, reason in found.items()]
        raise UserError(
            f"compress.qat: TF-MOT cannot quantise {some(names)}.",
            "Build the network of Conv2D, DepthwiseConv2D or Dense, each with a batch norm and a "
            "ReLU behind it, of pools and of sums; or leave out the qat stage.",
        )


def _leave_unrounded(wrapped: Any, names: Collection[str]) -> None:
    unrounded = internal("quantizers").NoQuantizer()
    for wrapper in wrapped.layers:
        if wrapper.name.removeprefix("quant_") in names:
            wrapper._weight_vars = [(one, unrounded, own) for one, _, own in wrapper._weight_vars]


def _require_rounded(wrapped: Any, ignored: Collection[str]) -> None:
    """Raises UserError where layers' weights escape, other than those of ignored names."""
    if escaped := lint.unrounded(wrapped, ignored):
        raise UserError(
            f"compress.qat: the weights of {some(escaped)} would not be rounded in training, so "
            "that the file would be less accurate than its model.",
            "Put a batch norm between the layer and its ReLU, or give it a plain ReLU, which "
            "becomes its own activation.",
        )


def _require_integers(wrapped: Any) -> None:
    """Raises UserError where the int8 file would compute layers in float."""
    if found := lint.in_float(wrapped):
        raise UserError(
            f"compress.qat: the int8 file would compute {some(found)} in float, as the converter "
            "has no integers for them after this stage.",
            "Leave out the qat stage: calibration pictures then give these layers their ranges; or "
            "build the network of Conv2D, DepthwiseConv2D or Dense, each with a batch norm and a "
            "ReLU behind it, of pools and of sums.",
        )


def _hold(wrapped: Any) -> None:
    """Layers that the network holds, whose weights TF-MOT's wrappers have trained all the same."""
    for wrapper in wrapped.layers:
        inner = getattr(wrapper, "layer", None)
        if inner is not None and not inner.trainable:
            wrapper._non_trainable_weights.extend(wrapper._trainable_weights)
            wrapper._trainable_weights.clear()


def _freeze_norms(wrapped: Any) -> None:
    """Their statistics alone: TF-MOT's wrappers have scale and offset trained on all the same."""
    for layer in wrapped.submodules:
        if is_norm(layer):
            layer.trainable = False


def _measure_norms(wrapped: Any, model: Any, batches: Iterable[Any]) -> None:
    """Give the wrapped norms the statistics of pictures, and dense layers what those fold to."""
    from tflite_light.graph import statistics

    measured = copied(model)
    statistics.measure(measured, batches, statistics.held(model))
    own = {variable.name: variable for variable in wrapped.weights}
    for variable in folded(measured).weights:  # all others are what they were
        own[variable.name].assign(variable)


def _annotated(layer: Any) -> Any:
    """The layer, marked to be quantised; a product, which TF-MOT does not know, by its output."""
    if isinstance(layer, keras.layers.InputLayer):
        return layer
    config = None
    if isinstance(layer, keras.layers.Multiply):
        configs = internal("default_8bit.default_8bit_quantize_configs")
        config = configs.Default8BitOutputQuantizeConfig()
    return tfmot.quantization.keras.quantize_annotate_layer(layer, config)


def set_input_range(wrapped: Any, image: Image) -> None:
    """Give the model's input the range of the 256 pixel values, whatever was seen of them."""
    (layer,) = (layer for layer in wrapped.layers if type(layer).__name__ == "QuantizeLayer")
    for variable in layer.weights:
        if "min" in variable.name or "max" in variable.name:
            variable.assign(image.range()["max" in variable.name])


@contextlib.contextmanager
def _observing() -> Iterator[None]:
    """Let TF-MOT's activation ranges span what they see, and nothing be rounded meanwhile.

    Weights have no ranges before the first training step, so they must not be rounded either.
    """
    quant_ops = internal("quant_ops")
    seen = set()

    def observe(inputs: Any, min_var: Any, max_var: Any, **_: Any) -> Any:
        first = min_var.ref() not in seen
        seen.add(min_var.ref())
        low, high = (0.0, 0.0) if first else (min_var, max_var)
        min_var.assign(tf.minimum(tf.reduce_min(inputs), low))
        max_var.assign(tf.maximum(tf.reduce_max(inputs), high))
        return inputs

    originals = quant_ops.MovingAvgQuantize, quant_ops.LastValueQuantize
    quant_ops.MovingAvgQuantize, quant_ops.LastValueQuantize = (
        observe,
        lambda inputs, *_, **__: inputs,
    )
    try:
        yield
    finally:
        quant_ops.MovingAvgQuantize, quant_ops.LastValueQuantize = originals
