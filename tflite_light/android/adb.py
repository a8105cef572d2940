"""A phone, reached by adb, and what to do where it is not."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tflite_light import files
from tflite_light.errors import UserError

_CLASSES = "org.tflitelight.demo"  # of the app's activities, whatever its application id
_CONNECT = (
    "Connect it by USB, switch on USB debugging (Settings, About phone: tap the build number seven "
    "times; then Developer options), and see `adb devices`."
)
_STATES = {
    "unauthorized": "Unlock it and allow USB debugging in the question that it shows.",
    "offline": "Unplug and plug it in again; if that does not help, `adb kill-server`.",
    "no permissions": "Your user may not use USB devices: `sudo apt-get install adb` adds the "
    "rules; then plug it in again.",
}
_REFUSALS = {  # part of what `adb install` says -> problem, hint
    "INSTALL_FAILED_UPDATE_INCOMPATIBLE": (
        "an app of this id is installed that another key has signed",
        "Remove it, `adb uninstall {id}`; or give its key by `--key`, or another id by `--id`.",
    ),
    "INSTALL_FAILED_OLDER_SDK": ("its Android is older than 8.0", "Use a newer phone."),
    "INSTALL_FAILED_INSUFFICIENT_STORAGE": ("it has no space left", "Free some on it."),
    "INSTALL_FAILED_NO_MATCHING_ABIS": (
        "it has another kind of processor than the app is for",
        "`adb shell getprop ro.product.cpu.abi` names it: give it by `--abi`.",
    ),
    "INSTALL_FAILED_USER_RESTRICTED": (
        "the phone does not allow it",
        "Allow `Install via USB` in its Developer options, and confirm on its screen.",
    ),
}


@dataclass(frozen=True)
class Phone:
    """One that answers: adb's path and the phone's serial number."""

    adb: str
    serial: str

    def install(self, apk: bytes, application_id: str) -> None:
        """Install or update an app, and start it. Raises UserError where the phone refuses."""
        with tempfile.TemporaryDirectory() as here:
            files.write(Path(here, "demo.apk"), apk)
            done = self._run("install", "-r", str(Path(here, "demo.apk")))
        told = done.stdout + done.stderr
        if done.returncode or "Failure" in told:
            raise _refused(told, application_id)
        self.start(application_id, "LiveActivity")

    def start(self, application_id: str, activity: str, *extras: str) -> None:
        component = f"{application_id}/{_CLASSES}.{activity}"
        told = self.shell("am", "start", "-n", component, *extras)
        if "Error" in told:
            raise UserError(f"the app does not start: {_last(told)}.", "Install it again.")

    def push(self, model: Mapping[str, bytes], application_id: str) -> None:
        """Put a model into the folder of an installed app; the `.tflite` last, which lists it."""
        folder = f"{self._external(application_id)}/models"
        order = sorted(model, key=lambda name: name.endswith(".tflite"))
        with tempfile.TemporaryDirectory() as here:
            for name in order:
                files.write(Path(here, name), model[name])
            self.shell(
                "mkdir", "-p", *sorted({str(PurePosixPath(folder, one).parent) for one in order})
            )
            for name in order:
                done = self._run("push", str(Path(here, name)), f"{folder}/{name}")
                if done.returncode:
                    told = _last(done.stdout + done.stderr)
                    raise UserError(f"{name} was not pushed: {told}.", "Free space on the phone.")

    def benchmark(self, application_id: str, name: str, limit_s: int = 300) -> dict[str, Any]:
        """What the app measures of the model `name`, or the one it shows, on each accelerator.

        The keys are those of `benchmark.json`, which the app writes when it is done. Raises
        UserError where it is not within `limit_s`.
        """
        result = f"{self._external(application_id)}/benchmark.json"
        self.shell("rm", "-f", result)
        chosen = ("--es", "model", name) if name else ()
        self.start(application_id, "BenchmarkActivity", "--ez", "run", "true", *chosen)
        for _ in range(limit_s):
            time.sleep(1)
            told = self.shell("cat", result, "2>/dev/null")
            if told.strip().endswith("}"):
                return _of(name, json.loads(told))
        raise UserError(
            f"the app has not finished within {limit_s} s.", "Look at what its screen shows."
        )

    def shell(self, *words: str) -> str:
        """What a command on the phone prints."""
        done = self._run("shell", *words)
        return done.stdout + done.stderr

    def _external(self, application_id: str) -> str:
        """The installed app's folder that both it and adb may write."""
        if not self.shell("pm", "path", application_id).startswith("package:"):
            raise UserError(
                f"{application_id} is not installed on {self.serial}.",
                "Install it: `tflite-light android RUN --install`",
            )
        return f"/sdcard/Android/data/{application_id}/files"

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [self.adb, "-s", self.serial, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def find(serial: str = "") -> Phone:
    """The phone of this serial number, or the only one.

    Raises UserError where adb is missing, or there is no phone, or several, or it is locked.
    """
    adb = _adb()
    wanted = serial or os.environ.get("ANDROID_SERIAL", "")
    phones = _phones(adb)
    if wanted and wanted not in phones:
        known = f"; there are {', '.join(phones)}" if phones else ""
        raise UserError(f"the phone {wanted} is not connected{known}.", _CONNECT)
    if not phones:
        raise UserError("no phone is connected.", _CONNECT)
    if not wanted and len(phones) > 1:
        raise UserError(
            f"{len(phones)} phones are connected: {', '.join(phones)}.",
            f"Choose one: `--serial {next(iter(phones))}`",
        )
    wanted = wanted or next(iter(phones))
    if phones[wanted] != "device":
        hint = _STATES.get(phones[wanted], "See `adb devices`.")
        raise UserError(f"the phone {wanted} is {phones[wanted]}.", hint)
    return Phone(adb, wanted)


def _of(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Raises UserError where the app has measured another model."""
    if name and found["model"] != name:
        raise UserError(
            f"the app has no model {name}: it measured {found['model']}.",
            "Give it the model first, by `--push` or `--install`.",
        )
    return found


def _adb() -> str:
    homes = [os.environ.get(name, "") for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT")]
    places = [str(Path(home, "platform-tools")) for home in homes if home]
    found = shutil.which("adb") or shutil.which("adb", path=os.pathsep.join(places))
    if not found:
        raise UserError(
            "adb, which brings apps to phones, was not found.",
            "Install it: `apt-get install adb`, or Android's platform-tools. Or write the app with "
            "`-o demo.apk`, copy it to the phone and open it there.",
        )
    return found


def _phones(adb: str) -> dict[str, str]:
    """State by serial number."""
    done = subprocess.run([adb, "devices"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"adb fails: {_last(done.stderr or done.stdout)}.", "See `adb devices`.")
    rows = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    return {row[0]: re.split(r"[;(]", row[1])[0].strip() for row in rows}


def _refused(told: str, application_id: str) -> UserError:
    for sign, (problem, hint) in _REFUSALS.items():
        if sign in told:
            hint = hint.format(id=application_id)
            return UserError(f"the phone refuses the app: {problem}.", hint)
    return UserError(f"the phone refuses the app: {_last(told)}.", "Look at its screen.")


def _last(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1].removesuffix(".") if lines else "it says nothing"
