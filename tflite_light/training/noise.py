"""What dropout and its kin draw, by the epoch's number."""

from typing import Any

from tflite_light.stack import keras


class Noise(keras.callbacks.Callback):  # type: ignore[misc]
    """Draws them anew in each epoch, so that a resumed run drops what it would have dropped.

    Keras' own draw from counters inside of TensorFlow's operations, which no checkpoint holds and
    no seed resets. On several devices each draws its own.
    """

    def __init__(self, seed: int):
        super().__init__()
        self._seed = seed
        self._were: list[tuple[Any, Any]] = []  # layers, and what they drew from
        self._supports_tf_logs = True  # spares Keras fetching the metrics after each step

    def on_train_begin(self, logs: Any = None) -> None:
        keras_s = type(keras.layers.Dropout(0.5)._random_generator)  # users' own may hold others
        found = [(one, getattr(one, "_random_generator", None)) for one in self.model.submodules]
        self._were = [(layer, was) for layer, was in found if isinstance(was, keras_s)]
        for layer, was in self._were:
            drawn = type(was)(self._seed, rng_type=was.RNG_STATEFUL)
            drawn._maybe_init()
            vars(layer)["_random_generator"] = drawn  # past Keras, which would track it

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Philox's state is a counter, of which the epoch is the high half, and a key."""
        for index, (layer, _) in enumerate(self._were):
            layer._random_generator._generator.reset([0, epoch, self._seed + index])

    def on_train_end(self, logs: Any = None) -> None:
        for layer, was in self._were:
            vars(layer)["_random_generator"] = was
