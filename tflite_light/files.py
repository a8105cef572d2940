"""Writing files so that a reader sees the old one or the new one, never half of one."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from tflite_light.errors import UserError


def write(path: Path, content: bytes | str) -> Path:
    """Write under a temporary name beside `path`, then rename over it.

    Raises UserError where the folder or the disk refuses; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        _discard(temporary)
        raise UserError(
            f"cannot write {path}: {error.strerror}. Free some space or choose another folder."
        ) from error
    return path


def write_json(path: Path, value: Any) -> Path:
    return write(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Raises UserError when `path` is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}. Restore it or make it anew.") from error


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):  # the folder may be out of reach; then nothing was written
        path.unlink(missing_ok=True)
