"""What makes a division into train, val and test unfit for training."""

import itertools
import unicodedata
from collections import Counter
from collections.abc import Set

from tflite_light.classes import require_printable
from tflite_light.data import Given
from tflite_light.data._split import FEWEST
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures, Split
from tflite_light.progress import say
from tflite_light.wording import count, some


def require_usable(
    where: str, classes: list[str], parts: dict[Split, Pictures], given: Set[Given]
) -> None:
    """Raises UserError where a class cannot be trained or measured; `given` are the parts into
    which the pictures came divided.
    """
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none: these pictures have no labels"
        raise UserError(
            f"{where}: at least two classes are needed, found {found}.",
            "Give pictures of two classes or more.",
        )
    require_printable(where, classes)
    _require_labelled(where, classes, parts)
    _require_filled(where, parts, given)
    _require_enough(where, classes, parts, given)
    if not len(parts["val"]):
        raise UserError(
            f"{where}: no picture for val.", "Add pictures, or give some to val yourself."
        )


def _require_labelled(where: str, classes: list[str], parts: dict[Split, Pictures]) -> None:
    """Raises UserError where a picture is of no class; says where two classes are written alike."""
    odd = [
        f"{name} ({label})"
        for part in parts.values()
        for name, label in zip(part.names, part.labels, strict=True)
        if not 0 <= label < len(classes)
    ]
    if odd:
        raise UserError(
            f"{where}: {count(len(odd), 'picture')} without one of the {len(classes)} classes: "
            f"{some(odd, 3, '; ')}.",
            "Leave them out; labels count from 0.",
        )
    first: dict[str, str] = {}
    for name in classes:
        twin = first.setdefault(_seen(name), name)
        if twin != name:
            say(f"{where}: {twin!r} and {name!r} are two classes")


def _seen(name: str) -> str:
    """A name without what people overlook: case, blanks around it, signs that take no room."""
    shown = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
    return shown.casefold().strip()


def require_outliers(where: str, parts: dict[Split, Pictures]) -> None:
    """Raises UserError where there are none to learn, or to measure; val needs none."""
    if lacking := [name for name, part in parts.items() if not len(part) and name != "val"]:
        raise UserError(
            f"{where}: of {sum(map(len, parts.values()))} outliers none fell to {lacking[0]}.",
            "Twenty or more are enough; or sort them into train, val and test yourself.",
        )


def require_disjoint(where: str, parts: dict[Split, Pictures]) -> None:
    """Raises UserError where two parts, with their outliers, have a picture, or pictures of a
    group."""
    for one, other in itertools.combinations(SPLITS, 2):
        for kind in ("names", "groups"):
            both = set(getattr(parts[one], kind) or ()) & set(getattr(parts[other], kind) or ())
            if both:
                what = f"{kind.removesuffix('s')} " if kind == "groups" else ""
                raise UserError(
                    f"{where}: {what}{some(sorted(both), 3)} is in both {one} and {other}.",
                    "Keep it in one.",
                )


def _require_filled(where: str, parts: dict[Split, Pictures], given: Set[Given]) -> None:
    """Raises UserError where a given part has no pictures. A val without a test is measured on, and
    another val divided from train."""
    alone = "val" in given and "test" not in given
    for part in SPLITS:
        name = "val" if alone and part == "test" else part
        if name in given and not (alone and part == "val") and not len(parts[part]):
            raise UserError(f"{where} has no picture in {name}.", "Put some of each class there.")


def _require_enough(
    where: str, classes: list[str], parts: dict[Split, Pictures], given: Set[Given]
) -> None:
    """Raises UserError where a class has too few pictures, or none to train or to measure on."""
    counts = {name: Counter(parts[name].labels) for name in SPLITS}
    for label, class_name in enumerate(classes):
        total = sum(counts[name][label] for name in SPLITS)
        missing = [name for name in ("train", "test") if not counts[name][label]]
        lack = " and ".join(missing or ["val"])
        if total and given & {*missing}:
            raise UserError(
                f"{where}: class {class_name!r} has {count(total, 'picture')}, none of them in "
                f"{lack}.",
                f"Sort some into {lack}, or leave the class out of the other parts.",
            )
        if total < FEWEST or missing:
            groups = _groups(parts, label)
            of = f" of {count(groups, 'group')}" if groups else ""
            raise UserError(
                f"{where}: class {class_name!r} has {count(total, 'picture')}{of}, too few to "
                f"split: none for {lack}.",
                f"A class needs {FEWEST} pictures that differ, 20 or more are better"
                f"{', of two groups or more' if groups else ''}. Add some, or sort them into "
                "train, val and test yourself.",
            )


def _groups(parts: dict[Split, Pictures], label: int) -> int:
    """How many groups the pictures of a class are of; 0 where none are known."""
    return len(
        {
            group
            for part in parts.values()
            for group, mine in zip(part.groups or (), part.labels, strict=False)
            if mine == label
        }
    )
