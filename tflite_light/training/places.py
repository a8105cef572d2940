"""Where a phase writes: apart from the journal, whose class loads Keras."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """A phase's state while it is under way, the run's history, the phase's events."""

    state: Path
    history: Path
    tensorboard: Path
