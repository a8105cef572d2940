"""A phase's memory on disk: written each epoch, so that training can go on after any kill."""

import time
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.stack import keras, tf
from tflite_light.training import distribution, history
from tflite_light.training.history import COLUMNS, FILE_ACCURACY, Row
from tflite_light.training.places import Places

AVERAGE_EVERY = 16  # steps at most; at each one it would cost 5 % of a small network's step


class Journal(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps a phase's state on disk: weights, optimizer, history, and the best weights so far.

    With averaging, what is validated, kept as best and left in the model at the end is the average.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        average: float,
        patience: int | None,
        places: Places,
        facts: Row,
    ):
        super().__init__()
        self.history: list[Row] = []
        self.stopped = False
        self._phase, self._momentum = phase, average
        self._patience, self._places, self._facts = patience, places, facts
        self._best: checkpoint.Arrays = {}
        self._average: list[Any] = []
        self._read: Any = None  # a graph; reading each variable by itself takes 0.05 s an epoch
        self._supports_tf_logs = True  # spares Keras fetching the metrics after each step
        self.set_model(model)
        history.read_history(places.history)  # a damaged one is refused before an epoch is trained
        if self._places.state.exists():
            self._restore()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        passed = batch % AVERAGE_EVERY + 1  # since it was moved, in this epoch
        if self._momentum and (passed == AVERAGE_EVERY or batch + 1 == self.params["steps"]):
            self._update_average(passed)

    def on_test_begin(self, logs: Any = None) -> None:
        self._swap_average()

    def on_test_end(self, logs: Any = None) -> None:
        self._swap_average()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {
            "phase": self._phase,
            "epoch": epoch + 1,
            **{key: float(value) for key, value in (logs or {}).items()},
        }
        row["learning_rate"] = float(self.model.optimizer.learning_rate.numpy())
        row["seconds"] = time.monotonic() - self._start
        self.history.append({name: row.get(name) for name in COLUMNS})
        self._keep_best()
        self._save()
        self._write_history()

    def finish(self) -> None:
        """Leave in the model what the phase is to end with, and its history on disk."""
        self._write_history()
        if self._best:
            checkpoint.set_weights(self.model, self._best, self._places.state)
        else:
            self._swap_average()

    def _keep_best(self) -> None:
        """Of epochs whose files are equally good the last, which was trained longest."""
        if self.history[-1][FILE_ACCURACY] is not None:
            scores = [row[FILE_ACCURACY] for row in self.history]
            best = len(scores) - 1 - scores[::-1].index(max(scores))
        elif self._patience:
            scores = [row["val_accuracy"] for row in self.history]
            best = scores.index(max(scores))
            self.stopped = len(scores) - 1 - best >= self._patience
            self.model.stop_training = self.stopped
        else:
            return
        if best == len(scores) - 1:
            self._swap_average()
            self._best = checkpoint.weights_of(self.model)
            self._swap_average()

    def _update_average(self, passed: int) -> None:
        """Move it for the steps that have passed. Early on it looks back over a tenth of all, so
        that short runs work.
        """
        if not self._average:
            self._set_average([variable.numpy() for variable in self.model.trainable_variables])
        steps = int(self.model.optimizer.iterations.numpy())
        keep = min(self._momentum, (1 + steps) / (10 + steps)) ** passed
        self._move(tf.constant(keep, tf.float32))

    def _set_average(self, values: list[np.ndarray[Any, Any]]) -> None:
        """Graphs of their own to move and swap: a call for each variable took 0.2 s an epoch."""
        self._average = [tf.Variable(value, trainable=False) for value in values]
        pairs = list(zip(self.model.trainable_variables, self._average, strict=False))

        def move(keep: Any) -> None:
            for variable, average in pairs:
                average.assign(keep * average + (1 - keep) * variable)

        def swap() -> None:
            for variable, average in pairs:
                held = tf.identity(variable)
                variable.assign(average)
                average.assign(held)

        self._move, self._swap = tf.function(move), tf.function(swap)

    def _swap_average(self) -> None:
        """Exchange the weights and their average, where there is one."""
        if self._average:
            self._swap()

    def _save(self) -> None:
        variables = self._variables()
        if not self._read:
            self._read = tf.function(lambda: [tf.identity(one) for one in variables.values()])
        values = (value.numpy() for value in self._read())
        arrays = dict(zip(variables, values, strict=True))
        arrays |= {f"best/{name}": array for name, array in self._best.items()}
        self._require_finite(arrays)
        if not distribution.writes():  # it has read its share of them all the same
            return
        note = {"history": self.history, "stopped": self.stopped, **self._facts}
        checkpoint.write(self._places.state, arrays, note)

    def _write_history(self) -> None:
        if distribution.writes():
            history.write_history(self._places.history, self.history)

    def _variables(self) -> dict[str, Any]:
        """What training goes on from, by its name in the state."""
        weights = checkpoint.variables_of(self.model)  # which refuses names that stand twice
        named = {f"weights/{name}": one for name, one in weights.items()}
        named |= {f"average/{index}": one for index, one in enumerate(self._average)}
        return named | {f"optimizer/{index}": one for index, one in enumerate(self._optimizer())}

    def _optimizer(self) -> list[Any]:
        """Its variables; those of the scale of mixed_float16's losses are not among its own."""
        optimizer = self.model.optimizer
        scale = getattr(optimizer, "_loss_scale", None)  # Keras 2 has no public way to them
        return [*optimizer.variables, *(scale._weights.values() if scale else ())]

    def _require_finite(self, arrays: checkpoint.Arrays) -> None:
        """The loss may look well: a ReLU or a pool can swallow a NaN."""
        if checkpoint.non_finite(arrays):
            raise UserError(
                f"{self._phase} epoch {len(self.history)}: training diverged: weights are NaN or "
                "infinite.",
                "Train again with a lower learning_rate for this phase, or more epochs before it.",
            )

    def _restore(self) -> None:
        arrays, note = checkpoint.read(self._places.state)
        self._set_average(list(_below("average/", arrays).values()))
        expected = self._variables().keys() | {name for name in arrays if name.startswith("best/")}
        if arrays.keys() != expected or not {"history", "stopped"} <= note.keys():
            raise UserError(
                f"checkpoint {self._places.state} is of another training, or damaged.",
                "Restore it, or train the recipe again.",
            )
        self.history, self.stopped = note["history"], note["stopped"]
        checkpoint.set_weights(self.model, _below("weights/", arrays), self._places.state)
        self._best = _below("best/", arrays)
        for index, variable in enumerate(self._optimizer()):
            variable.assign(arrays[f"optimizer/{index}"])


def _below(prefix: str, arrays: checkpoint.Arrays) -> checkpoint.Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
