"""Files that count themselves: `train-00003-of-00008.tfrecord`."""

import re
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from tflite_light.wording import count, some

NUMBERED = re.compile(r"(?P<stem>.+?)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<rest>.*)")


def lacking(files: Iterable[str], pattern: str = "*") -> str:
    """In words, which files are not there although the names of these say so, and are of such a
    name; else nothing."""
    found: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for file in files:
        path = PurePosixPath(file)
        if name := NUMBERED.fullmatch(path.name):
            _, dot, suffix = name["rest"].rpartition(".")
            stem = str(path.parent / name["stem"])
            found[stem, name["total"], dot + suffix].add(int(name["number"]))
    for (stem, total, suffix), numbers in found.items():
        rest, first = f"-of-{total}{suffix}", int(int(total) in numbers)  # some count from 1
        every = range(first, first + int(total))
        missing = [f"{stem}-{one:05}" for one in every if one not in numbers]
        missing = [one for one in missing if fnmatchcase(PurePosixPath(one + rest).name, pattern)]
        if missing:
            return f"lacks {count(len(missing), 'file')} of {int(total)}: {some(missing, 3)}{rest}"
    return ""
