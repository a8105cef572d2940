"""How a step changes the weights: the rate of each step, and the optimizers of the papers."""

from collections.abc import Callable
from typing import Any, Literal

from tflite_light.recipe.train import Stairs, Train
from tflite_light.stack import keras, tf

Fall = Callable[[Any], Any]
_END = r"(/replica_\d+)?(:0)?$"  # of a variable's name; each device has one of its own
NORMS_AND_BIASES = r"(^|/)(bias|beta|gamma)" + _END  # never decayed
DEPTHWISE = r"(^|/)depthwise_kernel" + _END


class Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Rises from 0 in a line for `warmup` steps, then falls; a function of the step alone.

    The cosine is Keras' own.
    """

    def __init__(self, highest: float, warmup: int, fall: Fall):
        self._highest, self._warmup, self._fall = highest, warmup, fall

    def __call__(self, step: Any) -> Any:
        step = tf.cast(step, tf.float32)
        rise = step / max(1, self._warmup)
        return self._highest * tf.where(step < self._warmup, rise, self._fall(step - self._warmup))


def fall(schedule: Literal["linear"] | Stairs, steps: int, steps_per_epoch: int) -> Fall:
    """Step after the warm-up -> share of the highest rate, over `steps` steps in all."""
    if schedule == "linear":
        return lambda step: tf.maximum(0.0, steps - step) / steps
    stair = schedule.every_epochs * steps_per_epoch
    return lambda step: schedule.factor ** tf.floor(step / stair)


def optimizer(settings: Train, rate: Any) -> Any:
    """The recipe's optimizer; what `weight_decay` means is in the field's description."""
    built = _BUILDERS[settings.optimizer](rate, weight_decay=settings.weight_decay or None)
    spared = [NORMS_AND_BIASES] if settings.decay_depthwise else [NORMS_AND_BIASES, DEPTHWISE]
    built.exclude_from_weight_decay(var_names=spared)
    return built


class _Coupled:
    """Weight decay in the gradient, as the loss term weight_decay / 2 x weight^2 would put it.

    So momentum and RMSprop's scaling act on it. Keras' own multiplies the weights beside the step.
    """

    def _apply_weight_decay(self, variables: Any) -> None:
        """In `update_step` instead."""

    def update_step(self, gradient: Any, variable: Any) -> None:
        if self.weight_decay and self._use_weight_decay(variable):  # type: ignore[attr-defined]
            gradient = gradient + self.weight_decay * variable  # type: ignore[attr-defined]
        super().update_step(gradient, variable)  # type: ignore[misc]


class _SGD(_Coupled, keras.optimizers.SGD):  # type: ignore[misc]
    pass


class _RMSprop(_Coupled, keras.optimizers.RMSprop):  # type: ignore[misc]
    pass


_BUILDERS: dict[str, Callable[..., Any]] = {
    "adamw": lambda rate, **decay: keras.optimizers.Adam(rate, **decay),
    "sgd": lambda rate, **decay: _SGD(rate, momentum=0.9, **decay),
    "nesterov": lambda rate, **decay: _SGD(rate, momentum=0.9, nesterov=True, **decay),
    "rmsprop": lambda rate, **decay: _RMSprop(rate, rho=0.9, momentum=0.9, epsilon=1.0, **decay),
}
