"""The app on a phone: installed, started, given models, and asked how fast they are there.

Application ids and models' names need no quotes for the phone's shell.
"""

import json
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Any

from tflite_light import files
from tflite_light.android.adb import Phone, last_line
from tflite_light.android.demo import Model
from tflite_light.contract import sha256
from tflite_light.errors import UserError

_CLASSES = "org.tflitelight.demo"  # of the app's activities, whatever its application id
_MADE_WITHIN_S, _STARTED_WITHIN_S, _MEASURED_WITHIN_S = 10, 5, 600
_INSTALL = "Install it: `tflite-light android RUN --install`"
_NO_SPACE = ("it has no space left", "Free some on it.")
_NOT_ALLOWED = (
    "the phone does not allow it",
    "Allow `Install via USB` in its Developer options, and confirm on its screen.",
)
_REFUSALS = {  # part of what `adb install` says -> problem, hint
    "INSTALL_FAILED_UPDATE_INCOMPATIBLE": (
        "an app of this id is installed that another key has signed",
        "Remove it, `adb uninstall {id}`; or give its key by `--key`, or another id by `--id`.",
    ),
    "INSTALL_FAILED_VERSION_DOWNGRADE": (
        "a newer version of the app is installed",
        "Remove it, `adb uninstall {id}`; or give another id by `--id`.",
    ),
    "INSTALL_FAILED_OLDER_SDK": ("its Android is older than 8.0", "Use a newer phone."),
    "INSTALL_FAILED_INSUFFICIENT_STORAGE": _NO_SPACE,
    "not enough space": _NO_SPACE,
    "INSTALL_FAILED_NO_MATCHING_ABIS": (
        "it has another kind of processor than the app is for",
        "`adb shell getprop ro.product.cpu.abi` names it: give it by `--abi`.",
    ),
    "INSTALL_FAILED_USER_RESTRICTED": _NOT_ALLOWED,
    "INSTALL_FAILED_ABORTED": _NOT_ALLOWED,
}


def install(phone: Phone, apk: bytes, application_id: str) -> None:
    """Install or update an app, and start it. Raises UserError where the phone refuses."""
    with tempfile.TemporaryDirectory() as here:
        done = phone.run("install", "-r", str(files.write(Path(here, "demo.apk"), apk)))
    told = done.stdout + done.stderr
    if done.returncode or "Failure" in told:
        raise _refused(told, application_id)
    _start(phone, application_id, "LiveActivity")


def push(phone: Phone, model: Model, application_id: str) -> None:
    """Put a model's files into the folder of an installed app.

    The app lists a model by its `.tflite`: an older one goes first and the new one comes last, so
    that it never meets files of two models. Raises UserError where that fails.
    """
    folder = f"{_folder(phone, application_id)}/models"
    order = sorted(model.files, key=lambda name: name.endswith(".tflite"))
    phone.shell("rm", "-rf", f"{folder}/{model.name}.tflite", f"{folder}/{model.name}_golden")
    phone.shell("mkdir", "-p", *sorted({str(PurePosixPath(folder, one).parent) for one in order}))
    with tempfile.TemporaryDirectory() as here:
        for name in order:
            local = files.write(Path(here, name), model.files[name])
            done = phone.run("push", str(local), f"{folder}/{name}")
            if done.returncode:
                raise _not_pushed(name, last_line(done.stdout + done.stderr))


def benchmark(phone: Phone, application_id: str, model: Model | None) -> dict[str, Any]:
    """What the app measures of a model, or of the one it shows, on each accelerator.

    The keys are those of the app's `benchmark.json`, see `report/benchmark.py`. Raises UserError
    where the app has no such model, or does not finish.
    """
    result = f"{_folder(phone, application_id)}/benchmark.json"
    phone.shell("rm", "-f", result)
    digest = ("--es", "sha256", sha256(model.content)) if model else ()
    chosen = ("--es", "model", model.name, *digest) if model else ()
    _start(phone, application_id, "BenchmarkActivity", "--ez", "run", "true", *chosen)
    for second in range(_MEASURED_WITHIN_S):
        time.sleep(1)
        if found := _parsed(phone.shell("cat", result, "2>/dev/null")):
            _require_of(model, found)
            if "problem" in found:
                raise UserError(f"the app: {found['problem']}", found.get("hint", ""))
            return found
        if second >= _STARTED_WITHIN_S and not phone.shell("pidof", application_id).strip():
            raise UserError(
                "the app ended while it measured: an accelerator's driver may have crashed.",
                "Repeat the command: the app remembers and leaves that accelerator out.",
            )
    raise UserError(
        f"the app has not finished within {_MEASURED_WITHIN_S} s.",
        "Unlock the phone, look at what the app shows, and try again.",
    )


def _start(phone: Phone, application_id: str, activity: str, *extras: str) -> None:
    """On a cleared task: otherwise Android shows a screen that is there again, and the extras
    (measure again, another model) do not reach it.
    """
    component = f"{application_id}/{_CLASSES}.{activity}"
    done = phone.run("shell", "am", "start", "--activity-clear-task", "-n", component, *extras)
    told = done.stdout + done.stderr
    if "Error" in told:
        raise UserError(f"the app does not start: {last_line(told)}.", "Install it again.")


def _folder(phone: Phone, application_id: str) -> str:
    """The installed app's folder that both it and adb may write.

    The app makes it at its first start; what adb made instead, the app might not read.
    """
    if not phone.shell("pm", "path", application_id).startswith("package:"):
        raise UserError(f"{application_id} is not installed on {phone.serial}.", _INSTALL)
    folder = f"/sdcard/Android/data/{application_id}/files"
    if _is_there(phone, folder):
        return folder
    _start(phone, application_id, "LiveActivity")
    for _ in range(_MADE_WITHIN_S):
        time.sleep(1)
        if _is_there(phone, folder):
            return folder
    raise UserError(
        f"the app has not made its folder {folder}.", "Open it on the phone, and try again."
    )


def _is_there(phone: Phone, folder: str) -> bool:
    return phone.shell("ls", "-d", folder).strip() == folder


def _parsed(told: str) -> dict[str, Any] | None:
    """Nothing where the file is not there yet, or not whole."""
    try:
        found: dict[str, Any] = json.loads(told)
    except ValueError:
        return None
    return found


def _require_of(model: Model | None, found: dict[str, Any]) -> None:
    """Raises UserError where the app has measured another model."""
    shown = found.get("model")  # none where it has not the one that was asked for
    if model and shown != model.name:
        instead = f": it measured {shown}" if shown else ""
        raise UserError(
            f"the app has no model {model.name}{instead}.",
            "Give it the model first, by `--push` or `--install`.",
        )
    if model and found.get("sha256") not in (None, sha256(model.content)):
        raise UserError(
            f"the app has another file of the name {model.name}, and measured that.",
            "Give it this one, by `--install`; or under another file name, by `--push`.",
        )


def _not_pushed(name: str, told: str) -> UserError:
    full = "No space left" in told
    hint = "Free some space on it." if full else "Open the app on it, and try again."
    return UserError(f"{name} did not get onto the phone: {told}.", hint)


def _refused(told: str, application_id: str) -> UserError:
    for sign, (problem, hint) in _REFUSALS.items():
        if sign in told:
            hint = hint.format(id=application_id)
            return UserError(f"the phone refuses the app: {problem}.", hint)
    return UserError(f"the phone refuses the app: {last_line(told)}.", "Look at its screen.")
