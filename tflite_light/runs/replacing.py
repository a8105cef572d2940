"""What an export may replace in a folder of the user's: what an export wrote there."""

import os
from collections.abc import Iterable
from pathlib import Path

from tflite_light import contract
from tflite_light.contract import Contract
from tflite_light.errors import UserError
from tflite_light.tflite import PACKED
from tflite_light.tflite.packed.container import MAGIC


def require_replaceable(paths: Iterable[Path]) -> None:
    """Raises UserError where a file of another origin has a name that exporting `paths` needs."""
    for path in paths:
        exported = {
            path: _has_contract(path),
            contract.beside(path): _contract_beside(path) is not None,
            packed_beside(path): _is_packed(packed_beside(path)),
        }
        known = golden_beside(path)
        exported |= {one: one in known for one in golden_folder(path).glob("[0-9].png")}
        for one, ours in exported.items():
            if os.path.lexists(one) and not ours:
                raise UserError(
                    f"{one} exists already, and no export wrote it.",
                    "Move it elsewhere, or choose another folder by `--out`.",
                )


def packed_beside(path: Path) -> Path:
    """Where the packed form of a file is."""
    return path.with_name(path.name + PACKED)


def golden_folder(path: Path) -> Path:
    """Where the golden pictures of a file are."""
    return path.parent / f"{path.stem}_golden"


def golden_beside(path: Path) -> set[Path]:
    """The golden pictures that the contract beside a file names, in their folder alone."""
    agreed = _contract_beside(path)
    named = {path.parent / one.picture for one in agreed.golden} if agreed else set()
    return named & {*golden_folder(path).glob("*.png")}


def _contract_beside(path: Path) -> Contract | None:
    try:
        return contract.read_beside(path)
    except UserError:
        return None


def _has_contract(path: Path) -> bool:
    try:
        return contract.read_inside(path.read_bytes(), str(path)) is not None
    except (OSError, UserError):
        return False


def _is_packed(path: Path) -> bool:
    try:
        return path.read_bytes().startswith(MAGIC)
    except OSError:
        return False
