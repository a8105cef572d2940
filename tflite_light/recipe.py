"""A recipe: one YAML file that says everything a run needs, checked before anything is loaded."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tflite_light import files
from tflite_light.compress import ORDER, Stage
from tflite_light.contract import Image
from tflite_light.data import Source
from tflite_light.data._augment import Augment
from tflite_light.data._split import require_printable
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.models import Architecture
from tflite_light.settings import Train
from tflite_light.sockets import OneOf, Part
from tflite_light.sockets import load as load_part
from tflite_light.weights import Weights

ALONE = ("model", "data", "weights")  # keys with one part below them


class Recipe(Part):
    """What to train, on which pictures, how, and which files come out.

    Without `train` it is an import: a network whose weights come from elsewhere and is exported.
    """

    model: Annotated[Architecture, OneOf("models")] = Field(description="the architecture")
    data: Annotated[Source, OneOf("data")] | None = Field(
        None, description="pictures; an import is calibrated and compared on them"
    )
    labels: str | None = Field(
        None,
        min_length=1,
        description="for an import: text file with a class name a line, in order",
    )
    classes: int | None = Field(
        None, ge=2, le=100_000, description="for an import: number of classes, named 0, 1, 2 ..."
    )
    weights: Annotated[Weights, OneOf("weights")] | None = Field(
        None, description="what the fit starts from; default: drawn from the seed"
    )
    image: Image = Field(Image(), description="from a picture to the input: the contract")
    augment: Augment = Field(Augment(), description="what training alone does to pictures")
    train: Train | None = Field(None, description="how it is fitted; without it, an import")
    compress: list[Annotated[Stage, OneOf("compress")]] = Field(
        [], description="stages after the fit, in order"
    )
    export: list[Annotated[Mode, OneOf("export")]] = Field(
        [{"int8": {}}], min_length=1, validate_default=True, description="the files to write"
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="of the weights, the order of pictures, the augmentation"
    )

    @field_validator("compress", "export")
    @classmethod
    def _no_part_twice(cls, parts: list[Part]) -> list[Part]:
        twice = [key for key, count in Counter(part.key for part in parts).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} stands here twice; keep one")
        return parts

    @field_validator("compress")
    @classmethod
    def _stages_in_order(cls, stages: list[Stage]) -> list[Stage]:
        keys = [stage.key for stage in stages]
        if keys != sorted(keys, key=ORDER.index):
            right = ", ".join(sorted(keys, key=ORDER.index))
            raise ValueError(f"{', '.join(keys)} cannot run in this order; write {right}")
        return stages

    @model_validator(mode="after")
    def _trains_or_imports(self) -> "Recipe":
        named = [key for key in ("labels", "classes") if getattr(self, key) is not None]
        if self.train:
            if not self.data:
                raise ValueError("train needs data: the pictures to train on")
            if named:
                raise ValueError(
                    f"{named[0]} is for imports; with train, the data names the classes"
                )
            if self.train.freeze and not self.weights:
                raise ValueError(
                    "train.freeze needs weights: it would keep what was drawn at random"
                )
        else:
            if self.compress:
                raise ValueError("compress needs train: (train: {} takes its defaults)")
            if len(named) > 1:
                raise ValueError("labels and classes both name the classes; keep one")
            if not (named or self.data):
                raise ValueError(
                    "without train it is an import, which needs one of labels: FILE or classes: N "
                    "(or train: {} to train by the defaults)"
                )
        return self

    @model_validator(mode="after")
    def _variant_of_the_weights(self) -> "Recipe":
        """PyTorch's weights want PyTorch's padding, unless the recipe says otherwise."""
        variant = self.weights.variant if self.weights else None
        field = type(self.model).model_fields.get("variant")
        choices = get_args(field.annotation) if field else ()
        if variant not in choices or "variant" in self.model.model_fields_set:
            return self
        model = self.model.model_copy(update={"variant": variant})
        return self.model_copy(update={"model": model})

    @property
    def training(self) -> Train:
        """`train` of a recipe that is no import."""
        assert self.train
        return self.train

    @property
    def source(self) -> Source:
        """`data` of a recipe that is no import, or that names the classes of one."""
        assert self.data
        return self.data

    def class_names(self) -> list[str]:
        """The classes in the order of the logits. Raises UserError when a file cannot be read."""
        if self.classes:
            return [str(number) for number in range(self.classes)]
        names = files.read_lines(Path(self.labels)) if self.labels else self.source.classes()
        if len(names) < 2:
            raise UserError(
                f"{self.labels or self.source.where} names {len(names)} classes, but a classifier "
                "needs two. Give labels: a file with a class name a line, or classes: their number."
            )
        require_printable(self.labels or self.source.where, names)
        return names

    def modes(self, keys: Sequence[str]) -> list[Mode]:
        """Of these keys, as the recipe has them or by default; without keys, the recipe's own."""
        mine = {mode.key: mode for mode in self.export}
        return [mine.get(key) or load_part("export", key)() for key in keys] or self.export  # type: ignore[misc]


