"""Reading the contract of a file: beside it, inside it, and whether they belong to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, StrictInt, ValidationError

from tflite_light.classes import printable
from tflite_light.contract.archive import (
    CONTRACT,
    LABELS,
    LIMIT_BYTES,
    OLD_LABELS,
    labels_text,
    members_of,
)
from tflite_light.contract.image import AS_WRITTEN, Image
from tflite_light.contract.values import Contract
from tflite_light.errors import UserError
from tflite_light.progress import say

_AGAIN = "Export the model again, or copy the .json that was written beside it."
_READABLE = "Give a file that this user may read."


class _Version(BaseModel):
    """What tells a contract from other JSON."""

    version: StrictInt


def beside(model: Path) -> Path:
    """Where the contract of a file lies."""
    return model.with_suffix(".json")


def read(model: Path) -> Contract:
    """The contract of a `.tflite` file: the one beside it, else the one inside it.

    Raises UserError when there is none, it is damaged, it was written for another file, or the two
    disagree.
    """
    agreed = find(model)
    if agreed is None:
        raise missing(model)
    return agreed


def missing(model: Path) -> UserError:
    """What to say of a file without a contract."""
    state = "is not one" if beside(model).is_file() else "is missing"
    return UserError(
        f"{model} has no contract: {beside(model)} {state} and none is inside the file.", _AGAIN
    )


def find(model: Path, network_of: Callable[[bytes], str] | None = None) -> Contract | None:
    """As `read`; None where there is none.

    `network_of` gives the digest of a file's network however its bytes are arranged, by which a
    file that another tool has packed anew is known.
    """
    try:
        content = model.read_bytes()
    except OSError as error:
        raise UserError(f"{model} cannot be read: {error.strerror}.", _READABLE) from error
    inside, side = read_inside(content, str(model)), read_beside(model)
    stray = beside(model).is_file() and not side
    if stray and inside:
        say(f"{beside(model)} is not a contract: the one inside {model} is used")
    if side and inside:
        _require_equal(side, inside, model)
    agreed = side or inside
    if agreed and agreed.flatbuffer and not agreed.flatbuffer.fits(content, network_of):
        where = beside(model) if side else f"the contract inside {model}"
        raise UserError(f"{where} is another file's: the sha256 of {model} differs.", _AGAIN)
    if side and not side.has_own_golden():
        raise UserError(
            f"{beside(model)} has other golden answers than it was written with.", _AGAIN
        )
    return agreed


def read_inside(content: bytes, where: str) -> Contract | None:
    """The contract inside a file's bytes, if one is; `where` names the file in messages.

    Raises UserError where it is damaged, or the label file has other labels.
    """
    members = members_of(content, where, (CONTRACT, LABELS, OLD_LABELS))
    if CONTRACT not in members:
        return None
    found = _parse(members[CONTRACT], f"the contract inside {where}")
    if found is None:
        return None
    name = OLD_LABELS if found.minor < 2 else LABELS  # a newer file's labels.txt is another tool's
    if name in members and members[name] != labels_text(found).encode():
        raise UserError(
            f"{CONTRACT} and {name} inside {where} have different labels.",
            "Copy the file again, or export the model again.",
        )
    return found


def read_beside(model: Path) -> Contract | None:
    """The contract beside a file, whether it is this file's or not; None where there is none.

    Raises UserError where it is damaged.
    """
    path = beside(model)
    try:
        if not path.is_file() or path.stat().st_size > LIMIT_BYTES:
            return None
        return _parse(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", _READABLE) from error


def _parse(content: bytes, where: str) -> Contract | None:
    """None for what is no contract at all, but other JSON, or none."""
    try:
        version = _Version.model_validate_json(content).version
    except ValidationError:
        return None
    if version > 1:
        raise UserError(
            f"{where} has version {version}; this tflite-light reads version 1.",
            "Install a newer tflite-light.",
        )
    try:
        found = Contract.model_validate_json(content, extra="ignore", context=AS_WRITTEN)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(where, ".".join(map(str, first["loc"])), first["msg"]) from error
    missing = Image.model_fields.keys() - found.image.model_fields_set
    if missing:  # a default would stand for what the model was trained with
        raise _damaged(where, f"image.{min(missing)}", "is missing")
    for label in found.labels:
        if printable(label) != label:  # the kit's own are checked before a training
            raise _damaged(where, "labels", f"{label!r} has characters that cannot be written")
    return found


def _damaged(where: str, place: str, problem: str) -> UserError:
    return UserError(f"{where} is damaged, {place}: {problem}.", _AGAIN)


def _require_equal(side: Contract, inside: Contract, model: Path) -> None:
    one, other = (found.bare().model_dump() for found in (side, inside))
    if one != other:
        raise UserError(
            f"{beside(model)} and the contract inside {model} disagree: "
            f"{', '.join(_differences(one, other))} differ.",
            f"Remove {beside(model)}: the one inside was written with the file. "
            "For other labels, export the model again.",
        )


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Places such as `image.mean`."""
    places = []
    for key in one:
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            places += [f"{key}.{place}" for place in _differences(one[key], other[key])]
        elif one[key] != other[key]:
            places.append(key)
    return places
