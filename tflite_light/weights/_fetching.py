"""Files of others, fetched once into a cache, gone on with where a transfer broke off."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.progress import counted, say
from tflite_light.weights._published import Published

CACHE = "TFLITE_LIGHT_CACHE"  # the folder of the cache
OFFLINE = "TFLITE_LIGHT_OFFLINE"  # not empty: nothing is fetched
MB = 1_000_000
TRIES = 3  # of a transfer that breaks off
SILENCE = 30  # seconds without a byte, after which a server is given up
_BROKEN = (ConnectionError, TimeoutError, http.client.HTTPException)


def fetched(file: Published) -> Path:
    """The file in the cache, where it is put if it is not there.

    Raises UserError that says which file to put where, if it cannot be had, or is another one.
    """
    path = cache() / file.name
    if not path.exists():
        if os.environ.get(OFFLINE):
            raise UserError(f"{path} does not exist, and {OFFLINE} is set.", put(file))
        _require_writable(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists():  # another process may have been quicker
                _fetch(file, path)
    elif odd := _mismatch(path, file):
        raise UserError(f"{path} is not the published file: {odd}.", f"Remove it. {put(file)}")
    return path


def cache() -> Path:
    """Of this user, unless the environment names another."""
    users = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(CACHE) or f"{users}/tflite-light").expanduser()


def put(file: Published) -> str:
    """What to do without a network."""
    return (
        f"Without a network put {file.url} into {cache()} as {file.name} ({file.known}); {CACHE} "
        "places that folder."
    )


def _require_writable(folder: Path) -> None:
    try:
        files.require_writable(folder)
    except UserError as error:
        hint = f"Set {CACHE} to a folder that can be written."
        raise UserError(error.problem, hint) from error


def _fetch(file: Published, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    if not file.digest:  # two halves of different files could not be told from the whole
        part.unlink(missing_ok=True)
    say(f"fetching {file.url}")
    for left in reversed(range(TRIES)):
        try:
            _receive(file, part)
            break
        except _BROKEN as error:
            if not left:
                raise UserError(
                    f"{file.url} broke off after {_size(part):,} bytes: {_reason(error)}.",
                    f"Type the command again: it goes on there. {put(file)}",
                ) from error
    if odd := _mismatch(part, file):
        part.unlink()
        raise UserError(f"{file.url} gave another file than the published: {odd}.", put(file))
    part.replace(path)


def _receive(file: Published, part: Path) -> None:
    """Add to `part` what it lacks. Raises one of _BROKEN where less comes than was announced."""
    have = _size(part)
    with _answer(file, have) as answer:
        if answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        megabytes = -(-((total or 0) - have) // MB)
        with part.open("ab" if have else "wb") as target:
            for chunk in counted(_chunks(answer), megabytes, f"{file.name}, MB"):
                target.write(chunk)
    if total is not None and _size(part) < total:
        raise ConnectionError(f"{total:,} were announced")


def _answer(file: Published, have: int) -> Any:
    request = urllib.request.Request(file.url, headers={"User-Agent": "tflite-light"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is no more than that
            return _answer(file, 0)
        raise UserError(f"{file.url}: HTTP {error.code} {error.reason}.", put(file)) from error
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{file.url} cannot be reached: {_reason(reason)}.", put(file)) from error
    if file.url.startswith("https:") and not answer.url.startswith("https:"):
        raise UserError(f"{file.url} leads to {answer.url}, which is not encrypted.", put(file))
    return answer


def _chunks(answer: Any) -> Iterator[bytes]:
    while chunk := answer.read(MB):
        yield chunk


def _mismatch(path: Path, file: Published) -> str:
    """What is wrong with a file's digest; nothing where all is well, or no digest is known."""
    kind, _, digits = file.digest.partition(":")
    if not digits:
        return ""
    made = hashlib.sha1(b"blob %d\0" % _size(path)) if kind == "git" else hashlib.new(kind)
    with path.open("rb") as content:
        while chunk := content.read(MB):
            made.update(chunk)
    found = made.hexdigest()
    return "" if found.startswith(digits) else f"{file.known}, and this one's is {found}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
