"""A part outside the package: a Python file with one public class, as the files of a socket are.

It is known by what it holds: the same content read at two places, such as a user's folder and that
of a run, is one class. Reading it executes it.
"""

import hashlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from tflite_light.sockets import SOCKETS, names

SUFFIX = ".py"
_PACKAGE = "tflite_light_own"
_MODULE = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)  # a name in TensorFlow's graphs, too
_FILES: dict[str, "OwnFile"] = {}  # by their modules' names


@dataclass(frozen=True)
class OwnFile:
    """Where a part was read, and what it held then."""

    path: Path
    content: bytes

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def is_path(name: Any) -> bool:
    """Whether a part's name in a recipe is that of a file outside the package."""
    return isinstance(name, str) and name.endswith(SUFFIX)


def key(name: str) -> str:
    """What a part is called in places of a recipe and in reports: its file's name, less `.py`."""
    return Path(name).stem if is_path(name) else name


def rooted(part: Any, folder: Path) -> Any:
    """A recipe's unchecked part, or list of parts, with files that are relative to `folder`
    found from anywhere."""
    if isinstance(part, list):
        return [rooted(one, folder) for one in part]
    if isinstance(part, dict):
        return {rooted(name, folder): fields for name, fields in part.items()}
    return str((folder / Path(part).expanduser()).absolute()) if is_path(part) else part


def file_of(part: type) -> OwnFile | None:
    """The file of a part outside the package; None of one inside."""
    return _FILES.get(part.__module__)


def load(path: Path, socket: str | None = None) -> type[Any]:
    """The class in a file, of any socket or of the one given.

    Raises ValueError, in words for a person, where there is none that could be used.
    """
    part = _only_class(_executed(_read(path)), path)
    found = socket_of(part)
    if not found or found != (socket or found):
        wanted = socket or SOCKETS[0]
        what = f"belongs to {found}" if found else "derives from no class of the kit"
        raise ValueError(
            f"{path}: {part.__name__} {what}; here stands a class derived from "
            f"tflite_light.{wanted}.{base(wanted).__name__}"
        )
    if path.stem in names(found):
        raise ValueError(
            f"{path} has the name of a part of the kit, {path.stem}; give the file another name"
        )
    _require_whole(part, path)
    return part


def base(socket: str) -> type[Any]:
    """The class on a socket's contract page from which its parts derive."""
    page = import_module(f"tflite_light.{socket}")
    root = import_module("tflite_light.parts").Part
    return next(
        one
        for one in vars(page).values()
        if isinstance(one, type) and one.__module__ == page.__name__ and issubclass(one, root)
    )


def socket_of(part: type) -> str | None:
    """The socket that a class belongs to."""
    pages = {f"tflite_light.{socket}": socket for socket in SOCKETS}
    return next((pages[one.__module__] for one in part.__mro__ if one.__module__ in pages), None)


def blame(error: BaseException) -> str | None:
    """Where in a part outside the package an error arose; None where none was at work."""
    places = [
        f"{_FILES[name].path}, line {line}, in {function}"
        for name, line, function in _frames(error.__traceback__)
        if name in _FILES
    ]
    return f"{places[-1]}: {type(error).__name__}: {_first_line(error)}" if places else None


def _read(path: Path) -> OwnFile:
    if not _MODULE.fullmatch(path.stem):
        raise ValueError(
            f"{path.name!r} cannot name a part: it needs letters, digits and _, a letter first, as "
            "in my_part.py"
        )
    try:
        return OwnFile(path, path.read_bytes())
    except FileNotFoundError:
        raise ValueError(
            f"{path} does not exist; a recipe names a part's file relative to itself, `--set` "
            "relative to where it is typed"
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _executed(file: OwnFile) -> ModuleType:
    """The file's module, which pydantic and `Part.key` know by its name."""
    name = f"{_PACKAGE}.{file.sha256}.{file.path.stem}"
    _FILES[name] = file  # where it was read last
    if name in sys.modules:
        return sys.modules[name]
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(file.path)
    try:
        exec(compile(file.content, str(file.path), "exec"), vars(module))
    except BaseException as error:
        place = _broken_at(error, file)
        del sys.modules[name], _FILES[name]
        if not isinstance(error, Exception | SystemExit):
            raise
        raise ValueError(f"{place}; correct it there") from error
    return module


def _broken_at(error: BaseException, file: OwnFile) -> str:
    if isinstance(error, SyntaxError) and error.filename in (str(file.path), None):
        return f"{file.path}, line {error.lineno or 1}: {error.msg}"
    return blame(error) or f"{file.path}: {type(error).__name__}: {_first_line(error)}"


def _only_class(module: ModuleType, path: Path) -> type[Any]:
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
        if not name.startswith("_")
    ]
    if len(found) != 1:
        count = "no public class" if not found else f"{len(found)} public classes, "
        more = " and ".join(one.__name__ for one in found)
        raise ValueError(
            f"{path} has {count}{more}; a part's file has one, and names of others begin with _"
        )
    return found[0]


def _require_whole(part: type[Any], path: Path) -> None:
    if inspect.isabstract(part):
        lacks = ", ".join(sorted(part.__abstractmethods__))
        raise ValueError(f"{path}: {part.__name__} lacks {lacks}, which its base asks for")
    try:
        schema = part.model_json_schema()  # pydantic looks at the fields only now
    except Exception as error:
        raise ValueError(f"{path}: the fields of {part.__name__}: {_first_line(error)}") from error
    for name, field in schema.get("properties", {}).items():
        if field.get("uniqueItems"):
            raise ValueError(
                f"{path}: the field {name} of {part.__name__} is a set, which a run could not keep "
                "in order; make it a list or a tuple"
            )


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while traceback:
        code = traceback.tb_frame
        yield code.f_globals.get("__name__", ""), traceback.tb_lineno, code.f_code.co_name
        traceback = traceback.tb_next


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
