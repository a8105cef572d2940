"""PyTorch's checkpoint files, read without PyTorch and without executing anything in them.

A `.pth` is a zip archive: `*/data.pkl` describes tensors, `*/data/N` holds their bytes. Before
PyTorch 1.6, as many published files are, it was five pickles, the fourth of which describes tensors
and the last names their storages, which follow.

Memory stays near the size of the file: members are stored plainly, and tensors are views.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light.errors import UserError
from tflite_light.weights._machine import DTYPES, Machine, RefusedError

DESCRIPTION_BYTES = 2 << 20  # a thousand tensors and their optimiser take a quarter of it
DEEPEST = 20  # mappings within mappings; checkpoints of trainers have three or four
_STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # its first pickle: PyTorch's magic number
SAVE_AGAIN = "Save `model.state_dict()` alone, or as .safetensors."


def read(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, by their names below those of the mappings they are in.

    Raises UserError when it holds what could run code, is damaged, or holds no tensors.
    """
    try:
        value = _unpickled(path)
        found = _flat(value) if isinstance(value, dict) else {}
    except RefusedError as error:
        raise UserError(
            f"weights {path} hold more than tensors ({error}). They are not read, since a pickle "
            "can run code.",
            SAVE_AGAIN,
        ) from error
    except (UserError, OSError):
        raise
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(
            f"weights {path} are damaged ({type(error).__name__}: {str(error)[:80]}).",
            "Fetch them again.",
        ) from error
    if not found:
        raise UserError(f"weights {path} hold no named tensors.", SAVE_AGAIN)
    return found


def _unpickled(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(len(_STREAM))
    if head == _STREAM:
        return _streamed(path.read_bytes())
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = _Members(path, archive)
            return Machine(members.storage).run(members.description)
    raise UserError(
        f"weights {path}: not a checkpoint of PyTorch, or damaged.",
        "Fetch it again; or load it in PyTorch and save it again with torch.save.",
    )


class _Members:
    """What is in the archive. Members that are compressed or overlap could unpack to any size."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        members = archive.infolist()
        plain = all(one.compress_type == zipfile.ZIP_STORED for one in members)
        if not plain or sum(one.file_size for one in members) > path.stat().st_size:
            raise UserError(
                f"weights {path}: a zip archive, but not as torch.save writes it, without "
                "compression.",
                "Save it again with torch.save.",
            )
        found = [one.filename for one in members if one.filename.endswith("/data.pkl")]
        if len(found) != 1 or archive.getinfo(found[0]).file_size > DESCRIPTION_BYTES:
            raise UserError(f"weights {path} hold no state dict of PyTorch.", SAVE_AGAIN)
        self._archive, self._folder = archive, found[0].removesuffix("data.pkl")
        self.description = archive.read(found[0])
        if f"{self._folder}byteorder" in archive.namelist() and self._order() != b"little":
            raise UserError(f"weights {path} are big-endian.", "Save them as .safetensors.")
        self._storages: dict[tuple[str, str], Any] = {}

    def _order(self) -> bytes:
        return self._archive.read(f"{self._folder}byteorder")

    def storage(self, kind: str, name: str, count: int) -> Any:
        """The numbers of one member; a member is read once."""
        if (kind, name) not in self._storages:
            content = self._archive.read(f"{self._folder}data/{name}")
            self._storages[kind, name] = _numbers(content, kind)
        return self._storages[kind, name]


def _streamed(content: bytes) -> Any:
    """What the five pickles and the storages behind them make.

    The description is run twice: its first run says of which kind each storage is.
    """
    storages: dict[tuple[str, str], Any] = {}
    kinds: dict[str, tuple[str, int]] = {}

    def unread(kind: str, name: str, count: int) -> Any:
        if kinds.setdefault(name, (kind, count)) != (kind, count):
            raise ValueError("a storage is of two kinds")
        return np.broadcast_to(np.zeros((), DTYPES[kind]), max(count, 0))

    stream = io.BytesIO(content[:DESCRIPTION_BYTES])
    _, _, system = (Machine(unread).run(stream) for _ in range(3))
    if not system["little_endian"]:
        raise RefusedError("it is big-endian")
    begin = stream.tell()
    Machine(unread).run(stream)
    described = stream.tell()
    names = Machine(unread).run(stream)
    end = stream.tell()
    for name in names:
        kind, count = kinds[name]
        size = count * np.dtype(DTYPES[kind]).itemsize
        if int.from_bytes(content[end : end + 8], "little") != count or size < 0:
            raise ValueError("a storage is not as long as it says")
        storages[kind, name] = _numbers(content[end + 8 : end + 8 + size], kind)
        end += 8 + size
    return Machine(lambda kind, name, _: storages[kind, name]).run(content[begin:described])


def _numbers(content: bytes, kind: str) -> Any:
    values = np.frombuffer(content, DTYPES[kind])
    if kind == "torch.BFloat16Storage":  # the upper half of a float32
        return (values.astype("<u4") << 16).view("<f4")
    return values


def _flat(value: Any) -> dict[str, Any]:
    """The tensors of nested mappings by dotted names, such as `state_dict.model.0.weight`.

    Numbers, settings and lists beside them are no weights, and nor are tensors without elements. A
    mapping that stands at several places is read at one of them, so that a small file cannot become
    a large result.
    """
    found: dict[str, Any] = {}
    seen = set[int]()
    waiting = [("", value, 0)]
    while waiting:
        prefix, mapping, depth = waiting.pop()
        if id(mapping) in seen:
            continue
        seen.add(id(mapping))
        if depth > DEEPEST:
            raise RefusedError("its mappings are nested too deep")
        for key, one in mapping.items():
            name = f"{prefix}{key}"
            if isinstance(one, dict):
                waiting.append((f"{name}.", one, depth + 1))
            elif isinstance(one, np.ndarray) and one.size:
                if name in found:
                    raise ValueError(f"two tensors are called {name[:80]}")
                found[name] = one
    return found
