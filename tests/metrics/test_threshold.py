from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.metrics.threshold import best_f1_threshold


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
    choice = best_f1_threshold(scores, targets)
    candidates = np.unique(np.concatenate([scores, np.nextafter(scores, 2), [0.0]]))
    brute_force = max(f1_at(cut, scores, targets) for cut in candidates)
    assert choice.f1 == pytest.approx(brute_force, abs=1e-12)
    assert f1_at(choice.threshold, scores, targets) == pytest.approx(choice.f1, abs=1e-12)
    assert 0.0 <= choice.threshold <= 1.0


@given(scores_and_targets, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_frames_does_not_matter(rows: list[tuple[float, int]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (best_f1_threshold(*zip(*each, strict=True)) for each in (rows, shuffled))
    assert one == other


def test_the_threshold_lies_halfway_between_neighbours() -> None:
    choice = best_f1_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1])
    assert choice.threshold == pytest.approx(0.4)
    assert choice.f1 == 1.0


def test_a_hand_computed_optimum() -> None:
    # Down to 0.8: 1 of 3 found, F1 1/2. Down to 0.3: 3 hits, 2 false alarms, F1 6/8. All: F1 6/9.
    choice = best_f1_threshold([0.8, 0.6, 0.5, 0.4, 0.3, 0.1], [1, 0, 0, 1, 1, 0])
    assert choice.threshold == pytest.approx(0.2)
    assert choice.f1 == pytest.approx(0.75)


def test_of_equally_good_cuts_the_one_nearest_one_half_wins() -> None:
    # The highest alone: 1 hit, 1 miss, F1 2/3 at 0.84. All four: 2 hits, 2 false alarms, F1 2/3 at 0.1.
    choice = best_f1_threshold([0.98, 0.7, 0.6, 0.2], [1, 0, 0, 1])
    assert choice.f1 == pytest.approx(2 / 3)
    assert choice.threshold == pytest.approx(0.84)


def test_all_positive_frames_are_all_called_positive() -> None:
    assert best_f1_threshold([0.3, 0.9], [1, 1]).f1 == 1.0


def test_one_value_for_all_frames() -> None:
    choice = best_f1_threshold([0.5] * 4, [1, 0, 0, 1])
    assert choice.threshold <= 0.5
    assert choice.f1 == pytest.approx(2 / 3)


def test_a_midpoint_between_adjacent_numbers_still_separates_them() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    choice = best_f1_threshold([low, high], [0, 1])
    assert low < choice.threshold <= high


def test_a_large_set_takes_no_time() -> None:
    random = np.random.default_rng(0)
    scores = random.random(500_000)
    choice = best_f1_threshold(scores, scores > 0.3)
    assert choice.threshold == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([], [], "none of the 0 frames"),
        ([0.2, 0.4], [0, 0], "none of the 2 frames is positive"),
        ([0.2, float("nan")], [0, 1], "nan"),
        ([0.2, 3.1], [0, 1], r"3\.1"),
        ([0.2, 0.4], [0, 2], "0 or 1"),
        ([0.2], [0, 1], r"\(1,\) and \(2,\)"),
    ],
)
def test_impossible_input_is_refused(scores: list[float], targets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_f1_threshold(scores, targets)
