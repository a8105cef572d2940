"""Datasets of the Hugging Face Hub, fetched into the cache that all of its programs share."""

import glob
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tflite_light.data._repository import CARD, read_card
from tflite_light.errors import UserError
from tflite_light.offline import OFFLINE, is_offline
from tflite_light.progress import say
from tflite_light.wording import count, some

SILENCE = 30  # seconds without an answer, after which the Hub is given up
Choice = Callable[[list[str], dict[str, Any]], list[str]]  # of files, by their names and the card


def fetched(name: str, revision: str | None, chosen: Choice) -> Path:
    """The folder of a dataset's chosen files; where the Hub cannot be reached, of those at hand.

    Raises UserError where they cannot be had, or not all of them.
    """
    hub = _library()
    named: dict[str, Any] = {"repo_id": name, "repo_type": "dataset", "revision": revision}
    if is_offline():
        return _without_network(hub, named, chosen, f"{OFFLINE} is set")
    try:
        # not list_repo_files, which tries for half a minute to reach what cannot be reached
        about = hub.HfApi().dataset_info(name, revision=revision, timeout=SILENCE)
        files = [one.rfilename for one in about.siblings or ()]
        there = hub.hf_hub_download(filename=CARD, **named) if CARD in files else None
    except Exception as error:  # of the network, the server and the cache, by several libraries
        if unknown := _unknown(name, revision, error):
            raise unknown from error
        offline = hub.constants.HF_HUB_OFFLINE
        why = "HF_HUB_OFFLINE is set" if offline else f"the Hub gave {_reason(error)}"
        return _without_network(hub, named, chosen, why)
    wanted = chosen(files, read_card(Path(there)) if there else {})
    patterns = [glob.escape(file) for file in (CARD, *wanted)]
    try:
        found = Path(hub.snapshot_download(allow_patterns=patterns, **named))
    except Exception as error:
        raise _unknown(name, revision, error) or _interrupted(name, _reason(error)) from error
    if lost := _lost(found, wanted):  # it may give what it has where the Hub falls silent
        raise _interrupted(name, f"{some(lost, 3)} did not come")
    return found


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UserError(
            "data.huggingface.name needs huggingface_hub.",
            "`pip install 'tflite-light[huggingface]'`",
        ) from None
    return huggingface_hub


def _without_network(hub: Any, named: dict[str, Any], chosen: Choice, why: str) -> Path:
    """The folder of what was fetched before. Raises UserError where that is not all of it."""
    name = f"{named['repo_id']}{'@' + named['revision'] if named['revision'] else ''}"
    hint = (
        f"`hf download --repo-type dataset {named['repo_id']}` fetches it where there is a "
        "network; or set data.huggingface.path to a folder with its files."
    )
    try:  # the card alone is asked for, since whole repositories are never fetched
        found = Path(hub.snapshot_download(local_files_only=True, allow_patterns=[CARD], **named))
    except Exception as error:
        raise UserError(
            f"dataset {name} is not in the cache of the Hub's programs, and {why}.", hint
        ) from error
    try:
        files = [one.path for one in hub.get_cached_repo_tree(**named)]
    except Exception:  # older ones keep no list; the card may name what is missing
        files = []
    if lost := _lost(found, chosen(files, read_card(found / CARD)) if files else []):
        raise UserError(
            f"the cache of the Hub's programs lacks {count(len(lost), 'file')} of dataset {name}: "
            f"{some(lost, 3)}, and {why}.",
            hint,
        )
    if not why.endswith("is set"):
        say(f"dataset {name}: what was fetched before is used; {why}")
    return found


def _lost(folder: Path, files: list[str]) -> list[str]:
    return [file for file in files if not (folder / file).exists()]


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _interrupted(name: str, reason: str) -> UserError:
    return UserError(
        f"the fetching of dataset {name} was interrupted: {reason}.",
        "Run the command again: what has come stays.",
    )


def _unknown(name: str, revision: str | None, error: Exception) -> UserError | None:
    """What is wrong with a name or revision, if it is that."""
    from huggingface_hub import errors

    kind = type(error).__name__
    if kind == "RevisionNotFoundError":
        return UserError(
            f"dataset {name} has no revision {revision!r}.",
            "Set data.huggingface.revision to a branch, tag or commit of it.",
        )
    if kind == "GatedRepoError":
        return UserError(
            f"dataset {name} asks for its terms to be accepted.",
            "Accept them on its page on the Hub, then `hf auth login`.",
        )
    if kind == "HFValidationError":
        return UserError(
            f"{name!r} is no name of a dataset.",
            "They are written owner/name; a folder goes into data.huggingface.path.",
        )
    if not isinstance(error, errors.RepositoryNotFoundError):
        return None
    return UserError(
        f"the Hub has no dataset {name}, or none that may be read without a name.",
        "Names are written owner/name; for private ones `hf auth login`. A folder goes into "
        "data.huggingface.path.",
    )
