"""TensorFlow Datasets that are prepared on this machine; needs the extra `tflite-light[tfds]`."""

from typing import Annotated, Any

from pydantic import Field

from tflite_light.data import IsLocation, Scan, Source
from tflite_light.errors import UserError
from tflite_light.pipeline.pictures import SPLITS, Pictures


class TFDS(Source):
    """A dataset with the features `image` and `label`, in the parts of splits that are named."""

    name: str = Field(description="such as imagenet2012 or tf_flowers:3.0.1")
    data_dir: Annotated[str | None, IsLocation] = Field(
        None, description="where datasets are prepared; default ~/tensorflow_datasets"
    )
    train: str = Field("train[:90%]", description="split to train on")
    val: str = Field("train[90%:]", description="split to choose by")
    test: str = Field("test", description="split to measure on; `validation` for ImageNet")

    def classes(self) -> list[str]:
        return list(_builder(self, prepared=False).info.features["label"].names)

    def scan(self) -> Scan:
        builder = _builder(self, prepared=True)
        parts = {name: _pictures(builder, getattr(self, name)) for name in SPLITS}
        return list(builder.info.features["label"].names), parts


def _builder(source: TFDS, prepared: bool) -> Any:
    try:
        import tensorflow_datasets
    except ImportError:
        raise UserError(
            "data.tfds needs TensorFlow Datasets: pip install 'tflite-light[tfds]'"
        ) from None
    try:
        builder = tensorflow_datasets.builder(source.name, data_dir=source.data_dir, try_gcs=False)
        if prepared:
            builder.download_and_prepare()
    except (
        Exception
    ) as error:  # its registry, its downloads and its builders raise whatever they like
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(
            f"dataset {source.name} cannot be prepared: {reason}. See data.tfds.name."
        ) from error
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
            f"dataset {builder.name} has no split {split!r}; it has {known}."
        ) from error
    records = [(record["image"], int(record["label"])) for record in dataset.as_numpy_iterator()]
    names = [f"{builder.name} {split} picture {number}" for number in range(len(records))]
    return Pictures(names, [label for _, label in records], lambda index: records[index][0])
