"""TensorFlow and the libraries on top of it, imported at first use.

Importing them costs 3 s, which `--help`, `check` and `list` must not pay. TF-MOT and keras-cv need
Keras 2, which importing the package chooses. So nothing else in it imports them:
`from tflite_light.stack import keras, tf`, and use them inside functions.
"""

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import IO, Any

from tflite_light import KERAS_3
from tflite_light.errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # or a second command finds none left
# A user without a home, as in containers: Keras would make a folder `~`.
HOMELESS = os.path.expanduser("~") == "~"  # noqa: PTH111 - Path would raise
if HOMELESS:
    os.environ["HOME"] = "/tmp"


class Lazy:
    """A module that is imported when the first of its attributes is asked for."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(_load(self._name), attribute)


def _load(name: str) -> ModuleType:
    if name not in sys.modules:
        import logging

        with quiet():
            _require_keras_2(name)
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
            importlib.import_module(name)
            _open_devices()
    return importlib.import_module(name)


_first: list[Callable[[], object]] = []  # what to do before devices are opened


def at_start(action: Callable[[], object]) -> None:
    """Have something done once TensorFlow is loaded and before it opens its devices.

    Raises UserError where it has been loaded already.
    """
    if "tensorflow" in sys.modules:
        raise UserError(
            "TensorFlow was loaded before this process joined the other workers.",
            "Start the training in a process of its own, by `tflite-light train`.",
        )
    _first.append(action)


def _open_devices() -> None:
    config = importlib.import_module("tensorflow").config
    # GPUs would round what they multiply to 10 bits: no longer the model that a file is held to.
    config.experimental.enable_tensor_float_32_execution(False)
    while _first:
        _first.pop()()
    config.list_logical_devices()


def _require_keras_2(name: str) -> None:
    """keras-cv goes by what TensorFlow was loaded with; the others by what is loaded by now."""
    chosen = importlib.import_module("tensorflow").keras
    version = getattr(chosen, "__version__", "2.")  # tf_keras' facade has none
    if (KERAS_3 and name == "keras_cv") or not version.startswith("2."):
        raise UserError(
            "TensorFlow was loaded before tflite_light, with Keras 3; this needs Keras 2.",
            "Import tflite_light first, or start Python with TF_USE_LEGACY_KERAS=1.",
        )


tf: Any = Lazy("tensorflow")
keras: Any = Lazy("tf_keras")
tfmot: Any = Lazy("tensorflow_model_optimization")
keras_cv: Any = Lazy("keras_cv")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what native code writes to stderr, which no log level silences; show on error."""
    _held.begin()
    try:
        yield
    except BaseException:
        _held.show()
        raise
    finally:
        _held.end()


class _Held:
    """The process' stderr, and Python's stdout, while threads are quiet: the first holds them, the
    last gives them back.

    Each on its own would take what another holds for the real one, and give that back for good.
    """

    def __init__(self) -> None:
        self._lock, self._threads = threading.Lock(), 0

    def begin(self) -> None:
        with self._lock:
            if not self._threads:
                sys.stderr.flush()
                self._file, self._stderr, self._stdout = _unnamed_file(), os.dup(2), sys.stdout
                os.dup2(self._file.fileno(), 2)
                sys.stdout = sys.stderr  # keras-core greets there
            self._threads += 1

    def show(self) -> None:
        with self._lock:
            self._file.seek(0)
            os.write(self._stderr, self._file.read())
            self._file.seek(0)  # or a caller that is quiet, too, shows it again
            self._file.truncate()

    def end(self) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                sys.stderr.flush()
                os.dup2(self._stderr, 2)
                os.close(self._stderr)
                self._file.close()
                sys.stdout = self._stdout


_held = _Held()


def _unnamed_file() -> IO[bytes]:
    """In memory where the system can: a container may have no folder that can be written."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    import tempfile  # here, since instant commands need none of it

    return tempfile.TemporaryFile()
