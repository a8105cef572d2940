"""What a run was started on, as its data.json has it, and what does not fit that any more.

A recipe or data that was changed since would give files whose labels or pixels are not those of the
training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflite_light import files
from tflite_light.classes import difference
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.pipeline.examples import Examples
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs.record import checksums, counts

_ANOTHER = "Restore them, train again, or name the pictures to use with `--data`."


@dataclass(frozen=True)
class Origin:
    """Of the run in `folder`: class names in the order of the logits; a digest of the pictures'
    listing, their number by part, and digests of what each part's held, by which `checksums`;
    digests of the teacher's weights and of those that it started from, where it has them."""

    folder: Path
    classes: list[str]
    digest: str
    pictures: dict[str, int]
    contents: dict[str, str]
    checksums: str | None
    teacher: str | None
    weights: str | None

    @classmethod
    def read(cls, folder: Path) -> "Origin":
        """Raises UserError where the run does not record it, or it is damaged."""
        path = folder / "data.json"
        if not path.exists():
            raise UserError(
                f"{folder} does not record its classes: an earlier version made it.",
                "Train its recipe again, or export it with that version.",
            )
        found = files.read_json(path)
        kinds = {"classes": list, "digest": str, "contents": dict, "pictures": dict}
        if not isinstance(found, dict) or not all(
            isinstance(found.get(key), kind) for key, kind in kinds.items()
        ):
            raise UserError(f"{path} is damaged.", "Restore it, or train again.")
        kept = {key: found[key] for key in kinds}
        later: dict[str, Any] = {key: found.get(key) for key in ("checksums", "teacher", "weights")}
        return cls(folder, **kept, **later)

    def has_same_data(self, source: Source) -> bool:
        """Whether the pictures and their parts are those that the run was started on."""
        try:
            return bool(source.listing_digest() == self.digest)
        except UserError:  # pictures to measure on alone, which cannot be divided for a training
            return False

    def require_same_data(self, recipe: Recipe) -> None:
        """Raises UserError where the pictures are not those that the run was started on."""
        if gone := [line for line in recipe.absent() if line.startswith("data.")]:
            raise UserError(
                f"{self.folder}: {gone[0]}.", "Name where the pictures are now with `--data`."
            )
        self.require_same_classes(recipe)
        if self.has_same_data(recipe.source):
            return
        now = counts(recipe)
        changes = "; ".join(
            f"{name} {self.pictures.get(name)} then, {now[name]} now" for name in now
        )
        if now == self.pictures:
            changes = "as many, but some have another name, size or class"
        raise UserError(
            f"{recipe.source.where} has other pictures than {self.folder} was trained on: "
            f"{changes}.",
            _ANOTHER,
        )

    def require_same_contents(self, parts: Mapping[str, Examples], recipe: Recipe) -> None:
        """Raises UserError where pictures, by now seen, hold other bytes than in the training."""
        if self.checksums != checksums(parts):
            say(f"{self.folder}: an earlier version made it; pictures go by name and size")
            return
        changed = [name for name in parts if parts[name].digest() != self.contents.get(name)]
        if changed:
            raise UserError(
                f"{recipe.source.where}: {' and '.join(changed)} pictures hold other bytes than "
                f"{self.folder} was trained on, or come in another order.",
                _ANOTHER,
            )

    def require_same_teacher(self, digest: str | None, recipe: Recipe) -> None:
        """Raises UserError where the teacher is not the one that the run was started with."""
        if digest != self.teacher:
            assert recipe.distil
            raise UserError(
                f"distil.teacher: {recipe.distil.teacher} has other weights, or another image, "
                f"than when {self.folder} was started.",
                "Restore it, or train again.",
            )

    def require_same_weights(self, recipe: Recipe) -> None:
        """Raises UserError where the weights to start from are not those of its start."""
        if not recipe.weights or not self.weights:  # an earlier version noted none
            return
        if recipe.weights.digest(recipe.model) != self.weights:
            raise UserError(
                f"weights {recipe.weights.source} are not those that {self.folder} was started "
                "with, which it needs until its first epoch is finished.",
                "Restore them, or train again.",
            )

    def require_same_classes(self, recipe: Recipe) -> None:
        """Raises UserError where the data's classes are not the run's, or in another order."""
        if changes := difference(self.classes, recipe.source.classes()):
            raise UserError(
                f"{recipe.source.where} has other classes than {self.folder} was trained on: "
                f"{changes}.",
                "Give the class folders their former names, or train again.",
            )
