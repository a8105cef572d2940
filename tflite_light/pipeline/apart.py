"""The same picture in two parts: figures on what was trained on are too good."""

from collections.abc import Iterator, Mapping

import numpy as np

from tflite_light.errors import UserError
from tflite_light.pipeline.examples import Examples, outlier_part
from tflite_light.pipeline.pictures import Split
from tflite_light.progress import say
from tflite_light.wording import count, some

SHARED = 0.01  # share of a part that may be elsewhere, too: public sets have a few such pictures
SHOWN = 3
# That must not know a part's pictures.
EARLIER: dict[Split, tuple[Split, ...]] = {"val": ("train",), "test": ("train", "val")}


def require_apart(where: str, parts: Mapping[str, Examples]) -> None:
    """Name pictures of val and test, outliers too, that are also in a part before them, equal to
    the pixel.

    They are compared as the network sees them, so copies in other formats, with other metadata or
    turned by EXIF are found; of more pictures than are decoded at the start, copies of files alone.
    Raises UserError where they are more than `SHARED` of a part.
    """
    _report_contradictions(where, parts)
    for part, names in _compared(parts):
        before = {
            fingerprint: name
            for earlier in (parts[name] for name in names)
            for fingerprint, name in zip(
                earlier.fingerprints.tolist(), earlier.pictures.names, strict=True
            )
            if fingerprint  # broken pictures have none
        }
        known = np.isin(parts[part].fingerprints, np.fromiter(before, np.uint64, len(before)))
        if known.any():
            _report(where, part, names, parts[part], before, np.flatnonzero(known).tolist())


def _report_contradictions(where: str, parts: Mapping[str, Examples]) -> None:
    """Say where equal pictures have different labels: one of the classes is wrong."""
    first: dict[int, tuple[int, str]] = {}
    pairs = []
    for part in parts.values():
        known = part.fingerprints.tolist(), part.labels.tolist(), part.pictures.names
        for fingerprint, label, name in zip(*known, strict=True):
            if fingerprint:  # broken pictures have none
                other, twin = first.setdefault(fingerprint, (label, name))
                pairs += [f"{name} equals {twin}"] if other != label else []
    if pairs:
        number = count(len(pairs), "picture")
        say(f"{where}: {number} in two classes: {some(pairs, SHOWN, '; ')}")


def _compared(parts: Mapping[str, Examples]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Parts, each with those that must not have its pictures, as far as they are there."""
    for part, names in EARLIER.items():
        before = *names, *map(outlier_part, names)
        for own in (part, outlier_part(part)):
            if own in parts:
                yield own, tuple(name for name in before if name in parts)


def _report(
    where: str,
    part: str,
    names: tuple[str, ...],
    examples: Examples,
    before: Mapping[int, str],
    shared: list[int],
) -> None:
    known = examples.fingerprints.tolist()
    pairs = [f"{examples.pictures.names[one]} equals {before[known[one]]}" for one in shared]
    share = len(shared) / len(examples)
    problem = (
        f"{where}: {len(shared)} of {len(examples)} {part} pictures ({share:.1%}) are in "
        f"{' or '.join(names)}, too: {some(pairs, SHOWN, '; ')}"
    )
    if share > SHARED:
        raise UserError(
            f"{problem}.",
            "Figures on them would be too good. Keep one of each; the recipe that `tflite-light "
            "new FOLDER` writes leaves the others out.",
        )
    say(f"{problem}; figures on {part} may be too good by as much")
