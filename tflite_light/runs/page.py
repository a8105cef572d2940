"""What a page about a run or a file shows, as values; `report/html.py` draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tflite_light.cost.network import Network
from tflite_light.measure.accuracy import Measured
from tflite_light.pipeline.decode import Pixels
from tflite_light.runs.showing import Shown


@dataclass(frozen=True)
class Epoch:
    """A line of history.csv; `file_accuracy` is of the file that the epoch's network makes."""

    phase: str
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    file_accuracy: float | None = None


@dataclass(frozen=True)
class Picture:
    """uint8 [height, width, 3] of what is shown, and the name of what it was made of."""

    pixels: Pixels
    name: str


@dataclass(frozen=True)
class Answer:
    """What a model takes a picture for, and how sure it is, 0..1."""

    model: str
    label: str
    sure: float


@dataclass(frozen=True)
class Case:
    """A picture of a class that was answered."""

    picture: Picture
    label: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Page:
    """All of it; what is empty is left out. `mistaken` and `disagreed` count all pictures, of which
    `mistakes` and `disagreements` are some.
    """

    title: str
    made: str
    facts: Mapping[str, str]
    rows: Sequence[Measured]
    epochs: Sequence[Epoch] = ()
    mistaken: int = 0
    mistakes: Sequence[Case] = ()
    disagreed: int = 0
    disagreements: Sequence[Case] = ()
    views: Sequence[Shown] = ()
    layers: Mapping[str, Network] = field(default_factory=dict)  # by file
    texts: Mapping[str, str] = field(default_factory=dict)  # by heading