def load(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe, after `place.to.field=value` changes.

    Raises UserError that names every mistake with its place.
    """
    value = _read(path)
    for change in changes:
        _apply(value, change)
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        mistakes = [
            f"{_place(line['loc'])}: {line['msg'].removeprefix('Value error, ')}"
            for line in error.errors()
        ]
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise UserError("\n  ".join([f"{path} has {count}:", *mistakes])) from error


def to_yaml(recipe: Recipe) -> str:
    """The recipe with every default written out; loads back equal."""
    yaml: Any = YAML(typ="safe", pure=True)
    text = io.StringIO()
    yaml.sort_base_mapping_type_on_output = False  # in the order of the fields
    yaml.dump(recipe.model_dump(mode="json"), text)
    return text.getvalue()


def _read(path: Path) -> dict[str, Any]:
    try:
        value = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"recipe {path} does not exist. Give the path of a .yaml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read: {error}.") from error
    except YAMLError as error:
        raise UserError(f"recipe {path} is not YAML: {_one_line(error)}") from error
    except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
        raise UserError(f"recipe {path} cannot be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"holds a {type(value).__name__}"
        raise UserError(
            f"recipe {path} {found}. It needs at least the keys model:, data: and train:."
        )
    return value


def _one_line(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error).splitlines()[0]


def _place(loc: tuple[int | str, ...]) -> str:
    """As it is in YAML: without pydantic's own name for a kind of schedule."""
    return ".".join(str(step) for step in loc if step != "stairs") or "recipe"


def _apply(recipe: dict[str, Any], change: str) -> None:
    """Set a value in the unchecked recipe; a part named in the place replaces another there."""
    place, equals, text = change.partition("=")
    steps = place.split(".")
    if not equals or not all(steps):
        raise UserError(f"--set {change!r}: write PLACE=VALUE, for example train.epochs=5.")
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (ValueError, RecursionError, YAMLError):
        raise UserError(f"--set {change!r}: {text} is not YAML; put it in quotes.") from None
    try:
        holder: Any = recipe
        for depth, step in enumerate(steps[:-1]):
            holder = _enter(holder, step, alone=depth == 1 and steps[0] in ALONE)
        holder[int(steps[-1]) if isinstance(holder, list) else steps[-1]] = value
    except (ValueError, IndexError, TypeError):
        raise UserError(f"--set {change!r}: {place} is not a place in this recipe.") from None


def _enter(holder: Any, step: str, alone: bool) -> Any:
    if isinstance(holder, list):
        index = int(step)
        holder[index] = _opened(holder[index], is_part=True)
        return holder[index]
    if alone and step not in holder:
        holder.clear()
    holder[step] = _opened(holder.get(step), is_part=step in ALONE)
    return holder[step]


def _opened(value: Any, is_part: bool) -> Any:
    if isinstance(value, str):
        return {value: {}} if is_part else {}
    return {} if value is None else value
