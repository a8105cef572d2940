"""The stack machine of PyTorch's pickles, which calls nothing that a file names.

A pickle is a program that may call any function. Python's own machine is not used: the one here
knows only the operations that torch.save writes. No tensor has more elements than the bytes it is
made of, and tensors are views.
"""

import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
    "torch._utils._rebuild_tensor",  # before 0.4
    "torch._utils._rebuild_tensor_v2",
)


Storage = Callable[[str, str, int], Any]  # kind, name and length -> the numbers of a storage


class RefusedError(Exception):
    """What a state dict has no need of."""


class _Global(NamedTuple):
    """Something a pickle names; nothing is imported."""

    name: str


class _Storage(NamedTuple):
    values: Any


class Machine:
    """The stack machine of pickles, less whatever calls, imports or sets attributes."""

    def __init__(self, storage: Storage):
        self._read = storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: Any) -> Any:
        """What a pickle makes: of bytes, or at the place of a file, which is then behind it."""
        for operation, argument, _ in pickletools.genops(program):
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
                raise RefusedError(f"it does {operation}")

    def _popped(self, count: int) -> list[Any]:
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def _marked(self) -> list[Any]:
        return self._popped(len(self._stack) - self._marks.pop())

    def _storage(self, key: Any) -> _Storage:
        match key:
            case ("storage", _Global(kind), str(name), _, int(count), *view) if kind in DTYPES:
                values = self._read(kind, name, count)
                if 0 <= count <= len(values) and not any(view):
                    return _Storage(values[:count])
                raise ValueError("a storage is not as long as it says")
        raise RefusedError("it asks for something that is no storage")


def _global(name: str) -> _Global:
    if name not in MAKERS and name not in DTYPES:
        raise RefusedError(f"it asks for {name[:80]!a}")
    return _Global(name)


def _made(maker: Any, arguments: Any) -> Any:
    """What the three functions that a state dict may name would return."""
    match maker, arguments:
        case _Global("collections.OrderedDict"), ():
            return {}
        case _Global("torch._utils._rebuild_parameter"), (np.ndarray() as tensor, *_):
            return tensor
        case _Global("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor"), (
            _Storage(values),
            int(offset),
            tuple(shape),
            tuple(strides),
            *_,
        ):
            return _tensor(values, offset, shape, strides)
    raise RefusedError("it calls something")


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
        raise RefusedError("a tensor repeats its storage")
    steps = [step * values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise RefusedError(f"it changes a {type(value).__name__}")
    return value


def _key(key: Any) -> Any:
    """Names, and the numbers of an optimiser; tuples could take for ever to hash."""
    if type(key) not in (str, int):
        raise RefusedError(f"a key is a {type(key).__name__}")
    return key
