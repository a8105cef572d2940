"""Files of others, fetched once into a cache, gone on with where a transfer broke off."""

import hashlib
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from filelock import FileLock

from tflite_light import files
from tflite_light.errors import UserError
from tflite_light.offline import OFFLINE, is_offline
from tflite_light.progress import counted, say
from tflite_light.weights._published import Published

CACHE = "TFLITE_LIGHT_CACHE"  # the folder of the cache
MB = 1_000_000
TRIES = 3  # of a transfer that breaks off
SILENCE = 30  # seconds without a byte, after which a server is given up
HDF5 = b"\x89HDF\r\n\x1a\n"  # how Keras' files begin
_BROKEN = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)


def fetched(file: Published) -> Path:
    """The file in the cache, where it is put if it is not there.

    Raises UserError that says which file to put where, if it cannot be had, or is another one.
    """
    path = cache() / file.name
    if not path.exists():
        if is_offline():
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
    say(f"fetching {file.url}")
    for left in reversed(range(TRIES)):
        try:
            _receive(file, part)
            break
        except _BROKEN as error:
            if not left:
                there = "it goes on there" if _kept(file, part) else "it begins anew"
                raise UserError(
                    f"{file.url} broke off after {_size(part):,} bytes: {_reason(error)}.",
                    f"Type the command again: {there}. {put(file)}",
                ) from error
    _beside(part).unlink(missing_ok=True)
    if odd := _mismatch(part, file):
        part.unlink()
        raise UserError(f"{file.url} gave another file than the published: {odd}.", put(file))
    part.replace(path)


def _receive(file: Published, part: Path) -> None:
    """Add to `part` what it lacks. Raises one of _BROKEN where not all comes that was announced."""
    with _answer(file, _kept(file, part), _version(part)) as answer:
        begin, total = _span(answer)
        if not begin:  # emptied first: no bytes lie beside the version of others
            part.write_bytes(b"")
            _beside(part).write_text(_stated(answer))
        megabytes = -(-((total or 0) - begin) // MB)
        with part.open("ab") as target:
            for chunk in counted(iter(lambda: answer.read(MB), b""), megabytes, f"{file.name}, MB"):
                target.write(chunk)
    if total is not None and _size(part) != total:
        raise ConnectionError(f"{total:,} were announced")


def _kept(file: Published, part: Path) -> int:
    """Bytes to go on after: without digest or version, two halves of different files could not be
    told from the whole."""
    return _size(part) if file.digest or _version(part) else 0


def _version(part: Path) -> str:
    path = _beside(part)
    return path.read_text() if path.exists() else ""


def _beside(part: Path) -> Path:
    """Where `_stated` of the answer lies that `part` begins."""
    return part.with_suffix(".version")


def _stated(answer: Any) -> str:
    """Which version of the file an answer is of; a weak ETag, W/"...", says nothing of bytes."""
    tag = answer.headers.get("ETag", "")
    return str(tag if tag.startswith('"') else answer.headers.get("Last-Modified", ""))


def _span(answer: Any) -> tuple[int, int | None]:
    """Where in the file an answer begins, and the bytes of the whole; None, -1 if it is unsaid."""
    if answer.status == 206:
        stated = answer.headers.get("Content-Range", "")
        found = re.fullmatch(r"bytes (\d{1,15})-\d+/(\d{1,15})", stated)
        return (int(found[1]), int(found[2])) if found else (-1, None)
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(r"\d{1,15}", length) else None


def _answer(file: Published, have: int, version: str) -> Any:
    """To a request for what follows `have` bytes of a version, or for all of the file."""
    request = urllib.request.Request(file.url, headers={"User-Agent": "tflite-light"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if version:
            request.add_header("If-Range", version)
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is no more than that
            return _answer(file, 0, "")
        raise UserError(f"{file.url}: HTTP {error.code} {error.reason}.", put(file)) from error
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{file.url} cannot be reached: {_reason(reason)}.", put(file)) from error
    if file.url.startswith("https:") and not answer.url.startswith("https:"):
        raise UserError(f"{file.url} leads to {answer.url}, which is not encrypted.", put(file))
    begins_there = _span(answer)[0] == have and _stated(answer) in ("", version)
    if answer.status == 200 or (have and begins_there):
        return answer
    answer.close()
    if have:  # what comes is no continuation
        return _answer(file, 0, "")
    raise UserError(f"{file.url}: HTTP {answer.status} {answer.reason}.", put(file))


def _mismatch(path: Path, file: Published) -> str:
    """What is wrong with a file's digest or, if none is known, with how it begins; else nothing."""
    kind, _, digits = file.digest.partition(":")
    if not digits:  # Keras' alone; a network's page for logging in, for instance
        with path.open("rb") as content:
            return "" if content.read(len(HDF5)) == HDF5 else "it is no HDF5 file"
    made = hashlib.sha1(b"blob %d\0" % _size(path)) if kind == "git" else hashlib.new(kind)
    with path.open("rb") as content:
        hashlib.file_digest(content, lambda: made)
    found = made.hexdigest()
    return "" if found.startswith(digits) else f"{file.known}, and this one's is {found}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
