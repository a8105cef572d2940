"""A recipe: one YAML file that says everything a run needs, checked before anything is loaded."""

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, field_validator, model_validator

from tflite_light import classes, own
from tflite_light.compress import Stage, misfit
from tflite_light.contract import Image
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.models import Architecture
from tflite_light.parts import WHERE_IT_IS, OneOf, Part
from tflite_light.pipeline.augment import Augment
from tflite_light.recipe.distil import Distil
from tflite_light.recipe.train import Train
from tflite_light.sockets import SOCKETS, names
from tflite_light.sockets import load as load_part
from tflite_light.weights import Weights
from tflite_light.wording import absent, count, several

SECTIONS = ("model", *SOCKETS[1:])  # where parts stand
TAKEN = ("fit", "classifier", "teacher")  # what a run's report and checkpoints call other things


def rooted(recipe: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An unchecked recipe whose parts outside the package, named relative to `folder`, are found
    from anywhere."""
    return {
        key: own.rooted(value, folder) if key in SECTIONS else value
        for key, value in recipe.items()
    }


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
        description="for an import: text file with a class name a line, in order; relative to "
        "where the command is typed",
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
    distil: Distil | None = Field(None, description="a teacher whose answers are learnt, too")
    compress: list[Annotated[Stage, OneOf("compress")]] = Field(
        [], description="stages after the fit, in order"
    )
    export: list[Annotated[Mode, OneOf("export")]] = Field(
        [{"int8": {}}], min_length=1, validate_default=True, description="the files to write"
    )
    license: str | None = Field(
        None, min_length=1, description="of the files, in their metadata, such as Apache-2.0"
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="of the weights, the order of pictures, the augmentation"
    )

    @field_validator("compress")
    @classmethod
    def _no_stage_twice(cls, stages: list[Stage]) -> list[Stage]:
        if twice := _twice([stage.key for stage in stages]):
            raise ValueError(f"{twice} stands here twice; keep one")
        return stages

    @field_validator("export")
    @classmethod
    def _no_file_twice(cls, modes: list[Mode]) -> list[Mode]:
        for mode in modes:
            if mode.name in names("export"):
                raise ValueError(f"{mode.key}: name: {mode.name} is a mode's; take another")
        if twice := _twice([mode.stem for mode in modes]):
            raise ValueError(
                f"two files would be called {twice}; keep one, or give one of them a `name`"
            )
        return modes

    @field_validator("compress")
    @classmethod
    def _stages_in_order(cls, stages: list[Stage]) -> list[Stage]:
        if problem := misfit(stages):
            orders = (order for order in itertools.permutations(stages) if not misfit(order))
            right = next(orders, None)
            hint = f"; write {', '.join(stage.key for stage in right)}" if right else ""
            raise ValueError(f"cannot run in this order: {problem}{hint}")
        return stages

    @model_validator(mode="after")
    def _own_names_differ(self) -> "Recipe":
        """A run keeps the files side by side, and names phases and files after them."""
        files = [part.file for part in self.parts if part.file]
        if twice := _twice([name for name, _ in {(one.name, one.sha256) for one in files}]):
            raise ValueError(f"two different files are called {twice}; rename one of them")
        if taken := [one.name for one in files if one.path.stem in TAKEN]:
            raise ValueError(f"{taken[0]}: a run calls something else so; rename the file")
        rows = {*TAKEN, *(stage.key for stage in self.compress)}
        if taken := [mode.stem for mode in self.export if self.train and mode.stem in rows]:
            raise ValueError(
                f"export: a run calls a phase {taken[0]}; give the file another `name`"
            )
        return self

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
            if self.train.freeze and not (self.weights or self.model.brings_weights):
                raise ValueError(
                    "train.freeze needs weights: it would keep what was drawn at random"
                )
        else:
            for key in ("compress", "distil"):
                if getattr(self, key):
                    raise ValueError(f"{key} needs train: (train: {{}} takes its defaults)")
            if len(named) > 1:
                raise ValueError("labels and classes both name the classes; keep one")
            if not (named or self.data):
                raise ValueError(
                    "without train it is an import, which needs one of labels: FILE or classes: N "
                    "(or train: {} to train by the defaults)"
                )
        return self

    @model_validator(mode="after")
    def _compares_what_the_teacher_knows(self) -> "Recipe":
        if not (self.train and self.distil):
            return self
        dist = self.distil.loss == "dist"
        if (where := self._outliers) and (dist or self.distil.features):
            key, way, hint = (
                ("loss", "dist", "distil.loss to kd") if dist else ("features", "it", "it to 0")
            )
            raise ValueError(
                f"distil.{key}: {way} compares the pictures of a batch, and {where} adds some "
                f"that the teacher does not know; set {hint}"
            )
        if dist and self.train.batch_size < 2:
            raise ValueError(
                "distil.loss: dist compares the pictures of a batch; set train.batch_size to 2 or "
                "more"
            )
        return self

    @model_validator(mode="after")
    def _files_keep_promises(self) -> "Recipe":
        """After `qat` a file takes the model's own rounding, as a rule."""
        quantised = any(stage.yields == "quantised" for stage in self.compress)
        for mode in self.export:
            if quantised and mode.idle_after_qat:
                raise ValueError(f"{mode.idle_after_qat}; leave it out")
        fitting = [mode for mode in self.export if not (quantised and mode.takes_trained_ranges)]
        for stage, mode in itertools.product(self.compress, fitting):
            if lost := sorted(stage.gives & mode.loses.keys()):
                raise ValueError(
                    f"export.{mode.key}: {mode.loses[lost[0]]} would not keep the {lost[0]} of "
                    f"compress.{stage.key}; leave out one of them"
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

    @model_validator(mode="after")
    def _image_of_the_weights(self) -> "Recipe":
        """What is known of the weights' pictures stands where the recipe says nothing else."""
        known = self.weights.fills(self.model) if self.weights else {}
        if self.image.resize == "stretch":
            known.pop("crop", None)
        if known.keys() <= self.image.model_fields_set:
            return self
        written = self.image.model_dump(exclude_unset=True)
        return self.model_copy(update={"image": Image.model_validate(known | written)})

    @property
    def parts(self) -> list[Part]:
        """All that stand in it."""
        one = [self.model, self.data, self.weights]
        return [*filter(None, one), *self.compress, *self.export]

    @property
    def own_files(self) -> dict[str, own.OwnFile]:
        """The files of its parts outside the package, by their names."""
        return {part.file.name: part.file for part in self.parts if part.file}

    def shown(self) -> dict[str, Any]:
        """As JSON, parts outside the package by their paths."""
        return self.model_dump(mode="json", context=WHERE_IT_IS)

    @property
    def _outliers(self) -> str | None:
        """What brings pictures of no class into the training, if anything does."""
        if self.data and self.data.outliers:
            return f"data.{self.data.key}.outliers"
        return "train.made_outliers" if self.train and self.train.made_outliers else None

    @property
    def learns_outliers(self) -> bool:
        return self._outliers is not None

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

    def absolute(self) -> "Recipe":
        """The same recipe, whose data, network, weights and teacher are found from any folder."""
        update: dict[str, Any] = {"data": self.data.absolute() if self.data else None}
        for section in ("model", "weights"):
            part = getattr(self, section)
            if path := getattr(part, "path", None):
                moved = {"path": str(Path(path).absolute())}
                update[section] = part.model_copy(update=moved)
        if self.distil:
            moved = {"teacher": str(Path(self.distil.teacher).absolute())}
            update["distil"] = self.distil.model_copy(update=moved)
        return self.model_copy(update=update)

    def absent(self) -> list[str]:
        """Files and folders that the recipe names and that do not exist, each with its place."""
        named = {"labels": self.labels}
        if self.distil:
            named["distil.teacher"] = self.distil.teacher
        for section in ("model", "weights"):
            part = getattr(self, section)
            named[f"{section}.{part.key}.path" if part else section] = getattr(part, "path", None)
        found = {place: path for place, path in named.items() if path and not os.path.exists(path)}
        if self.data:
            found |= {
                f"data.{self.data.key}.{key}": path for key, path in self.data.absent().items()
            }
        return [f"{place}: {absent(path)}" for place, path in found.items()]

    def remarks(self) -> list[str]:
        """What the recipe says and does in part alone, for a person."""
        if not (train := self.train):
            return []
        found = []
        rounded = " and ".join(one.key for one in self.compress if one.yields == "quantised")
        if train.precision != "float32" and rounded:
            found.append(f"{rounded} trains in float32; train.precision is of other phases")
        if rounded and not any(mode.accepts_qat_model for mode in self.export):
            found.append(
                f"export: none of these files is made of what {rounded} trains, and its last "
                "epoch stays, not its best; add int8"
            )
        if train.warmup_epochs >= train.epochs:
            found.append(
                f"train.warmup_epochs: the rate rises for {train.warmup_epochs:g} of "
                f"{count(train.epochs, 'epoch')}, and never reaches {train.learning_rate:g}"
            )
        return found

    def class_names(self) -> list[str]:
        """The classes in the order of the logits. Raises UserError when a file cannot be read."""
        if self.classes:
            return [str(number) for number in range(self.classes)]
        names = classes.read(Path(self.labels)) if self.labels else self.source.classes()
        if len(names) < 2:
            raise UserError(
                f"{self.labels or self.source.where} names {len(names)} classes, but a classifier "
                "needs two.",
                "Give `labels:` a file with a class name a line, or `classes:` their number.",
            )
        classes.require_printable(self.labels or self.source.where, names)
        return names

    def modes(self, keys: str | Sequence[str]) -> list[Mode]:
        """Of these keys, as the recipe has them or by default; without keys, the recipe's own.

        Raises UserError where a key is no mode's.
        """
        keys, known = several(keys), [*names("export"), *(mode.key for mode in self.export)]
        if strange := [key for key in keys if key not in known]:
            raise UserError(
                f"there is no mode {strange[0]}.", f"They are {', '.join(dict.fromkeys(known))}."
            )
        mine = {key: [mode for mode in self.export if mode.key == key] for key in keys}
        every = [mode for key in keys for mode in mine[key] or [load_part("export", key)()]]
        return every or self.export

    def possible_modes(self) -> list[Mode]:
        """All that a run of it may have files of: each kind's own or by default."""
        return self.modes(sorted({*names("export"), *(mode.key for mode in self.export)}))


def _twice(names: Sequence[str]) -> str | None:
    """The first name that occurs more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
