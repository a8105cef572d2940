"""What a run was made by: its recipe, data, versions and machine, written when it is started."""

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tflite_light import __version__, files
from tflite_light import recipe as recipes
from tflite_light.errors import UserError
from tflite_light.pipeline.examples import Examples
from tflite_light.pipeline.pictures import SPLITS
from tflite_light.recipe import Recipe
from tflite_light.stack import tf

PACKAGES = (
    "tf_keras",
    "tensorflow-model-optimization",
    "keras-cv",
    "ai-edge-litert",
    "numpy",
    "pillow",
)

_CHECKSUMS = "ends, middle and size"  # of what in each picture; earlier versions read others
_OF_INDEX = "records, by their index"


def checksums(parts: Mapping[str, Examples]) -> str:
    """Of what in each picture digests are made; earlier versions read others."""
    known = any(part.pictures.checksums for part in parts.values())
    return _OF_INDEX if known else _CHECKSUMS


def papers(
    recipe: Recipe, parts: Mapping[str, Examples], teacher: str | None, weights: str | None
) -> dict[str, bytes | str]:
    """The files that say what a run is made by, the one by which it is known to be one last.

    `recipe` is as it was typed, `parts` its data, `teacher` a digest of its teacher's weights,
    `weights` of those that it starts from.
    """
    resolved = recipe.absolute()
    data = {
        "classes": recipe.source.classes(),
        "digest": recipe.source.listing_digest(),
        "checksums": checksums(parts),
        "contents": {name: part.digest() for name, part in parts.items()},
        "pictures": counts(recipe),
        "teacher": teacher,
        "weights": weights,
    }
    return {
        **{name: file.content for name, file in recipe.own_files.items()},
        "recipe.yaml": recipes.to_yaml(resolved, beside=True),
        "data.json": files.json_of(data),
        "environment.json": files.json_of(_environment(resolved)),
    }


def environment(folder: Path) -> dict[str, Any]:
    """What the run in `folder` was made with. Raises UserError where that is not known."""
    path = folder / "environment.json"
    found = files.read_json(path)
    known = found if isinstance(found, dict) else {}
    kinds = {"started": str, "tflite_light": str, "python": str, "seed": int}
    kinds |= {"packages": dict, "machine": dict}
    odd = [key for key, kind in kinds.items() if not isinstance(known.get(key), kind)]
    if odd:
        raise UserError(f"{path} lacks {' and '.join(odd)}.", "Restore it, or train again.")
    return known


def require_unchanged(folder: Path, recipe: Recipe) -> None:
    """Raises UserError where the run in `folder` was started with another recipe."""
    if not (folder / "environment.json").exists():
        return  # the checkpoints still say what they are of
    then = files.read_json(folder / "environment.json")
    if not isinstance(then, dict) or "recipe" not in then:
        return
    if changed := changed_files(then.get("parts"), recipe):
        raise UserError(
            f"{folder} was begun with another {changed}.", "Restore it, or train again."
        )
    changes = differences(completed(then["recipe"], folder), recipe.model_dump(mode="json"))
    if changes:
        places = tuple(f"data.{recipe.source.key}.{name} was " for name in recipe.source.locations)
        moved = all(change.startswith(places) for change in changes)
        raise UserError(
            f"{folder / 'recipe.yaml'} was changed since the run began: {'; '.join(changes)}.",
            "Restore it, and name where the pictures are now with `--data`."
            if moved
            else "Restore it, or train again.",
        )


def completed(recorded: Any, folder: Path) -> Any:
    """A recipe as the run in `folder` recorded it, with the keys that came since at their
    defaults."""
    try:
        found = json.dumps(recipes.rooted(recorded, folder))
        return Recipe.model_validate_json(found).model_dump(mode="json")
    except (ValueError, AttributeError):  # of another time, or damaged: compared as it is
        return recorded


def own_digests(recipe: Recipe) -> dict[str, str]:
    """SHA-256, in hex, of each file of a part outside the package, and of a saved network."""
    own = {name: file.sha256 for name, file in recipe.own_files.items()}
    return own | recipe.model.digests()


def changed_files(recorded: Any, recipe: Recipe) -> str:
    """Which of a recipe's own files are not as recorded, with both digests; nothing where all are.

    Names that one side lacks are differences of the recipes.
    """
    known = recorded if isinstance(recorded, dict) else {}
    return ", ".join(
        f"{name} (SHA-256 {known[name]} then, {now} now)"
        for name, now in own_digests(recipe).items()
        if known.get(name, now) != now
    )


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Places at which two recipes differ, as `--set` writes them, with both values."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        below = f"{place}." if place else ""
        return [line for key in one for line in differences(one[key], other[key], f"{below}{key}")]
    return [] if one == other else [f"{place} was {one!r} and is {other!r}"]


def counts(recipe: Recipe) -> dict[str, int]:
    return {name: len(recipe.source.split(name)) for name in SPLITS}


def _environment(recipe: Recipe) -> dict[str, Any]:
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "seed": recipe.seed,
        "python": sys.version.split()[0],
        "tflite_light": __version__,
        "packages": {
            "tensorflow": tf.__version__,  # which may be installed as tensorflow-cpu, say
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "machine": {
            "system": platform.platform(),
            "cpu": platform.machine(),
            "cores": os.cpu_count(),
        },
        "recipe": recipe.model_dump(mode="json"),
        "parts": own_digests(recipe),
    }
