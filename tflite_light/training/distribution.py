"""On which devices a phase trains: one, all local GPUs, or those of several machines.

Several machines are named by the environment variable `TF_CONFIG`, as Kubernetes' training operator
sets it: a cluster of `worker`s, perhaps with a `chief`, and which of them this process is. The
first worker alone writes, and whatever is decided is decided there. Outside of a phase's training
models live on one device, so that measuring and exporting need no other machine.
"""

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tflite_light import stack
from tflite_light.errors import UserError
from tflite_light.progress import say
from tflite_light.recipe.train import Train
from tflite_light.stack import tf
from tflite_light.wording import first_line

ASSEMBLY = 600  # seconds in which all workers have to be there; clusters start them one by one
XLA_PAYS = 5_000  # steps of a fit; 2,700 that save 30 ms each pay for 80 s of compiling
HEALTH = 10  # seconds between two looks whether the others are there, each with three tries of 10 s
GONE = (
    "Start all workers again with `--resume`; each of them has the network addresses of all in "
    "`TF_CONFIG`."
)


def join() -> None:
    """Meet the other workers, if `TF_CONFIG` names any; before TensorFlow opens its devices.

    Raises UserError where it cannot be read, or where some are not there in time.
    """
    if len(_cluster()) > 1 and not _gathered.cache_info().currsize:
        say(f"worker {_index()} of {workers()} at {_cluster()[_index()]}: waiting for the others")
        stack.at_start(_gathered)
        tf.zeros(1)  # loads it


@functools.cache
def strategy() -> Any:
    """TensorFlow's strategy for a phase: several workers, several GPUs, or its default."""
    if len(_cluster()) > 1:
        return _gathered()
    local = accelerators()
    return tf.distribute.MirroredStrategy(local) if len(local) > 1 else tf.distribute.get_strategy()


def accelerators() -> list[str]:
    """Names of the local devices that a phase is spread over."""
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def jit_compiles(settings: Train, steps: int) -> bool:
    """Whether the fit's steps, so many, go through XLA.

    It compiles first: on an H200 33 to 79 s longer than without, for a step of 48 ms instead of 78
    (MobileNetV2 1.0, batches of 128 at 224 px), and none gained at 96 px. On two CPU cores steps
    are 3 to 8 times slower by it.
    """
    if settings.jit_compile is None:
        return bool(accelerators()) and steps >= XLA_PAYS
    return settings.jit_compile


def alone() -> bool:
    """Whether a phase has one device, so that a model may train where it is."""
    return int(strategy().num_replicas_in_sync) == 1 and workers() == 1


def workers() -> int:
    return max(1, len(_cluster()))


def writes() -> bool:
    """Whether this process is the one that writes."""
    return workers() == 1 or _index() == 0


def shares() -> tuple[range, int]:
    """Which equal parts of each batch are this process's, one a device, and how many there are."""
    whole = int(strategy().num_replicas_in_sync)
    mine = whole // workers()
    first = mine * _index() if workers() > 1 else 0
    return range(first, first + mine), whole


def require_divisible(batch_size: int, pictures: int) -> None:
    """Raises UserError where a batch cannot be given to all devices in equal parts."""
    whole, size = shares()[1], min(batch_size, pictures)
    if size % whole:
        below = size // whole * whole
        near = " or ".join(str(one) for one in (below, below + whole) if 0 < one <= pictures)
        raise UserError(
            f"train.batch_size: {size} pictures cannot be given to {whole} devices in equal parts.",
            f"Set it to {near}, or any other multiple of {whole} that is {pictures} at most."
            if near
            else "Train on fewer devices, or on more pictures.",
        )


def agreed(value: Any) -> Any:
    """A JSON value of the worker that writes, on every worker. All of them have to ask."""
    return json.loads(_spread(json.dumps(value).encode())) if workers() > 1 else value


def agreed_arrays(arrays: list[Any]) -> list[Any]:
    """Likewise arrays, of the same shapes and types on every worker."""
    if workers() == 1:
        return arrays
    content, given = _spread(b"".join(one.tobytes() for one in arrays)), []
    for one in arrays:
        given.append(np.frombuffer(content[: one.nbytes], one.dtype).reshape(one.shape))
        content = content[one.nbytes :]
    return given


