"""The kit as `pip install` leaves it: nothing is missing that a clone has."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT, complaint, invoke

from tflite_light.recipe import shipped

NAMES = sorted(
    path.relative_to(ROOT / "recipes").with_suffix("").as_posix()
    for path in (ROOT / "recipes").rglob("*.yaml")
)


def test_recipes_go_by_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sorted(shipped.names()) == NAMES
    assert invoke("check", "mobilenet_v2").exit_code == 0
    assert f"hint: Give the path of a .yaml file, or a name: {', '.join(shipped.names())}." in (
        complaint(invoke("check", "mobilnet_v2"))
    )
    (tmp_path / "mobilenet_v2").write_text("model: [")  # a path goes first
    assert "recipe mobilenet_v2 is not YAML" in complaint(invoke("check", "mobilenet_v2"))


def test_a_wheel_holds_the_recipes_and_the_photographs(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    made = subprocess.run(
        [*pip, "install", "--no-deps", "--no-build-isolation", "--target", tmp_path / "kit", ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    kit = tmp_path / "kit" / "tflite_light"
    assert (kit / "py.typed").exists()
    assert (kit / "data" / "sign_digits.zip").stat().st_size == 6_318_760
    for shell in ROOT.glob("tflite_light/android/shell*.apk"):  # where `make apk` has built them
        assert (kit / "android" / shell.name).read_bytes() == shell.read_bytes()
    found = {path.relative_to(kit / "recipes") for path in (kit / "recipes").rglob("*.yaml")}
    assert sorted(path.with_suffix("").as_posix() for path in found) == NAMES
    code = "import tflite_light.cli as cli; print(cli.__file__); cli.run()"
    paths = os.pathsep.join([str(tmp_path / "kit"), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, "check", "imagenet/mobilenet_v2"],
        cwd=tmp_path,
        env={"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{kit / 'cli.py'}\nimagenet/mobilenet_v2 is valid:\n"), done
