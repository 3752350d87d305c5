from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.errors import ConfigError
from flipdetect.metrics.threshold import (
    ThresholdCosts,
    choose_threshold,
    confusion_matrix,
    cost_at,
    threshold_curve,
)


def f1_at(threshold: float, scores: np.ndarray, targets: np.ndarray) -> float:
    predicted = scores >= threshold
    hits = int((predicted & (targets == 1)).sum())
    wrong = int((predicted != (targets == 1)).sum())
    return 2 * hits / (2 * hits + wrong) if hits + wrong else 0.0


# Few distinct values make ties; float32 neighbours make midpoints that hardly exist.
scores_and_targets = st.lists(
    st.tuples(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1)), st.integers(0, 1)),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(target for _, target in rows))


@given(scores_and_targets)
@settings(max_examples=300, deadline=None)
def test_no_other_threshold_is_better(rows: list[tuple[float, int]]) -> None:
    scores = np.array([score for score, _ in rows])
    targets = np.array([target for _, target in rows])
    choice = choose_threshold(scores, targets)
    candidates = np.unique(np.concatenate([scores, np.nextafter(scores, 2), [0.0]]))
    brute_force = max(f1_at(cut, scores, targets) for cut in candidates)
    assert choice.f1 == pytest.approx(brute_force, abs=1e-12)
    assert f1_at(choice.threshold, scores, targets) == pytest.approx(choice.f1, abs=1e-12)
    assert 0.0 <= choice.threshold <= 1.0


@pytest.mark.parametrize(
    ("scores", "targets", "threshold", "f1"),
    [
        ([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], 0.4, 1),  # halfway between neighbours
        # Down to 0.8: 1 of 3 found, F1 1/2. Down to 0.3: 3 hits, 2 false alarms, F1 6/8. All: F1 6/9.
        ([0.8, 0.6, 0.5, 0.4, 0.3, 0.1], [1, 0, 0, 1, 1, 0], 0.2, 0.75),
        # The highest alone: F1 2/3 at 0.84. All four: F1 2/3 at 0.1. The one nearest one half wins.
        ([0.98, 0.7, 0.6, 0.2], [1, 0, 0, 1], 0.84, 2 / 3),
        ([0.5] * 4, [1, 0, 0, 1], 0.25, 2 / 3),
    ],
)
def test_thresholds_by_hand(scores: list[float], targets: list[int], threshold: float, f1: float) -> None:
    choice = choose_threshold(scores, targets)
    assert (choice.threshold, choice.f1) == pytest.approx((threshold, f1))


def test_a_midpoint_between_adjacent_numbers_still_separates_them() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    choice = choose_threshold([low, high], [0, 1])
    assert low < choice.threshold <= high


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([], [], "no frame"),
        ([0.2, 0.4], [0, 0], "none of the 2 frames is positive"),
        ([0.2, float("nan")], [0, 1], "nan"),
        ([0.2, 3.1], [0, 1], r"0\.2 to 3\.1"),
        ([0.2, 0.4], [0, 2], "0 or 1"),
        ([0.2], [0, 1], r"\(1,\) and \(2,\)"),
    ],
)
def test_impossible_input_is_refused(scores: list[float], targets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_threshold(scores, targets)


@given(scores_and_targets, st.floats(0, 10), st.floats(0.1, 10))
@settings(max_examples=200, deadline=None)
def test_no_other_threshold_is_cheaper(rows: list[tuple[float, int]], missed: float, alarm: float) -> None:
    scores = np.array([score for score, _ in rows])
    targets = np.array([target for _, target in rows])
    costs = ThresholdCosts(missed, alarm)
    found = cost_at(scores, targets, choose_threshold(scores, targets, costs).threshold, costs)
    # "None is positive" is not among the cuts, as for F1.
    candidates = [cut for cut in np.unique(np.append(scores, 0.0)) if (scores >= cut).any()]
    assert found == pytest.approx(min(cost_at(scores, targets, cut, costs) for cut in candidates), abs=1e-9)


def test_dear_misses_lower_the_threshold_and_dear_alarms_raise_it() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 2000)
    scores = 1 / (1 + np.exp(-(rng.normal(0, 1, 2000) + 2 * targets - 1)))
    cheap, even, dear = (
        choose_threshold(scores, targets, ThresholdCosts(missed, 1.0)).threshold for missed in (0.2, 1.0, 5.0)
    )
    assert dear < even < cheap
    # These scores are calibrated up to a factor, so that even costs meet near one half.
    assert even == pytest.approx(0.5, abs=0.1)
    assert ThresholdCosts(5, 1).bayes_threshold == pytest.approx(1 / 6)


def test_cost_counts_both_mistakes() -> None:
    assert cost_at([0.9, 0.1, 0.8, 0.2], [1, 1, 0, 0], 0.5, ThresholdCosts(5, 1)) == pytest.approx(6 / 4)


@pytest.mark.parametrize("costs", [(-1, 1), (0, 0), (float("inf"), 1), (float("nan"), 1)])
def test_impossible_costs_are_refused(costs: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="missed_flip"):
        ThresholdCosts(*costs)


def test_the_curve_tells_what_each_threshold_reaches() -> None:
    scores, targets = np.array([0.1, 0.4, 0.6, 0.9, 1.0]), np.array([0, 1, 0, 1, 1])
    curve = threshold_curve(scores, targets, points=11)
    assert len(curve.thresholds) == 11
    for at, f1 in zip(curve.thresholds, curve.f1, strict=True):
        assert f1 == pytest.approx(f1_at(at, scores, targets))
    assert (curve.precision[-1], curve.recall[-1]) == (1.0, pytest.approx(1 / 3))
    assert curve.recall[0] == 1.0
    # The best cut is that below 0.4: 3 hits, 1 false alarm.
    assert choose_threshold(scores, targets).threshold == pytest.approx(0.25)
    assert curve.plateau[0] <= 0.25 <= curve.plateau[1]
    assert curve.plateau[1] < 0.6


def test_confusion_counts_rows_by_truth_and_columns_by_prediction() -> None:
    scores, targets = [0.9, 0.8, 0.6, 0.4, 0.3, 0.1], [1, 0, 1, 1, 0, 0]
    assert confusion_matrix(scores, targets, 0.6).tolist() == [[2, 1], [1, 2]]
    assert confusion_matrix(scores, targets, 0.35).tolist() == [[2, 1], [0, 3]]
    assert confusion_matrix([], [], 0.5).tolist() == [[0, 0], [0, 0]]
