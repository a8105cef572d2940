"""The preprocessing contract: what a consumer must do to pixels to get the answers training
promised.

It is part of the recipe (`image:`), is obeyed by training, calibration, evaluation and prediction,
and travels with every exported file: as `<name>.json` beside it with golden pictures, and without
them inside the file, in the zip archive that TFLite appends to a flatbuffer for associated files.
Standard metadata (`tflite/metadata.py`) tell MediaPipe Tasks and ML Kit as much of it as they have
words for.
"""

from tflite_light.contract.archive import CONTRACT, LABELS, embed, members_of, without_archive
from tflite_light.contract.image import Image
from tflite_light.contract.reading import beside, find, missing, read, read_beside, read_inside
from tflite_light.contract.values import (
    MINOR,
    Confidence,
    Contract,
    Flatbuffer,
    Golden,
    Tensor,
    sha256,
    to_json,
)

__all__ = [
    "CONTRACT",
    "LABELS",
    "MINOR",
    "Confidence",
    "Contract",
    "Flatbuffer",
    "Golden",
    "Image",
    "Tensor",
    "beside",
    "embed",
    "find",
    "members_of",
    "missing",
    "read",
    "read_beside",
    "read_inside",
    "sha256",
    "to_json",
    "without_archive",
]
