"""What tests put on the path as `adb`: it answers as the real one does, with a phone that is a folder.

Called with that folder first. `replies.json` there has what it says instead, by a part of the command;
`log` keeps the commands. Commands for the phone run in a real shell, on the files of `phone/`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HOME, WORDS = Path(sys.argv[1]), sys.argv[2:]
PHONE, TASK = HOME / "phone", HOME / "task"  # TASK: the screen that the app's task began with
DEVICES = "List of devices attached\nR58M\tdevice\n"


def main() -> None:
    with (HOME / "log").open("a") as log:
        log.write(json.dumps(WORDS) + "\n")
    line = " ".join(WORDS)
    for part, (code, text) in json.loads((HOME / "replies.json").read_text()).items():
        if part in line:
            print(text, file=sys.stderr if code else sys.stdout)
            sys.exit(code)
    if WORDS == ["devices"]:
        print(DEVICES)
    elif WORDS[2] == "install":
        (HOME / "installed").touch()
        print("Performing Streamed Install\nSuccess")
    elif WORDS[2] == "push":
        shutil.copy(WORDS[3], on_phone(WORDS[4]))
    else:
        shell(WORDS[3:])


def shell(words: list[str]) -> None:
    if words[0] == "pm":
        print("package:/data/app/x/base.apk" if (HOME / "installed").exists() else "")
    elif words[0] == "am":
        start(words)
    elif words[0] == "pidof":
        print("" if (HOME / "crashes").exists() else "4242")
    else:
        command = on_phone(" ".join(words))
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        print((done.stdout + done.stderr).replace(str(PHONE), ""), end="")
        sys.exit(done.returncode)


def start(words: list[str]) -> None:
    """As Android starts a screen: the app makes its folder, and a benchmark leaves its results."""
    component = words[words.index("-n") + 1]
    application_id, activity = component.split("/")
    print(f"Starting: Intent {{ cmp={component} }}")
    if TASK.exists() and TASK.read_text() == activity and "--activity-clear-task" not in words:
        print("Warning: Activity not started, its current task has been brought to the front")
        return
    if not TASK.exists() or "--activity-clear-task" in words:
        TASK.write_text(activity)
    folder = PHONE / "sdcard" / "Android" / "data" / application_id / "files"
    folder.mkdir(parents=True, exist_ok=True)
    if activity.endswith("BenchmarkActivity") and (HOME / "benchmark.json").exists():
        shutil.copy(HOME / "benchmark.json", folder)


def on_phone(text: str) -> str:
    return text.replace("/sdcard", str(PHONE / "sdcard"))


main()
