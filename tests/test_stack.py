"""Keras 2 is seen to, or the person is told what to do."""

import os
import subprocess
import sys

from tflite_light.errors import UserError
from tflite_light.stack import keras


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where nothing chose a Keras yet."""
    bare = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=bare)


def test_keras_2_is_chosen_and_nothing_is_said() -> None:
    assert keras.Model.__module__.startswith("tf_keras")
    done = python("from tflite_light.stack import keras_cv, tfmot; tfmot.version; keras_cv.layers")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_keras_3_before_us_is_explained() -> None:
    code = "import tensorflow as tf; tf.keras.layers; from tflite_light.stack import keras; keras.Model"
    done = python(code)
    assert done.returncode == 1
    assert UserError.__name__ in done.stderr
    assert "Keras 3." in done.stderr
    assert "Import tflite_light first, or start Python with TF_USE_LEGACY_KERAS=1." in done.stderr


def test_a_user_without_a_home_has_caches_in_tmp() -> None:
    """As in a container that runs as a number; Keras would make a folder called `~`."""
    code = (
        "import os; os.environ['HOME'] = '~'; import tflite_light.stack; print(os.environ['HOME'])"
    )
    assert python(code).stdout == "/tmp\n"
