"""Masks that hold pruned weights at zero while training goes on, and take more by a schedule."""

from collections.abc import Sequence
from typing import Any

from tflite_light.compress._patterns import Pattern
from tflite_light.stack import keras, tf

RAMP = 0.6  # of the stage's steps, in which sparsity rises; the rest trains what is left
UPDATES = 30  # of the masks, while it rises; each orders every layer's weights


class Masks(keras.callbacks.Callback):  # type: ignore[misc]
    """Multiplies kernels by their masks after every step: no wrappers, the network stays as it is.

    `kernels` are variables and what becomes zero of each in the end, see `Pattern.pruned`. An epoch
    begins with the masks that its weights show, so that training goes on from a checkpoint as it
    would have without the stop: to the bit.
    """

    def __init__(self, kernels: Sequence[tuple[Any, int]], pattern: Pattern, *, ramp: bool):
        super().__init__()
        self._supports_tf_logs = True  # spares Keras fetching the metrics after each step
        self._pattern, self._ramp = pattern, ramp
        masks = [tf.Variable(tf.ones_like(kernel), trainable=False) for kernel, _ in kernels]
        self._kernels = [(*pair, mask) for pair, mask in zip(kernels, masks, strict=True)]
        self._apply = tf.function(self._multiply)  # one call a step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._step = epoch * self.params["steps"]  # the optimizer's own skip those of mixed_float16
        if self._step == 0:
            self._update()
            self._apply()
            return
        for kernel, _, mask in self._kernels:
            mask.assign(tf.cast(kernel != 0, mask.dtype))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        end = max(1, int(RAMP * self.params["epochs"] * self.params["steps"]))
        every = max(1, end // UPDATES)
        if self._ramp and (self._step == end or (self._step < end and self._step % every == 0)):
            self._update(self._step / end)
        self._apply()

    def _update(self, progress: float = 0.0) -> None:
        """Zhu & Gupta's cubic: most weights go early, while many are left to make up for them."""
        share = 1 - (1 - progress) ** 3 if self._ramp else 1.0
        for kernel, pruned, mask in self._kernels:
            mask.assign(self._pattern.mask(kernel.numpy(), int(share * pruned)))

    def _multiply(self) -> None:
        for kernel, _, mask in self._kernels:
            kernel.assign(kernel * mask)
