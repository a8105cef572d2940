"""Which files below a folder are pictures: one rule for all that reads folders.

* A file whose name or first bytes are those of a format in `formats.py` is a picture.
* Hidden files and folders (`.ipynb_checkpoints`, `._photo.jpg`) and what systems leave behind
  (`Thumbs.db`, `@eaDir`, `__MACOSX`) are ignored at any depth.
* Linked files and folders are followed; a link to a folder that holds it is not, since all that is
  there is found without it.
* What cannot be read (a dangling link, a folder of another user) is refused by count and name.
* Strangers are refused by count and name, or left out and named where the source is set to
  `skip_strangers`: other files among pictures, pictures outside the class folders, empty classes.
* What the source's `leave_out` names is left out, and counted.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from tflite_light.classes import plain
from tflite_light.errors import UserError
from tflite_light.pipeline import formats
from tflite_light.progress import say
from tflite_light.wording import count, some

LITTER = {  # of Windows, macOS, Synology, QNAP, ext4, Python; in lower case
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("icon\r", "__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "lost+found"),
    *("__pycache__", ".ds_store"),
}
SKIP = "leave out strangers (other files, pictures in no class, empty classes), else refused"
LEAVE_OUT = "pictures, or folders of them, to leave out: paths below the folder, with /"
SKIP_BROKEN = "a picture that cannot be decoded: have the next of its class stand in, else refused"
SHOWN = 10  # of what is refused or left out

Identity = tuple[int, int]


class Walk:
    """Finds pictures below `root`, and keeps account of what lies among them."""

    def __init__(self, root: Path, leave_out: Iterable[str] = ()) -> None:
        self.root = root
        self.leave_out = {plain(name) for name in leave_out}
        self.left_out: set[str] = set()
        self.broken: list[tuple[Path, str]] = []  # and why
        self.others: list[Path] = []
        self.outside: list[Path] = []
        self.classes: dict[str, Path] = {}  # folders that were taken for classes
        self.empty: list[Path] = []

    def pictures(self, folder: Path) -> list[Path]:
        """Pictures below a folder, at any depth, sorted by name in each."""
        return list(self.below(folder))

    def below(self, folder: Path) -> Iterator[Path]:
        """The same, one by one; the account is whole at the end."""
        yield from self._below(folder, self._above(folder))

    def folders(self, folder: Path) -> dict[str, Path]:
        """Folders directly in a folder by their names, sorted; pictures beside them are outside.

        Raises UserError where two have names that look the same.
        """
        found: dict[str, Path] = {}
        above = self._above(folder)
        for path, status in self._entries(folder):
            name = plain(path.name)
            if stat.S_ISDIR(status.st_mode) and _identity(status) not in above:
                if name in found:
                    raise UserError(
                        f"{found[name].name!r} and {path.name!r} in {folder} look the same: one "
                        "name in two forms of Unicode.",
                        "Move the pictures of one into the other, or rename one.",
                    )
                found[name] = path
            elif stat.S_ISREG(status.st_mode) and self._is_picture(path):
                self.outside.append(path)
        return found

    def conclude(self, where: str, place: str, skip_strangers: bool) -> None:
        """Raises UserError where something cannot be read, or is strange and not to be left out.

        `place` is how a recipe sets the option. What is left out is named.
        """
        require_read(where, [f"{path} ({reason})" for path, reason in self.broken])
        strangers = (
            (self.others, "file that is", "files that are", f"no {formats.NAMES}"),
            (self.outside, "picture", "pictures", "outside the class folders"),
            (self.empty, "class folder", "class folders", "without a picture"),
        )
        found = [
            f"{count(len(paths), one, many)} {what}: {some(paths, SHOWN, '; ')}"
            for paths, one, many, what in strangers
            if paths
        ]
        if self.outside and not self.classes:
            raise UserError(
                f"{where} holds {count(len(self.outside), 'picture')} and no class folders.",
                f"Name the folder that holds them, such as {self.root.absolute().parent}.",
            )
        if found and not skip_strangers:
            raise UserError(
                f"{where} holds {'; and '.join(found)}.",
                f"Move or remove them, or leave them out by `{place}.skip_strangers=true` "
                "(`--skip-strangers` of evaluate, compare and report).",
            )
        for line in found:
            say(f"{where}: left out {line}")
        if self.leave_out:
            say(f"{where}: left out {len(self.left_out)} by `{place}.leave_out`")
        if absent := sorted(self.leave_out - self.left_out):
            say(f"{where}: `{place}.leave_out` names what is not there: {some(absent, SHOWN)}")

    def _below(self, folder: Path, above: set[Identity]) -> Iterator[Path]:
        for path, status in self._entries(folder):
            if stat.S_ISDIR(status.st_mode):
                if _identity(status) not in above:
                    yield from self._below(path, above | {_identity(status)})
            elif stat.S_ISREG(status.st_mode) and self._is_picture(path):
                yield path
            else:
                self.others.append(path)

    def _above(self, folder: Path) -> set[Identity]:
        """The folder and those that hold it, up to the root."""
        return {
            _identity(path.stat())
            for path in (folder, *folder.parents)
            if path.is_relative_to(self.root)
        }

    def _entries(self, folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
        """What lies in a folder and is not ignored, sorted by name."""
        try:
            names = sorted(os.listdir(folder), key=plain)  # noqa: PTH208 - a tenth of paths' memory
        except OSError as error:
            self.broken.append((folder, error.strerror or str(error)))
            return
        for name in names:
            if name.startswith(".") or is_litter(name):
                continue
            path = folder / name
            if self.leave_out and self._is_left_out(path):
                continue
            try:
                status = path.stat()
            except OSError as error:
                link = f"links to {path.readlink()}: " if path.is_symlink() else ""
                self.broken.append((path, f"{link}{error.strerror}"))
            else:
                yield path, status

    def _is_left_out(self, path: Path) -> bool:
        name = plain(path.relative_to(self.root).as_posix())
        if name in self.leave_out:
            self.left_out.add(name)
        return name in self.leave_out

    def _is_picture(self, path: Path) -> bool:
        if path.suffix.lower() in formats.SUFFIXES:
            return True
        try:
            with path.open("rb") as file:
                return formats.is_picture(path, file.read(formats.HEAD))
        except OSError as error:
            self.broken.append((path, error.strerror or str(error)))
            return False


def is_litter(name: str) -> bool:
    """Whether a system has left this behind, `._photo.jpg` of macOS for instance."""
    return name.startswith("._") or name.casefold() in LITTER


def require_read(where: str, problems: list[str]) -> None:
    """Raises UserError with the names of what cannot be read, and why."""
    if problems:
        number = count(len(problems), "file or folder", "files or folders")
        raise UserError(
            f"{where}: {number} cannot be read: {some(problems, SHOWN, '; ')}.",
            "Restore or remove them, or give this user the right to read them.",
        )


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
