"""PyTorch's checkpoint files, read without PyTorch and without executing anything in them.

A `.pth` is a zip archive: `*/data.pkl` describes tensors, `*/data/N` holds their bytes. A pickle is
a program for a stack machine that may call any function. Python's own machine is not used: the one
here knows only the operations that torch.save writes, and calls nothing that a file names.

Memory stays near the size of the file: members are stored plainly, no tensor has more elements
than the bytes it is made of, and tensors are views.
"""

import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tflite_light.errors import UserError

DTYPES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": "<u2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
MAKERS = (
    "collections.OrderedDict",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
)
DESCRIPTION_BYTES = 2 << 20  # a thousand tensors and their optimiser take a quarter of it
DEEPEST = 20  # mappings within mappings; checkpoints of trainers have three or four
SAVE_AGAIN = "Save `model.state_dict()` alone, or as .safetensors."


class _RefusedError(Exception):
    """What a state dict has no need of."""


class _Global(NamedTuple):
    """Something a pickle names; nothing is imported."""

    name: str


class _Storage(NamedTuple):
    values: Any


def read(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, by their names below those of the mappings they are in.

    Raises UserError when it holds what could run code, is damaged, or holds no tensors.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"weights {path}: not a checkpoint of PyTorch 1.6 or later, or damaged.",
            "Load it in PyTorch and save it again with torch.save, or as .safetensors.",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            value = _Machine(_Members(path, archive)).run()
            found = _flat(value) if isinstance(value, dict) else {}
    except _RefusedError as error:
        raise UserError(
            f"weights {path} hold more than tensors ({error}). They are not read, since a pickle "
            "can run code.",
            SAVE_AGAIN,
        ) from error
    except UserError:
        raise
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(
            f"weights {path} are damaged ({type(error).__name__}: {str(error)[:80]}).",
            "Fetch them again.",
        ) from error
    if not found:
        raise UserError(f"weights {path} hold no named tensors.", SAVE_AGAIN)
    return found


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

    def storage(self, kind: str, name: str) -> Any:
        """The numbers of one member; a member is read once."""
        if (kind, name) not in self._storages:
            values = np.frombuffer(self._archive.read(f"{self._folder}data/{name}"), DTYPES[kind])
            if kind == "torch.BFloat16Storage":  # the upper half of a float32
                values = (values.astype("<u4") << 16).view("<f4")
            self._storages[kind, name] = values
        return self._storages[kind, name]


class _Machine:
    """The stack machine of pickles, less whatever calls, imports or sets attributes."""

    def __init__(self, members: _Members):
        self._members = members
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for operation, argument, _ in pickletools.genops(self._members.description):
            self._step(operation.name, argument)
        (result,) = self._stack
        return result

    def _step(self, operation: str, argument: Any) -> None:
        stack = self._stack
        match operation:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self._marks.append(len(stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[operation])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[operation])
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self._memo[len(self._memo) if argument is None else argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._popped(int(operation[-1]))))
            case "APPEND" | "APPENDS":
                items = self._popped(1) if operation == "APPEND" else self._marked()
                _of(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._popped(2) if operation == "SETITEM" else self._marked()
                pairs = zip(items[::2], items[1::2], strict=True)
                _of(dict, stack[-1]).update((_key(key), value) for key, value in pairs)
            case "GLOBAL" | "STACK_GLOBAL":
                words = argument.split(" ") if argument else self._popped(2)
                stack.append(_global(".".join(_of(str, word) for word in words)))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                stack.append(_made(*self._popped(2)))
            case "BUILD":  # a state dict's metadata
                stack.pop()
                _of(dict, stack[-1])
            case _:
                raise _RefusedError(f"it does {operation}")

    def _popped(self, count: int) -> list[Any]:
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def _marked(self) -> list[Any]:
        return self._popped(len(self._stack) - self._marks.pop())

    def _storage(self, key: Any) -> _Storage:
        match key:
            case ("storage", _Global(kind), str(name), _, int(count)) if kind in DTYPES:
                values = self._members.storage(kind, name)
                if 0 <= count <= len(values):
                    return _Storage(values[:count])
                raise ValueError("a storage is shorter than it says")
        raise _RefusedError("it asks for something that is no storage")


def _global(name: str) -> _Global:
    if name not in MAKERS and name not in DTYPES:
        raise _RefusedError(f"it asks for {name[:80]!a}")
    return _Global(name)


def _made(maker: Any, arguments: Any) -> Any:
    """What the three functions that a state dict may name would return."""
    match maker, arguments:
        case _Global("collections.OrderedDict"), ():
            return {}
        case _Global("torch._utils._rebuild_parameter"), (np.ndarray() as tensor, *_):
            return tensor
        case _Global("torch._utils._rebuild_tensor_v2"), (
            _Storage(values),
            int(offset),
            tuple(shape),
            tuple(strides),
            *_,
        ):
            return _tensor(values, offset, shape, strides)
    raise _RefusedError("it calls something")


def _tensor(values: Any, offset: int, shape: Any, strides: Any) -> Any:
    """A view of a storage. Its bounds are checked: a file may claim any."""
    if not all(isinstance(number, int) and number >= 0 for number in (offset, *shape, *strides)):
        raise ValueError("a tensor's shape is no shape")
    if 0 in shape:
        return values[:0].reshape(0)
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    elements = 1
    for side in shape:
        elements *= side
    if last >= len(values):
        raise ValueError("a tensor reaches beyond its storage")
    if elements > len(values):  # it would cost memory that the file does not
        raise _RefusedError("a tensor repeats its storage")
    steps = [step * values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise _RefusedError(f"it changes a {type(value).__name__}")
    return value


def _key(key: Any) -> Any:
    """Names, and the numbers of an optimiser; tuples could take for ever to hash."""
    if type(key) not in (str, int):
        raise _RefusedError(f"a key is a {type(key).__name__}")
    return key


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
            raise _RefusedError("its mappings are nested too deep")
        for key, one in mapping.items():
            name = f"{prefix}{key}"
            if isinstance(one, dict):
                waiting.append((f"{name}.", one, depth + 1))
            elif isinstance(one, np.ndarray) and one.size:
                if name in found:
                    raise ValueError(f"two tensors are called {name[:80]}")
                found[name] = one
    return found
