"""A phone, reached by adb, and what to do where it is not."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tflite_light.errors import UserError

PATIENCE_S = 600.0  # installing an app may take an old phone minutes
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
_LOST = re.compile(r"(adb|error): .*(device .*not found|device offline|device unauthorized|closed)")


@dataclass(frozen=True)
class Phone:
    """One that answers: adb's path and the phone's serial number."""

    adb: str
    serial: str

    def shell(self, *words: str) -> str:
        """What a command on the phone prints; what it or adb remarks on stderr goes to `run`."""
        return self.run("shell", *words).stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Raises UserError where the phone has gone since it was found; no other failure does."""
        done = _run(self.adb, "-s", self.serial, *words)
        if done.returncode and (lost := _LOST.search(done.stderr)):
            problem = f"the phone {self.serial} is gone: {last_line(lost[0])}."
            raise UserError(problem, "Plug it in again, and repeat the command.")
        return done


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


def last_line(told: str) -> str:
    """Of what adb prints: the one that says what is wrong."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1].removesuffix(".") if lines else "it says nothing"


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
    done = _run(adb, "devices")
    if done.returncode:
        told = last_line(done.stderr or done.stdout)
        raise UserError(f"adb fails: {told}.", "See `adb devices`.")
    rows = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    return {row[0]: re.split(r"[;(]", row[1])[0].strip() for row in rows}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    """Phones print UTF-8, mostly. Raises UserError where adb does not come back."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"adb has not answered for {PATIENCE_S:g} s: `{shlex.join(command)}`.",
            "Unplug the phone and plug it in again; if that does not help, `adb kill-server`.",
        ) from None