def feed(make: Any) -> Any:
    """A dataset of the batches that `make()` gives, an element for each local device in turn."""
    return make() if alone() else strategy().distribute_datasets_from_function(lambda _: make())


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Around whatever the workers do as one: raises UserError where another one is gone."""
    try:
        yield
    except Exception as error:
        if workers() == 1 or not isinstance(error, tf.errors.OpError):
            raise
        raise UserError(f"{_lost(str(error))} is gone, so this worker stops.", GONE) from error


def _lost(error: str) -> str:
    """Whom TensorFlow's text names, if that is another worker."""
    found = re.search(r"/job:(chief|worker)/(?:replica:0/)?task:(\d+)", error)
    number = _number(found[1], int(found[2])) if found else _index()
    if number == _index():
        return f"another of the {workers()} workers"
    return f"worker {number} at {_cluster()[number]}"


def leave() -> None:
    """No phase is left: the others may go."""
    if workers() > 1:
        strategy().extended._stop_check_health_thread()


def _spread(content: bytes) -> bytes:
    """The bytes of the worker that writes, as a sum to which the others add zeros."""
    content = content if writes() else b""
    size = int(_sum(np.array([len(content)], np.int32))[0])
    values = np.zeros(size, np.int32)
    values[: len(content)] = np.frombuffer(content, np.uint8)
    return _sum(values).astype(np.uint8).tobytes()


def _sum(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Over all workers."""
    with strategy().scope():
        mine = strategy().run(lambda: tf.constant(values))
        total = strategy().reduce(tf.distribute.ReduceOp.SUM, mine, axis=None)
    found: np.ndarray[Any, Any] = total.numpy() // len(shares()[0])  # each device adds its own
    return found


@functools.cache
def _gathered() -> Any:
    from tensorflow.python.distribute import collective_all_reduce_strategy as collective

    kind = collective.CollectiveAllReduceExtended  # which has no public setting for these
    kind._check_health_initial_timeout, kind._check_health_interval = ASSEMBLY, HEALTH
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise UserError(
            f"the {workers()} workers did not come together: {first_line(error)}.",
            "Start one process for each address in `TF_CONFIG`, with its own `task`.",
        ) from error


@functools.cache
def _cluster() -> list[str]:
    """Addresses of all workers, the one that writes first; none without `TF_CONFIG`."""
    cluster = _config().get("cluster") or {}
    if not isinstance(cluster, dict) or not all(map(_are_addresses, cluster.values())):
        raise UserError(
            f"TF_CONFIG: its cluster is {cluster}.",
            'It needs lists of addresses: {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}.',
        )
    if set(cluster) - {"chief", "worker", "evaluator"}:
        raise UserError(
            f"TF_CONFIG: a cluster of {', '.join(cluster)}, but workers train here, "
            "perhaps with a chief.",
            "Leave out parameter servers.",
        )
    return [*cluster.get("chief", []), *cluster.get("worker", [])]


def _are_addresses(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _index() -> int:
    """Which of `_cluster()` this process is."""
    config = _config()
    task = config.get("task")
    task = task if isinstance(task, dict) else {}
    kind, number = task.get("type"), task.get("index")
    if kind not in ("chief", "worker") or not isinstance(number, int):
        raise UserError(
            f"TF_CONFIG: its task is {config.get('task')}.",
            'It needs the type and the number of this process: {"type": "worker", "index": 0}.',
        )
    if not 0 <= number < len(config["cluster"].get(kind, [])):
        raise UserError(f"TF_CONFIG: task {kind} {number} is not in the cluster.", "Count from 0.")
    return _number(kind, number)


def _number(kind: str, index: int) -> int:
    """A task of the cluster as a place in `_cluster()`."""
    return index + (len(_config()["cluster"].get("chief", [])) if kind == "worker" else 0)


def _config() -> dict[str, Any]:
    try:
        found = json.loads(os.environ.get("TF_CONFIG") or "{}")
    except ValueError as error:
        raise UserError(f"TF_CONFIG is no JSON: {error}.", "Set it right, or unset it.") from error
    if not isinstance(found, dict):
        raise UserError("TF_CONFIG is no JSON object.", "Set it right, or unset it.")
    return found
