"""The teacher of a distillation: a finished model that answers to its student's inputs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tflite_light import contract
from tflite_light import recipe as recipes
from tflite_light.classes import difference, plain
from tflite_light.contract import Image
from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.measure.predict import opened
from tflite_light.measure.runners import KerasModel, Runner, finite
from tflite_light.pipeline.preprocess import Floats, translated
from tflite_light.progress import say
from tflite_light.recipe import Recipe
from tflite_light.runs import chain, importing
from tflite_light.runs.folder import open_run, require_finished
from tflite_light.stack import keras
from tflite_light.training.features import Maps, feature_maps
from tflite_light.wording import absent

ROW = "teacher"  # its name in a run's report
_KINDS = "Give the folder of a finished run, an import's recipe (.yaml) or an exported .tflite."


@dataclass(frozen=True)
class Teacher:
    """A model with the contract of its own inputs; `student` is that of those it is asked by."""

    path: Path
    runner: Runner
    image: Image
    classes: list[str]
    digest: str  # SHA-256, in hex, of its weights and preprocessing
    student: Image
    maps: Maps | None = None  # where the recipe has them learnt

    @property
    def traces(self) -> bool:
        return self.runner.traces

    def logits(self, batches: Iterable[Floats]) -> Floats:
        """The student's inputs [n, size, size, 3], in batches -> logits [sum of n, classes]."""
        return self.runner.logits(translated(one, self.student, self.image) for one in batches)


def open_teacher(recipe: Recipe, classes: list[str]) -> Teacher | None:
    """The recipe's teacher of these classes; None where it names none.

    Raises UserError where it cannot be used, or knows other classes or another order of them.
    """
    if not recipe.distil:
        return None
    path = Path(recipe.distil.teacher)
    if not path.exists():
        raise UserError(f"distil.teacher: {absent(path)}.", _KINDS)
    try:
        teacher = replace(_open(path), student=recipe.image)
    except UserError as error:
        raise UserError(f"distil.teacher: {error.problem}", error.hint) from error
    _require_same_classes(teacher, classes)
    if weight := recipe.distil.features:
        teacher = replace(teacher, maps=_maps(teacher, weight))
    _remark(teacher)
    return teacher


def _maps(teacher: Teacher, weight: float) -> Maps:
    """Its feature maps, to be learnt at this weight. Raises UserError where it has none, or is a
    file."""
    model = teacher.runner.model if isinstance(teacher.runner, KerasModel) else None
    found = feature_maps(model) if model else {}
    if not model or not found:
        raise UserError(
            f"distil.features: {teacher.path} has no feature maps that could be read.",
            "Name the run or the recipe of a convolutional network; or leave features out.",
        )
    watched = keras.Model(model.input, [*model.outputs, *found.values()])

    def ask(inputs: Floats) -> list[Floats]:
        logits, *maps = watched.predict_on_batch(translated(inputs, teacher.student, teacher.image))
        return [finite(logits), *maps]

    shapes = {halvings: tuple(one.shape[1:]) for halvings, one in found.items()}
    return Maps(ask, shapes, weight)


def _open(path: Path) -> Teacher:
    if path.is_dir():
        return _of_run(path)
    match path.suffix:
        case ".yaml" | ".yml":
            return _of_recipe(path)
        case ".tflite":
            return _of_file(path)
    raise UserError(f"{path} is neither run, recipe nor .tflite.", _KINDS)


def _of_run(path: Path) -> Teacher:
    run = open_run(path)
    require_finished(run)
    return _of_model(path, chain.fitted(run), run.recipe.image, run.classes)


def _of_recipe(path: Path) -> Teacher:
    recipe = recipes.load(path)
    if recipe.train:
        raise UserError(
            f"{path} has train:, so it is no finished model.",
            f"Train it first, `tflite-light train {path}`, and give the folder of its run.",
        )
    if not (recipe.weights or recipe.model.brings_weights):
        raise UserError(
            f"{path} names no weights, so it would be drawn at random.",
            "Give it `weights:`.",
        )
    labels = recipe.class_names()
    return _of_model(path, importing.network(recipe, labels), recipe.image, labels)


def _of_file(path: Path) -> Teacher:
    model, agreed = opened(path)
    if agreed.output_is == "probabilities":  # softened as logits, all classes would be near alike
        raise UserError(
            f"{path} answers with probabilities, and a teacher needs logits.",
            "Give the file of the network without its softmax, or the run or recipe it is of.",
        )
    say(f"teacher {path}: a .tflite answers picture by picture, slower than a run would")
    digest = contract.sha256(path.read_bytes())
    return Teacher(path, model, agreed.image, agreed.labels, digest, agreed.image)


def _of_model(path: Path, model: Any, image: Image, classes: list[str]) -> Teacher:
    by = image.model_dump_json().encode()  # which it is asked
    digest = checkpoint.digest(checkpoint.weights_of(model), by)
    return Teacher(path, KerasModel(model), image, classes, digest, image)


def _require_same_classes(teacher: Teacher, classes: list[str]) -> None:
    if changes := difference(classes, [plain(name) for name in teacher.classes]):
        raise UserError(
            f"distil.teacher: {teacher.path} knows other classes than the data has: {changes}.",
            "It needs the data's classes in the data's order: train a teacher on this data.",
        )


def _remark(teacher: Teacher) -> None:
    """Say what of the teacher's own preprocessing the student's views do not have."""
    own, given = teacher.image, teacher.student
    if own.size != given.size:
        say(f"teacher {teacher.path}: pictures of {given.size} px are resized to {own.size} px")
    fields = ("resize", "crop", "filter")
    odd = [name for name in fields if getattr(own, name) != getattr(given, name)]
    if odd:
        there = ", ".join(f"{name}: {getattr(own, name)}" for name in odd)
        say(f"teacher {teacher.path} was trained with {there}; it sees the student's pictures")
