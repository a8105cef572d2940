"""How sure a file's answers are: temperature, calibration error, threshold, each by hand."""

import numpy as np
import pytest

from tflite_light.contract import Confidence
from tflite_light.measure.confidence import (
    calibration_error,
    fit,
    rejects,
    scores,
    share_interval,
    temperature,
)
from tflite_light.measure.runners import probabilities


def drawn(count: int, heat: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by the factor `heat`, and labels as likely as they would say."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (count, 5)).astype(np.float32)
    shares = probabilities(logits / np.float32(heat)).cumsum(axis=1)
    return logits, (random.uniform(size=(count, 1)) > shares).sum(axis=1).clip(0, 4)


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_that_logits_were_made_with_is_found(heat: float) -> None:
    assert temperature(*drawn(20_000, heat)) == pytest.approx(heat, rel=0.03)


def test_a_fitted_temperature_takes_the_calibration_error_away() -> None:
    found = fit(*drawn(20_000, 2.5))
    before, after = found.calibration_error
    assert before == pytest.approx(0.23, abs=0.01)
    assert after < 0.01


def test_a_file_that_names_all_pictures_rightly_is_no_surer_than_their_number_allows() -> None:
    """Without Platt's doubt the temperature would be as low as can be."""
    labels = np.arange(40) % 4
    logits = 12 * np.eye(4, dtype=np.float32)[labels]
    sure = probabilities(logits, temperature(logits, labels)).max()
    assert sure == pytest.approx(41 / 42, abs=1e-3)


def test_calibration_error_is_the_distance_of_bins_by_hand() -> None:
    shares = np.array([[0.95, 0.05], [0.97, 0.03], [0.6, 0.4], [0.35, 0.65]], np.float32)
    labels = np.array([0, 1, 0, 1])
    # 0.95 and 0.97 share the bin from 14/15: |1.92 - 1|; 0.6 and 0.65 that from 9/15: |1.25 - 2|.
    assert calibration_error(shares, labels) == pytest.approx((0.92 + 0.75) / 4, abs=1e-6)


def test_the_score_is_the_logarithm_of_the_exponentials_sum() -> None:
    logits = np.array([[1, 2, 4], [100, 100, 0]], np.float32)
    assert scores(logits) == pytest.approx([4.169846, 100 + np.log(2)], abs=1e-6)


@pytest.mark.parametrize(("count", "rejected"), [(48, None), (49, 0), (193, 0), (194, 1), (219, 1)])
def test_the_threshold_rejects_no_more_than_a_further_picture_allows(
    count: int, rejected: int | None
) -> None:
    found = fit(*drawn(count, 1.0))
    assert (found.threshold is None) == (rejected is None)
    assert (found.rejected, found.pictures) == (rejected or 0, count)
    assert rejects(found, drawn(count, 1.0)[0]).sum() == found.rejected


def test_in_9_of_10_cases_no_more_than_2_in_100_further_pictures_are_rejected() -> None:
    logits, _ = drawn(1_000_000, 1.0)
    own, labels = scores(logits), np.zeros(219, int)
    found = [fit(logits[n : n + 219], labels) for n in range(0, 219 * 400, 219)]
    shares = [(own < (one.threshold or 0)).mean() for one in found]
    assert np.mean(shares) == pytest.approx(2 / 220, abs=0.002)
    assert np.mean([share <= 0.02 for share in shares]) == pytest.approx(0.934, abs=0.04)
    low, high = share_interval(found[0])
    assert (low, high) == pytest.approx((0.0011, 0.0252), abs=1e-3)
    assert np.mean([low <= share <= high for share in shares]) == pytest.approx(0.95, abs=0.04)


def test_a_confidence_without_threshold_rejects_nothing() -> None:
    found = Confidence(
        temperature=1.0, threshold=None, pictures=1, rejected=0, calibration_error=(0, 0)
    )
    assert not rejects(found, drawn(10, 1.0)[0]).any()
