"""What is shown while something takes long."""

from pathlib import Path

import pytest

from tflite_light.progress import duration
from tflite_light.recipe import load
from tflite_light.runs.conductor import epochs_around
from tflite_light.runs.folder import Run


@pytest.mark.parametrize(
    ("seconds", "told"), [(1.2, "1 s"), (99.4, "99 s"), (390, "6 min"), (7800, "2 h 10 min")]
)
def test_times_are_for_people(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_the_time_left_is_the_whole_runs(tiny: Path) -> None:
    """3 epochs of fit, 2 of prune at 1.7 and 2 of qat at 3 times the time of one of fit."""
    run = Run(Path("run"), load(tiny))
    assert epochs_around(run, "fit") == pytest.approx((0, 3.4 + 6))
    assert epochs_around(run, "prune") == pytest.approx((3 / 1.7, 6 / 1.7))
    assert epochs_around(run, "qat") == pytest.approx((6.4 / 3, 0))
