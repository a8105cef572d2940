"""A training on several devices, as a program that also notes what each phase ended with:

DEVICES=2 NOTES=FILE python tests/devices.py train RECIPE ...

`DEVICES` logical CPUs take the place of GPUs. A line of the notes is a phase and the SHA-256 of the
weights that this process held after it.
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from tflite_light import stack
from tflite_light.cli import main
from tflite_light.training import distribution

DEVICES = int(os.environ.get("DEVICES", "1"))


def split_cpu() -> None:
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * DEVICES)


def cpus() -> list[str]:
    return [device.name for device in stack.tf.config.list_logical_devices("CPU")]


def noted(train: Any) -> Any:
    def noted_train(model: Any, of: Any, *rest: Any) -> Any:
        history = train(model, of, *rest)
        content = b"".join(one.tobytes() for one in model.get_weights())
        with Path(os.environ["NOTES"]).open("a") as notes:
            notes.write(f"{of.name} {hashlib.sha256(content).hexdigest()}\n")
        return history

    return noted_train


if __name__ == "__main__":
    if DEVICES > 1:
        stack.at_start(split_cpu)
        distribution.accelerators = cpus
    distribution.join()
    from tflite_light.training import phase  # which loads TensorFlow

    phase.train_phase = noted(phase.train_phase)
    main(sys.argv[1:])
