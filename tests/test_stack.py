"""Keras 2 is loaded, or the error says what to do."""

import os
import subprocess
import sys

import pytest

from tflite_light.cli import explained
from tflite_light.errors import UserError
from tflite_light.stack import keras, tf


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where nothing chose a Keras yet."""
    bare = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=bare)


def test_keras_2_is_chosen_and_nothing_is_printed() -> None:
    assert keras.Model.__module__.startswith("tf_keras")
    done = python("from tflite_light.stack import keras_cv, tfmot; tfmot.version; keras_cv.layers")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_gpus_keep_all_bits_of_a_float_and_leave_memory_to_others() -> None:
    """On an H100 TensorFloat-32 moved GhostNet's golden answers by 12 %."""
    asked = "tf.config.experimental.tensor_float_32_execution_enabled()"
    done = python(
        f"import os; from tflite_light.stack import keras, tf; keras.Model; print({asked})\n"
        "print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    )
    assert done.stdout == "False\ntrue\n"


def test_keras_3_before_us_is_explained() -> None:
    code = "import tensorflow as tf; tf.keras.layers; from tflite_light.stack import keras; keras.Model"
    done = python(code)
    assert done.returncode == 1
    assert UserError.__name__ in done.stderr
    assert "with Keras 3; this needs Keras 2." in done.stderr
    assert "Import tflite_light first, or start Python with TF_USE_LEGACY_KERAS=1." in done.stderr


def test_a_user_without_a_home_has_caches_in_tmp() -> None:
    """As in a container that runs as a number; Keras would make a folder called `~`."""
    code = (
        "import os; os.environ['HOME'] = '~'; import tflite_light.stack; print(os.environ['HOME'])"
    )
    assert python(code).stdout == "/tmp\n"


def test_a_disk_that_is_full_for_tensorflow_is_explained() -> None:
    with pytest.raises(tf.errors.OpError) as caught:
        tf.io.write_file("/dev/full", "some text")
    assert str(explained(caught.value)) == (
        "cannot use the disk or device that is written to: No space left on device.\n"
        "hint: Free some space or choose another folder."
    )


def test_native_messages_are_held_back_where_no_folder_can_be_written() -> None:
    done = python(
        "import os, tempfile; tempfile.tempdir = '/nowhere'\n"
        "from tflite_light.stack import quiet\n"
        "with quiet(): os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate')\n"
        "with quiet(): os.write(2, b'shown, since it failed'); raise SystemExit(3)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "shown, since it failed")


def test_threads_that_are_quiet_by_turns_leave_the_outputs_as_they_were() -> None:
    done = python(
        "import os, sys\n"
        "from tflite_light.stack import quiet\n"
        "first, second = quiet(), quiet()\n"
        "first.__enter__(); second.__enter__()\n"
        "first.__exit__(None, None, None)\n"
        "os.write(2, b'INFO: held back still')\n"
        "second.__exit__(None, None, None)\n"
        "print('out'); os.write(2, b'err')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err")


def test_what_was_held_back_is_shown_once_where_one_that_is_quiet_calls_another() -> None:
    done = python(
        "import os\n"
        "from tflite_light.stack import quiet\n"
        "with quiet():\n"
        "    with quiet(): os.write(2, b'why'); raise SystemExit(3)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "why")


def test_a_missing_temporary_directory_is_explained() -> None:
    error = FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")
    assert str(explained(error)) == (
        "No usable temporary directory found in ['/tmp'].\n"
        "hint: Set `TMPDIR` to a folder that can be written."
    )
    assert explained(OSError(9, "Bad file descriptor")) is None
