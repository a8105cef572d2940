"""Standard TFLite metadata: what MediaPipe Tasks, ML Kit and others read of a file.

A flatbuffer within the flatbuffer, schema `tensorflow_lite_support/metadata/metadata_schema.fbs` of
tflite-support (the same in MediaPipe), whose slots never change. Files that it names, such as the
labels, are members of the zip archive behind the model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_light.tflite import attaching, layout, tables
from tflite_light.tflite.flatbuffer import (
    Content,
    Damage,
    Fields,
    either,
    record,
    records,
    scalar,
    text,
    vector,
)

NAME, IDENTIFIER = "TFLITE_METADATA", b"M001"
# Of the fields below; later ones raise it, see `metadata_version.cc` of tflite-support.
PARSER = "1.0.0"
_RGB = 1  # of the colour spaces, besides UNKNOWN and GRAYSCALE
_IMAGE = 2  # of the kinds of content
_FEATURE = 1
_NORMALIZATION = 1  # of the process units
_AXIS_LABELS = 2  # of the associated files

_FILES = records({"name": (0, text), "type": (2, scalar("b"))})
_TENSOR: Fields = {
    "name": (0, text),
    "content": (
        3,
        record({"image": (1, either({}, {"color": (0, scalar("b"))}))}),
    ),
    "units": (
        4,
        records({"options": (1, either({"mean": (0, vector("<f4")), "std": (1, vector("<f4"))}))}),
    ),
    "files": (6, _FILES),
}
_METADATA: Fields = {
    "graphs": (3, records({"inputs": (2, records(_TENSOR)), "outputs": (3, records(_TENSOR))})),
}


@dataclass(frozen=True)
class Description:
    """What a file says about itself.

    `mean` and `std` are by channel, of pixels of 0..255. `labels` and `contract` are names of
    members of the archive.
    """

    name: str
    text: str
    output: str
    size: int
    is_rgb: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: str
    contract: str
    license: str | None = None


@dataclass(frozen=True)
class Found:
    """What a file's metadata say of its first input and its first output; None, where nothing."""

    mean: list[float] | None
    std: list[float] | None
    labels: str | None


def describe(content: bytes, description: Description) -> bytes:
    """The file with metadata; its answers stay as they are."""
    return attaching.attach(content, NAME, tables.pack(_model(description), IDENTIFIER))


def read(content: bytes) -> Found | None:
    """What the metadata of a file say; None where it has none.

    Raises Damage where they are not a flatbuffer of that schema.
    """
    model = layout.read(content)
    numbers = [entry.buffer for entry in model.metadata if entry.name == NAME]
    if not numbers:
        return None
    data = model.buffers[numbers[0]].data if numbers[0] < len(model.buffers) else None
    if data is None or data[4:8].tobytes() != IDENTIFIER:
        raise Damage("its metadata are not of a schema that is known")
    nested = Content(data.tobytes())
    graphs = nested.record(nested.follow(0), _METADATA).graphs
    inputs, outputs = (graphs[0].inputs, graphs[0].outputs) if graphs else ([], [])
    units = [unit.options for unit in inputs[0].units if unit.options] if inputs else []
    labels = (
        [file.name for file in outputs[0].files if file.type == _AXIS_LABELS] if outputs else []
    )
    return Found(
        mean=_floats(units[0].mean) if units else None,
        std=_floats(units[0].std) if units else None,
        labels=labels[0] if labels else None,
    )


def _floats(values: Any) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def _model(of: Description) -> tables.Table:
    """The root, by the slots of ModelMetadata."""
    contract = {
        0: of.contract,
        1: "preprocessing contract of tflite-light: resizing, types, labels",
    }
    graph = {2: [_input(of)], 3: [_output(of)]}
    return {0: of.name, 1: of.text, 3: [graph], 5: of.license, 6: [contract], 7: PARSER}


def _input(of: Description) -> tables.Table:
    mean, std = (np.array(values, np.float32) for values in (of.mean, of.std))
    size = {0: np.uint32(of.size), 1: np.uint32(of.size)}
    image = {0: np.uint8(_RGB) if of.is_rgb else None, 1: size}
    low, high = (((np.float32(pixel) - mean) / std) for pixel in (0, 255))
    return {
        0: "image",
        1: "picture, pixels less `mean` over `std`",
        3: {0: np.uint8(_IMAGE), 1: image},
        4: [{0: np.uint8(_NORMALIZATION), 1: {0: mean, 1: std}}],
        5: {0: high, 1: low},
    }


def _output(of: Description) -> tables.Table:
    labels = {0: of.labels, 1: "a class a line", 2: np.uint8(_AXIS_LABELS)}
    return {0: "logits", 1: of.output, 3: {0: np.uint8(_FEATURE), 1: {}}, 6: [labels]}
