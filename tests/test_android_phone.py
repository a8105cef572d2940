"""The demo app on a phone, by an adb that stands for the real one: what it is told, and what its refusals become."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Call, as_json, complaint

from tflite_light import contract
from tflite_light.android import installed

ID = "org.tflitelight.demo"
shell_built = pytest.mark.skipif(
    not (ROOT / "tflite_light" / "android" / "shell.apk").exists(),
    reason="the app's shell was not built: make apk",
)


class Adb:
    """The phone that the adb on the path reaches, and what that adb was told."""

    def __init__(self, home: Path):
        self.home, self._replies = home, dict[str, tuple[int, str]]()
        self.folder = home / "phone" / "sdcard" / "Android" / "data" / ID / "files"
        script = ROOT / "tests" / "android" / "adb.py"
        (home / "adb").write_text(f'#!/bin/sh\nexec {sys.executable} {script} {home} "$@"\n')
        (home / "adb").chmod(0o755)
        self.replies({})

    def replies(self, more: dict[str, tuple[int, str]]) -> None:
        """What it says, with which exit code, to commands that hold the key."""
        self._replies |= more
        (self.home / "replies.json").write_text(json.dumps(self._replies))

    def has_app(self, *rows: dict[str, Any], started: bool = True, **others: Any) -> None:
        """The app is installed, and finds these rows where it is asked to measure."""
        (self.home / "installed").touch()
        if started:
            self.folder.mkdir(parents=True)
        found = {"phone": "G P9", "android": "16", "accelerators": rows} | others
        if rows:
            (self.home / "benchmark.json").write_text(json.dumps(found))

    def told(self) -> Iterator[str]:
        for line in (self.home / "log").read_text().splitlines():
            yield " ".join(json.loads(line))


@pytest.fixture
def adb(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Adb:
    home = tmp_path_factory.mktemp("adb")
    monkeypatch.setenv("PATH", f"{home}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return Adb(home)


STATES = [
    ("List of devices attached\n\n", "no phone is connected.\nhint: Connect it by USB"),
    ("x\nA\tdevice\nB\tdevice\n", "2 phones are connected: A, B.\nhint: Choose one: `--serial A`"),
    ("x\nA\tunauthorized\n", "the phone A is unauthorized.\nhint: Unlock it and allow USB"),
    ("x\nA\toffline\n", "the phone A is offline.\nhint: Unplug"),
    ("x\nA\tno permissions (user in plugdev group; are your udev rules wrong?); see [http://x]\n",
     "the phone A is no permissions.\nhint: Your user may not use USB"),
]  # fmt: skip


@pytest.mark.parametrize(("devices", "problem"), STATES)
def test_a_phone_that_cannot_be_reached_says_why(
    devices: str, problem: str, adb: Adb, model: Path, call: Call
) -> None:
    adb.replies({"devices": (0, devices)})
    assert problem in complaint(call("android", model, "--install"))


def test_an_adb_that_does_not_come_back_is_left(
    adb: Adb, model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tflite_light.android.adb.PATIENCE_S", 0.2)
    (adb.home / "adb").write_text("#!/bin/sh\nexec sleep 60\n")
    problem = complaint(call("android", model, "--install"))
    assert problem.startswith("adb has not answered for 0.2 s: `")
    assert "hint: Unplug the phone" in problem


def test_a_phone_is_chosen_by_its_serial_number(adb: Adb, model: Path, call: Call) -> None:
    adb.replies({"devices": (0, "x\nA\tdevice\nB\tunauthorized\n")})
    adb.has_app()
    call("android", model, "--push", "--serial", "A")
    assert all(line.startswith("-s A ") for line in list(adb.told())[1:])
    message = complaint(call("android", model, "--push", "--serial", "C"))
    assert message.startswith("the phone C is not connected; there are A, B.\nhint: Connect it")


def test_without_adb_it_says_what_else_to_do(
    model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    message = complaint(call("android", model, "--install"))
    assert "adb, which brings apps to phones, was not found.\nhint: Install it: `apt-get" in message


LOST = [
    "adb: device 'R58M' not found",
    "error: device offline",
    "adb: error: failed to get feature set: device 'R58M' not found",
    "error: closed",
]


@pytest.mark.parametrize("said", LOST)
def test_a_phone_that_is_unplugged_is_said_to_be_gone(
    said: str, adb: Adb, model: Path, call: Call
) -> None:
    adb.has_app()
    adb.replies({"pm path": (1, said)})
    message = complaint(call("android", model, "--push"))
    assert message.startswith(f"the phone R58M is gone: {said}.\nhint: Plug it in again")


REFUSALS = [
    ("INSTALL_FAILED_UPDATE_INCOMPATIBLE: Existing package", "another key has signed.\nhint: Rem"),
    (
        "INSTALL_FAILED_VERSION_DOWNGRADE",
        "a newer version of the app is installed.\nhint: Remove it",
    ),
    ("INSTALL_FAILED_OLDER_SDK", "its Android is older than 8.0"),
    ("INSTALL_FAILED_INSUFFICIENT_STORAGE", "it has no space left"),
    ("java.io.IOException: Requested internal only, but not enough space", "it has no space left"),
    ("INSTALL_FAILED_NO_MATCHING_ABIS: res=-113", "another kind of processor"),
    ("INSTALL_FAILED_ABORTED: User rejected permissions", "the phone does not allow it"),
    ("INSTALL_FAILED_SOMETHING_NEW", "refuses the app: adb: failed to install x: Failure [INSTALL"),
]


@shell_built
@pytest.mark.parametrize(("code", "problem"), REFUSALS)
def test_an_app_that_is_refused_says_why(
    code: str, problem: str, adb: Adb, model: Path, home: Path, call: Call
) -> None:
    told = f"Performing Streamed Install\nadb: failed to install x: Failure [{code}]"
    adb.replies({"install": (1, told)})
    assert problem in complaint(call("android", model, "--install", "--key", home / "key.pem"))


@shell_built
def test_install_starts_the_app(adb: Adb, model: Path, home: Path, call: Call) -> None:
    words = ("--install", "--id", "org.example.signs", "--key", home / "key.pem", "--json")
    assert as_json(call("android", model, *words))["phone"] == "R58M"
    _, install, start = adb.told()
    assert install.startswith("-s R58M install -r ")
    assert start.startswith("-s R58M shell am start ")
    assert start.endswith(" -n org.example.signs/org.tflitelight.demo.LiveActivity")


def test_a_pushed_model_has_its_contract_and_golden_pictures(
    adb: Adb, model: Path, call: Call
) -> None:
    adb.has_app()
    as_json(call("android", model, "--push", "--json"))
    folder = adb.folder / "models"
    assert (folder / "signs_int8.tflite").read_bytes() == model.read_bytes()
    agreed = contract.read(folder / "signs_int8.tflite")
    assert len(agreed.golden) == 8
    for one, other in zip(agreed.golden, contract.read(model).golden, strict=True):
        assert (folder / one.picture).read_bytes() == (model.parent / other.picture).read_bytes()
    pushed = [line for line in adb.told() if " push " in line]
    assert len(pushed) == 10
    assert pushed[-1].endswith("/signs_int8.tflite")  # until then the app does not list it


def test_a_push_that_fails_leaves_no_model_of_two_files(adb: Adb, model: Path, call: Call) -> None:
    adb.has_app()
    old = adb.folder / "models" / "signs_int8.tflite"
    (adb.folder / "models" / "signs_int8_golden").mkdir(parents=True)
    old.write_bytes(b"an older model of this name")
    told = "adb: error: failed to copy 'x' to 'y': remote write failed: No space left on device"
    adb.replies({"signs_int8_golden/5.png": (1, told)})
    message = complaint(call("android", model, "--push"))
    assert message.startswith("signs_int8_golden/5.png did not get onto the phone: adb: error: ")
    assert message.endswith("No space left on device.\nhint: Free some space on it.\n")
    assert not old.exists()


def test_a_push_to_an_app_that_is_not_there_is_refused(adb: Adb, model: Path, call: Call) -> None:
    message = complaint(call("android", model, "--push"))
    assert f"{ID} is not installed on R58M.\nhint: Install it" in message


def test_the_app_makes_its_folder_itself(adb: Adb, model: Path, call: Call) -> None:
    adb.has_app(started=False)
    as_json(call("android", model, "--push", "--json"))
    lines = list(adb.told())
    (started,) = [number for number, line in enumerate(lines) if " am start " in line]
    (made,) = [number for number, line in enumerate(lines) if " mkdir " in line]
    assert started < made


ROW = {"accelerator": "cpu4", "verdict": "right", "p50_ms": 1.25, "worst_ms": 3.0}


def test_a_benchmark_is_read_from_the_phone_time_after_time(
    adb: Adb, model: Path, call: Call
) -> None:
    adb.has_app(ROW, model="signs_int8", sha256=contract.sha256(model.read_bytes()))
    for _ in range(2):
        result = call("android", model, "--benchmark")
        assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["signs_int8", "on", "G", "P9,", "Android", "16"]
    assert ["cpu4", "1.25", "3.00", "right"] in lines
    here = [line[2:] for line in lines if line[:2] == ["this", "computer,"]]
    assert [line[0] for line in here] == ["cpu1", "cpu2", "cpu4"][: len(here)]
    for _, p50, p90, worst, verdict in here:
        assert 0 < float(p50) <= float(p90) <= float(worst)
        assert verdict == "right"
    start = next(line for line in adb.told() if "BenchmarkActivity" in line)
    chosen = f"--es model signs_int8 --es sha256 {contract.sha256(model.read_bytes())}"
    assert start.endswith(f"BenchmarkActivity --ez run true {chosen}")


def test_a_benchmark_of_a_file_without_golden_pictures_calls_nothing_right(
    adb: Adb, model: Path, call: Call, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.tflite"
    alone.write_bytes(model.read_bytes())
    row = ROW | {"verdict": "unchecked"}
    adb.has_app(row, model="alone", sha256=contract.sha256(model.read_bytes()))
    shown = call("android", alone, "--benchmark").stdout
    rows = [line.split() for line in shown.splitlines()[2:]]
    assert len(rows) > 1
    assert {row[-1] for row in rows} == {"unchecked"}


def test_a_benchmark_without_a_model_is_of_the_one_that_the_app_shows(adb: Adb, call: Call) -> None:
    adb.has_app(ROW, model="birds", sha256="0")
    found = as_json(call("android", "--benchmark", "--json"))
    assert (found["benchmark"]["model"], found["computer"]) == ("birds", [])


OTHERS = [
    ("birds", "the app has no model signs_int8: it measured birds.\nhint: Give it"),
    ("signs_int8", "the app has another file of the name signs_int8, and measured that.\nhint: "),
]


@pytest.mark.parametrize(("name", "problem"), OTHERS)
def test_a_benchmark_of_another_model_is_refused(
    name: str, problem: str, adb: Adb, model: Path, call: Call
) -> None:
    adb.has_app(ROW, model=name, sha256="0")
    assert complaint(call("android", model, "--benchmark")).startswith(problem)


def test_a_benchmark_that_ends_the_app_is_not_waited_for(adb: Adb, model: Path, call: Call) -> None:
    adb.has_app()
    (adb.home / "crashes").touch()
    message = complaint(call("android", model, "--benchmark"))
    assert "the app ended while it measured: an accelerator's driver may have crashed" in message


def test_a_benchmark_that_takes_too_long_says_where_to_look(
    adb: Adb, model: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_MEASURED_WITHIN_S", 1)
    adb.has_app()
    message = complaint(call("android", model, "--benchmark"))
    assert message.startswith("the app has not finished within 1 s.\nhint: Unlock the phone")


def test_what_a_phone_says_need_not_be_utf_8(adb: Adb, model: Path, call: Call) -> None:
    (adb.home / "adb").write_text("#!/bin/sh\nprintf '\\377\\n' >&2; exit 1\n")
    assert "adb fails: \ufffd.\nhint: See `adb devices`" in complaint(
        call("android", model, "--push")
    )
