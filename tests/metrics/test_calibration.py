"""Reliability, calibration errors, temperatures."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from flipdetect.metrics.calibration import (
    TEMPERATURES,
    calibrated,
    calibration_metrics,
    fit_temperature,
    logits_of,
    reliability,
)


def honest(count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose sigmoid is the share of positives, and targets."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    return logits, (rng.random(count) < expit(logits)).astype(float)


def test_bins_and_errors_of_a_small_set_by_hand() -> None:
    found = reliability([0.1, 0.2, 0.9, 0.7], [0, 1, 1, 1], bins=2)
    assert found.confidence == pytest.approx([0.15, 0.8])
    assert found.frequency == pytest.approx([0.5, 1.0])
    assert found.count.tolist() == [2, 2]
    assert found.expected_error == pytest.approx((0.35 + 0.2) / 2)
    assert found.as_dict()["high"] == [0.5, 1.0]
    ends = reliability([0.0, 1.0, 1.0], [0, 1, 1], bins=10)
    assert (ends.count.tolist(), ends.low.tolist()) == ([1, 2], pytest.approx([0.0, 0.9]))


def test_honest_probabilities_have_no_error_and_a_temperature_of_one() -> None:
    logits, targets = honest()
    figures = calibration_metrics(expit(logits), targets)
    assert figures["ece"] < 0.015
    assert fit_temperature(logits, targets) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("boast", [0.3, 3.0])
def test_a_temperature_undoes_over_and_underconfidence(boast: float) -> None:
    logits, targets = honest()
    temperature = fit_temperature(logits * boast, targets)
    assert temperature == pytest.approx(boast, rel=0.05)
    before, after = (
        calibration_metrics(each, targets)
        for each in (expit(logits * boast), calibrated(expit(logits * boast), temperature))
    )
    assert all(after[name] < before[name] for name in before)


def test_a_small_side_without_a_mistake_does_not_make_certainties() -> None:
    temperature = fit_temperature([-2.0, -1.5, 1.5, 2.0], [0, 0, 1, 1])
    assert expit(2.0 / temperature) < 0.9
    assert fit_temperature(np.repeat([-2.0, 2.0], 5000), np.repeat([0, 1], 5000)) < temperature


def test_limits_of_temperatures() -> None:
    logits, targets = honest(500)
    assert fit_temperature(-logits, targets) == 1.0
    classes = np.repeat([0, 1], 5000)
    assert fit_temperature(np.where(classes, 1e-6, -1e-6), classes) == TEMPERATURES[0]


@given(st.floats(0, 1), st.floats(0.1, 10), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_a_temperature_changes_no_order_and_not_what_lies_above_one_half(p: float, t: float, q: float) -> None:
    one, other = calibrated([p, q], t)
    assert (one >= other) or p < q
    assert (one >= 0.5) == (p >= 0.5) or abs(p - 0.5) < 1e-12


def test_temperatures_can_be_undone() -> None:
    probabilities = np.array([0.0, 1e-6, 0.3, 0.5, 0.999, 1.0])
    assert calibrated(calibrated(probabilities, 1.7), 1 / 1.7) == pytest.approx(probabilities)
    assert (calibrated(probabilities, 1.0) == probabilities).all()
    assert np.isfinite(logits_of(probabilities)).all()


@pytest.mark.parametrize(
    ("logits", "targets", "said"),
    [
        ([1.0, 2.0], [1, 1], "both classes"),
        ([1.0], [1, 0], r"\(1,\) and \(2,\)"),
        ([math.nan, 1.0], [0, 1], "NaN"),
        ([0.5, 1.0], [0, 3], "both classes"),
    ],
)
def test_a_temperature_needs_two_classes(logits: list[float], targets: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_temperature(logits, targets)
