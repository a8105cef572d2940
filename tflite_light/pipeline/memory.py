"""How much memory this process may use: the machine's, or less where its container has a limit."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

LIMITS = {"cgroup2": "memory.max", "cgroup": "memory.limit_in_bytes"}  # by type of file system


def limit(proc: Path = Path("/proc/self")) -> int:
    """Bytes. Groups lie within each other, and the smallest limit on the way up holds."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(proc)])


def _limits(proc: Path) -> Iterator[int]:
    """Docker, Kubernetes and systemd limit by control groups, whose files are mounted anywhere.

    See cgroups(7) and proc_pid_mountinfo(5) of the Linux manual.
    """
    try:
        groups = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
    except OSError:  # not Linux
        return
    for mount in mounts:
        kind, options = mount[mount.index("-") + 1], mount[-1].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options):
            wanted = "" if kind == "cgroup2" else "memory"
            own = next((path for _, names, path in groups if wanted in names.split(",")), "/")
            for folder in _upwards(Path(mount[4]), mount[3], own):
                yield from _read(folder / LIMITS[kind])


def _upwards(mounted: Path, root: str, group: str) -> Iterator[Path]:
    """The folder of a group and those around it; the part of the tree below `root` is mounted."""
    path = PurePosixPath(group)
    below = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath()
    yield from (mounted / part for part in (below, *below.parents))


def _read(path: Path) -> Iterator[int]:
    """The number in a file; none where it does not exist or is `max`."""
    try:
        text = path.read_text().strip()
    except OSError:
        return
    if text.isdecimal():
        yield int(text)
