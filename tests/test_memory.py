"""Pictures stay in memory where its limits allow it, once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from tflite_light.contract import Image
from tflite_light.data.synthetic import Synthetic
from tflite_light.pipeline import memory, reading

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
NONE = 9223372036854771712  # what version 1 says where there is no limit
V1 = "4:memory:{}\n9:name=systemd:/\n0::/"
V1_OPTIONS = "cgroup cgroup rw,memory"
CASES: dict[str, tuple[str, str, str, dict[str, Any], int]] = {
    "version 2, in a container": ("0::/", "/", "cgroup2 cgroup2 rw", {"": 3000}, 3000),
    "version 2, no limit": ("0::/", "/", "cgroup2 cgroup2 rw", {"": "max"}, MACHINE),
    "version 2, at the root": ("0::/", "/", "cgroup2 cgroup2 rw", {}, MACHINE),
    "version 2, own limit": ("0::/a/b", "/", "cgroup2 cgroup2 rw", {"a": "max", "a/b": 2000}, 2000),
    "version 2, limit further up": ("0::/a/b", "/", "cgroup2 cgroup2 rw", {"a": 1000, "a/b": 2000}, 1000),
    "version 2, host's path": ("0::/../x", "/", "cgroup2 cgroup2 rw", {"": 3000}, 3000),
    "version 1, own limit": (V1.format("/a/b"), "/", V1_OPTIONS, {"": NONE, "a": NONE, "a/b": 2000}, 2000),
    "version 1, limit further up": (V1.format("/a/b"), "/", V1_OPTIONS, {"": NONE, "a": 1000}, 1000),
    "version 1, host's path": (V1.format("/docker/7"), "/docker/7", V1_OPTIONS, {"": 3000}, 3000),
    "version 1, no limit": (V1.format("/"), "/", V1_OPTIONS, {"": NONE}, MACHINE),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_memory_is_the_container_s(case: str, tmp_path: Path) -> None:
    groups, root, kind, limits, expected = CASES[case]
    for folder, value in limits.items():
        (tmp_path / "mounted" / folder).mkdir(parents=True, exist_ok=True)
        name = "memory.max" if kind.startswith("cgroup2") else "memory.limit_in_bytes"
        (tmp_path / "mounted" / folder / name).write_text(f"{value}\n")
    (tmp_path / "cgroup").write_text(groups)
    mount = f"35 31 0:32 {root} {tmp_path}/mounted rw,relatime shared:9 - {kind}\n"
    (tmp_path / "mountinfo").write_text(f"23 1 0:1 / / rw - ext4 /dev/vda rw\n{mount}")
    assert memory.limit(tmp_path) == expected


def test_a_machine_without_control_groups_has_its_own_memory(tmp_path: Path) -> None:
    assert memory.limit(tmp_path) == MACHINE


def test_what_does_not_fit_is_reported_with_both_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image, source = Image(size=32), Synthetic(count=40, side=16)
    needed = 40 * 32 * 32 * 3
    monkeypatch.setattr(memory, "limit", lambda: 2 * needed)
    assert source.load(image).train.cached is not None
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(memory, "limit", lambda: 2 * needed - 2)
    assert source.load(image).train.cached is None
    assert (
        "40 pictures of 32 px take 0.1 MB, more than 50% of the 0.2 MB" in capsys.readouterr().err
    )
    assert reading.MEMORY_SHARE == 0.5


@pytest.mark.slow
def test_30000_pictures_take_at_most_1_3_times_their_size() -> None:
    script = ROOT / "benchmarks" / "memory.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    peak = float(done.stdout.partition("reading, ")[2].split()[0])
    assert peak <= 1.3
    assert "checking pictures: " in done.stderr
