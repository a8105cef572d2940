"""What a contract holds."""

import hashlib
import json
from collections.abc import Callable
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, FailFast, Field

from tflite_light.contract.image import Image
from tflite_light.parts import Part

MINOR = 3  # of version 1; it grows when keys are added, which older readers ignore


class Tensor(Part):
    """One end of the file: real = (value - zero_point) * scale, or the value where scale is 0."""

    shape: list[int]
    dtype: Literal["float32", "int8", "uint8"]
    scale: float = Field(0.0, ge=0)
    zero_point: int = 0


class Flatbuffer(Part):
    """The network that a contract belongs to: the file's first `size_bytes` bytes.

    What follows them is the zip archive, which may be changed, extended or left out.
    """

    size_bytes: int = Field(ge=8)
    sha256: str
    network_sha256: str | None = Field(
        None, description="of the network however its bytes are arranged; null before minor 2"
    )

    @classmethod
    def of(cls, content: bytes, network: str | None = None) -> Self:
        return cls(size_bytes=len(content), sha256=sha256(content), network_sha256=network)

    def fits(self, content: bytes, network_of: Callable[[bytes], str] | None) -> bool:
        """Whether a file has this network; in other bytes, if `network_of` gives their digest."""
        if self.begins(content) or not (network_of and self.network_sha256):
            return self.begins(content)
        return network_of(content) == self.network_sha256

    def begins(self, content: bytes) -> bool:
        """Whether a file is this network, whatever follows it."""
        start = content[: self.size_bytes]
        return len(start) == self.size_bytes and sha256(start) == self.sha256


def _below(path: str) -> str:
    """A strange .json could have any picture of this computer packed into an app."""
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise ValueError(f"{path!r} leads out of its folder")
    return path


class Golden(Part):
    """A picture beside the file, and the file's own answer to it.

    A consumer compares its input first: `input_sha256` is of the input tensor's bytes, in the
    file's own type, [1, size, size, 3] in C order, little-endian. If it differs, the preprocessing
    does: its first step, decoding, where `decoded_sha256` differs, too. Then the output, which may
    differ a little where the runtime is another.
    """

    picture: Annotated[str, AfterValidator(_below)] = Field(
        description="path, from the folder of the .json, and in it"
    )
    label: str | None = Field(description="what is on it, where that is known")
    decoded_sha256: str | None = Field(
        None, description="of the uint8 RGB pixels, [height, width, 3]; null before minor 2"
    )
    input_sha256: str | None = Field(None, description="of the input tensor; null before minor 1")
    output: list[float] = Field(description="in the output's own type, as numbers")
    runtime: str | None = Field(None, description="what gave the output, its version and processor")


class Confidence(Part):
    """How sure the file's answers are, fitted to its own logits on validation pictures.

    Probabilities are softmax(logits / `temperature`). A picture shows none of the labels where its
    score is below `threshold`. The score is of the logits before the temperature: `energy` is
    log(sum(exp(logits))) (Liu et al. 2020, arXiv 2010.03759, where it has the other sign).
    """

    temperature: float = Field(gt=0)
    score: Literal["energy"] = "energy"
    threshold: float | None = Field(
        description="null where too few pictures are known to set one: all pass"
    )
    pictures: int = Field(ge=1, description="validation pictures that it was fitted to")
    rejected: int = Field(ge=0, description="of them, those below the threshold")
    calibration_error: tuple[float, float] = Field(
        strict=False,
        description="on them, expected, in 15 bins of equal width: before the temperature and with",
    )


class Contract(Part):
    """All that a consumer of the file needs to know.

    A reader ignores keys it does not know, and refuses a higher `version`; a higher `minor` only
    adds keys.
    """

    version: Literal[1] = 1
    minor: int = Field(0, ge=0)
    model: str
    flatbuffer: Flatbuffer | None = Field(None, description="null before minor 1")
    image: Image
    labels: Annotated[list[str], FailFast()] = Field(min_length=2)
    input: Tensor
    output: Tensor
    output_is: Literal["logits", "probabilities"] = "logits"  # the latter in others' files alone
    integers_inside: bool = Field(
        False, description="whether runtimes round some of it otherwise; false before minor 2"
    )
    confidence: Confidence | None = Field(
        None, description="null before minor 3, and where no labelled pictures were there"
    )
    calibration_pictures: int | None = Field(
        None, ge=0, description="that set the int8 ranges; 0: they were trained; null: not known"
    )
    calibration_sha256: str | None = Field(
        None, description="of what these pictures held, as checksums; null before minor 2"
    )
    golden_sha256: str | None = Field(
        None, description="of the golden inputs and outputs, which lie beside; null before minor 2"
    )
    golden: Annotated[list[Golden], FailFast()] = []

    def bare(self) -> "Contract":
        """Without its golden pictures, as it is inside the file."""
        return self.model_copy(update={"golden": []})

    def with_golden(self, golden: list[Golden]) -> "Contract":
        return self.model_copy(update={"golden": golden, "golden_sha256": _digest(golden)})

    def has_own_golden(self) -> bool:
        """Whether its golden pictures are those that it was written with."""
        return self.golden_sha256 in (None, _digest(self.golden))


def _digest(golden: list[Golden]) -> str:
    """Not of their paths, which change where a file is copied."""
    told = [[one.decoded_sha256, one.input_sha256, one.output] for one in golden]
    return sha256(json.dumps(told).encode())


def to_json(contract: Contract) -> str:
    return json.dumps(contract.model_dump(mode="json"), indent=2) + "\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
