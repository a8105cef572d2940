"""TensorFlow Datasets that are prepared on this machine; needs the extra `tflite-light[tfds]`."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from tflite_light.classes import distinct
from tflite_light.data import Given, IsLocation, Scan, Source
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures
from tflite_light.pipeline.walk import SKIP_BROKEN
from tflite_light.wording import first_line, some


class TFDS(Source):
    """A dataset with the features `image` and `label`, in the parts of splits that are named."""

    name: str = Field(description="such as imagenet2012 or tf_flowers:3.0.1")
    data_dir: Annotated[str | None, IsLocation] = Field(
        None, description="where datasets are prepared; default ~/tensorflow_datasets"
    )
    train: str = Field("train[:90%]", description="split to train on")
    val: str = Field("train[90%:]", description="split to choose by")
    test: str = Field("test", description="split to measure on; `validation` for ImageNet")
    skip_broken: bool = Field(False, description=SKIP_BROKEN)

    @classmethod
    def example(cls, folder: Path) -> Self:
        _prepare_example(folder)
        parts: dict[str, Any] = {"train": "train[:70%]", "val": "train[70%:]"}
        return cls(name="three_signs", data_dir=str(folder / "tfds"), **parts)

    def absent(self) -> dict[str, str]:
        return {}  # where a data set is not prepared yet, it is

    def takes(self, path: Path) -> bool:
        """A folder where it is prepared; or it would be prepared among a user's pictures."""
        return not path.exists() or (path / self.name.partition(":")[0].partition("/")[0]).is_dir()

    def _names(self) -> list[str]:
        return _names(self, _builder(self, prepared=False))

    def scan(self) -> Scan:
        builder = _builder(self, prepared=True)
        parts: dict[Given, Pictures] = {
            name: _pictures(builder, getattr(self, name)) for name in SPLITS
        }
        return _names(self, builder), parts


def _names(source: TFDS, builder: Any) -> list[str]:
    return distinct(source.where, list(builder.info.features["label"].names))


def _builder(source: TFDS, prepared: bool) -> Any:
    try:
        import tensorflow_datasets
    except ImportError:
        raise UserError(
            "data.tfds needs TensorFlow Datasets.", "`pip install 'tflite-light[tfds]'`"
        ) from None
    try:
        builder = tensorflow_datasets.builder(source.name, data_dir=source.data_dir, try_gcs=False)
        if prepared:
            builder.download_and_prepare()
    except Exception as error:  # its registry, downloads and builders raise whatever they like
        raise UserError(
            f"dataset {source.name} cannot be prepared: {first_line(error)}.", "See data.tfds.name."
        ) from error
    features = dict(builder.info.features or {})
    if "image" not in features or not hasattr(features.get("label"), "names"):
        raise UserError(
            f"dataset {source.name} has no picture `image` with a class `label`; it has "
            f"{some([*features]) or 'nothing'}.",
            "Choose a set for image classification.",
        )
    return builder


def _pictures(builder: Any, split: str) -> Pictures:
    """Encoded pictures, held in memory: TFDS reads its files in sequence only."""
    import tensorflow_datasets

    try:
        dataset = builder.as_dataset(
            split=split, decoders={"image": tensorflow_datasets.decode.SkipDecoding()}
        )
    except (ValueError, AssertionError) as error:
        known = ", ".join(builder.info.splits)
        raise UserError(
            f"dataset {builder.name} has no split {split!r}; it has {known}.",
            "Set data.tfds.train, val and test to these or to slices of them.",
        ) from error
    records = [(record["image"], int(record["label"])) for record in dataset.as_numpy_iterator()]
    names = [f"{builder.name} {split} picture {number}" for number in range(len(records))]
    return Pictures(names, [label for _, label in records], lambda index: records[index][0])


def _prepare_example(folder: Path) -> None:
    """Prepare photographs of three classes as a data set of parts train and test."""
    import tensorflow_datasets

    from tflite_light.data._examples import CLASSES, write_photographs

    paths = sorted(write_photographs(folder / "photos").rglob("*.jpg"))
    names = [f"sign{label}" for label in range(CLASSES)]
    features = {
        "image": tensorflow_datasets.features.Image(encoding_format="jpeg"),
        "label": tensorflow_datasets.features.ClassLabel(names=names),
    }

    class Builder(tensorflow_datasets.core.GeneratorBasedBuilder):  # type: ignore[misc]
        __module__ = "three_signs"  # TFDS looks for the code of a package's, by a package it lacks
        name = "three_signs"
        VERSION = tensorflow_datasets.core.Version("1.0.0")
        pkg_dir_path = folder

        def _info(self) -> Any:
            described = tensorflow_datasets.features.FeaturesDict(features)
            return tensorflow_datasets.core.DatasetInfo(builder=self, features=described)

        def _split_generators(self, manager: Any) -> Any:
            return {"train": self._pairs(0, 1, 2, 3), "test": self._pairs(4)}

        def _generate_examples(self, pairs: Any) -> Any:
            return pairs

        def _pairs(self, *turns: int) -> Any:
            for number, path in enumerate(paths):
                if number % 5 in turns:
                    yield number, {"image": str(path), "label": path.parent.name}

    Builder(data_dir=folder / "tfds").download_and_prepare()
