"""Class names: compared in one form, made distinct, and read from a file with one a line."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tflite_light.errors import UserError
from tflite_light.wording import some

_NUMBERED = re.compile(r"(\d+)\s*:\s*(.+)")  # as TF-Slim's converters write them: 0:apple
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # controls (U+0085 too), halves of characters, separators


def plain(name: str) -> str:
    """A name in Unicode's form NFC, in which class names are compared and kept.

    macOS writes the same name in form NFD, which looks alike and has other bytes.
    """
    return unicodedata.normalize("NFC", name)


def difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """In words, how classes are not those that are expected, in their order; else nothing."""
    gone, new = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    changes = [f"{some(gone)} missing"] if gone else []
    changes += [f"{some(new)} new"] if new else []
    if changes:
        return " and ".join(changes)
    for place, (wanted, other) in enumerate(zip(expected, found, strict=False)):
        if other != wanted:
            return f"class {place} is {other}, not {wanted}"
    return "" if len(expected) == len(found) else "some twice"


def require_printable(where: str, classes: list[str]) -> None:
    """Raises UserError where a class name cannot go into the contract's JSON, or on one line."""
    if strange := next((name for name in classes if printable(name) != name), None):
        raise UserError(
            f"{where}: class {strange!r} has characters that cannot be written.", "Rename it."
        )


def printable(name: str) -> str:
    """The name on one line, and such that it changes no terminal: a tab is written as `\\t`."""
    if name.isprintable():
        return name
    return "".join(
        repr(one)[1:-1] if unicodedata.category(one) in _UNPRINTABLE else one for one in name
    )


def distinct(where: str, names: list[str]) -> list[str]:
    """The names in form NFC; one that occurs twice gets its label, as in `crane (134)`.

    ImageNet has two cranes and two maillots. Raises UserError where that makes other names equal.
    """
    names = [plain(name) for name in names]
    counts = Counter(names)
    made = [f"{name} ({label})" if counts[name] > 1 else name for label, name in enumerate(names)]
    if len(set(made)) < len(made):
        twice = next(name for name, count in Counter(made).items() if count > 1)
        raise UserError(f"{where}: two classes are called {twice!r}.", "Rename one of them.")
    return made


def read(path: Path, first: int | None = None) -> list[str]:
    """The class names of a text file, one a line, in the order of the labels; `distinct`.

    Lines may be numbered, `0:apple`; they must then count up from `first`, if that is given.
    Raises UserError where the file cannot be read, or an empty line would shift the labels.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Give a text file.") from error
    return parse(str(path), content, first)


def parse(path: str, content: bytes, first: int | None = None) -> list[str]:
    """The class names that such a file holds; `path` is what to call it."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = "it is not text in UTF-8"
        raise UserError(f"{path} cannot be read: {reason}.", "Give a text file.") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    lines = text.split("\n")  # not splitlines(), which also parts a line at U+0085
    names = [line.strip(" \t") for line in lines]
    if "" in names and names != [""]:
        raise UserError(
            f"{path}, line {names.index('') + 1} is empty, which leaves a label without a name.",
            "Remove the line, or write the name.",
        )
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    if all(numbered):
        names = _in_order(path, [(int(line[1]), line[2]) for line in numbered if line], first)
    return distinct(path, [name for name in names if name])


def _in_order(path: str, lines: list[tuple[int, str]], first: int | None) -> list[str]:
    start = lines[0][0] if first is None else first
    for line, (number, _) in enumerate(lines):
        if number != start + line:
            raise UserError(
                f"{path}, line {line + 1} has the number {number}, where {start + line} is "
                "expected.",
                "Number the classes upwards from the first label, one a line.",
            )
    return [name for _, name in lines]
