"""Writing files so that a reader sees the old one or the new one, never half of one."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tflite_light.errors import UserError

_RESTORE = "Restore it, or make it again."


def write(path: Path, content: bytes | str) -> Path:
    """Write one file, as `write_all` does."""
    write_all({path: content})
    return path


def write_all(contents: Mapping[Path, bytes | str]) -> None:
    """Write every file under a temporary name beside its own, then rename them all.

    Raises UserError where a folder or the disk refuses: before the first is renamed all are as they
    were. A link stays one, and what it names is written. A device or a pipe is written into.
    """
    contents = {_linked(path): content for path, content in contents.items()}
    temporaries = {path: _temporary(path) for path in contents if not _is_device(path)}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder has this name")
            if path in temporaries and path.is_symlink():
                raise OSError(errno.ELOOP, "it is a link that leads back to itself")
            place = temporaries.get(path, path)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        for path, temporary in temporaries.items():
            temporary.replace(path)
    except OSError as error:
        for temporary in temporaries.values():
            _discard(temporary)
        raise UserError(
            f"cannot write {path}: {error.strerror}.",
            "Free some space or choose another folder.",
        ) from error


def _temporary(path: Path) -> Path:
    """Beside a file, of a name that is short enough whatever the file's own."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f".{digest}.{os.getpid()}.tmp")


def _is_device(path: Path) -> bool:
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def _linked(path: Path) -> Path:
    """What a link to a file names; a device is written by its own name."""
    try:
        return path.resolve() if path.is_symlink() and not _is_device(path) else path
    except (OSError, RuntimeError):  # a name too long, or a link to itself, which writing says
        return path


def require_writable(folder: Path) -> None:
    """Raises UserError where a folder, which may not exist yet, cannot be written.

    For work that takes long before it writes; full disks still show only then.
    """
    import tempfile  # here, since instant commands need none of it

    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        where = "" if there == folder else f"{there.name}: "
        raise UserError(
            f"cannot write into {folder}: {where}{error.strerror}.", "Choose another folder."
        ) from error


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_all` left in a folder and below it when its process was killed.

    No other process may write there.
    """
    for path in folder.rglob(".*.[0-9]*.tmp"):
        _discard(path)


def write_json(path: Path, value: Any) -> Path:
    return write(path, json_of(value))


def json_of(value: Any) -> str:
    """A value as the content of a file."""
    return json.dumps(value, indent=2) + "\n"


def read_json(path: Path) -> Any:
    """Raises UserError when `path` is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing.", _RESTORE) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}.", _RESTORE) from error


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):  # the folder may be out of reach; then nothing was written
        path.unlink(missing_ok=True)
