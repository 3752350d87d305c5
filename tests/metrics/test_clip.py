"""Decisions about whole clips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flipdetect.metrics.clip import (
    AGGREGATIONS,
    aggregate,
    best_rule,
    clip_scores,
    clip_targets,
    confusion,
    fit_rule,
    sequence_threshold,
)

NAN = math.nan


def test_hand_computed_scores() -> None:
    frames = [0.1, 0.9, 0.5, NAN, 0.3]
    assert aggregate(frames, "mean") == pytest.approx(0.45)
    assert aggregate(frames, "max") == 0.9
    assert aggregate(frames, "top_k", 2) == pytest.approx(0.7)
    assert aggregate(frames, "top_k", 9) == aggregate(frames, "mean")
    assert math.isnan(aggregate([NAN], "max"))
    assert math.isnan(aggregate([]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 25), st.randoms(use_true_random=False))
def test_top_k_lies_between_mean_and_max_whatever_the_order(values: list[float], k: int, random: object) -> None:
    mean, highest, top = (aggregate(values, how, k) for how in ("mean", "max", "top_k"))
    assert mean - 1e-12 <= top <= highest + 1e-12
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [aggregate(shuffled, how, k) for how in AGGREGATIONS] == pytest.approx([mean, highest, top])


def test_clips_keep_their_order_and_may_be_interleaved() -> None:
    videos = ["b", "a", "b", "c"]
    assert clip_scores(videos, [0.2, 0.5, 0.4, NAN], "max") == pytest.approx(
        {"b": 0.4, "a": 0.5, "c": NAN}, nan_ok=True
    )
    assert list(clip_scores(videos, [0.2, 0.5, 0.4, NAN])) == ["b", "a", "c"]
    assert clip_targets(videos, [0, 0, 1, 0]) == {"b": 1, "a": 0, "c": 0}


def test_frames_and_clips_side_by_side() -> None:
    # A clip of a flip shows resting pages too: its frames are told less well than the clip.
    videos = [*"aaabbbccc"]
    probabilities = [0.1, 0.9, 0.4, 0.2, 0.6, 0.1, 0.8, 0.7, NAN]
    targets = [0, 1, 1, 0, 0, 0, 1, 1, 1]
    frames = confusion(probabilities, targets, 0.5)
    assert frames.matrix().tolist() == [[3, 1], [1, 3]]
    assert (frames.unscored, frames.f1, frames.accuracy) == (1, 0.75, 0.75)
    scores = list(clip_scores(videos, probabilities, "top_k", 2).values())
    truths = list(clip_targets(videos, targets).values())
    choice = sequence_threshold(scores, truths)
    assert (choice.f1, choice.threshold) == (1.0, pytest.approx(0.525))
    assert confusion(scores, truths, choice.threshold).matrix().tolist() == [[1, 0], [0, 2]]


def test_a_clip_without_a_readable_frame_is_counted_apart() -> None:
    result = confusion([NAN, 0.9], [1, 1], 0.5).as_dict()
    assert (result["unscored"], result["true_positives"], result["f1"]) == (1, 1, 1.0)
    assert sequence_threshold([NAN, 0.2, 0.8], [1, 0, 1]).f1 == 1.0
    assert confusion(np.empty(0), np.empty(0), 0.5).f1 == 0.0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="mean, max, top_k, got 'median'"):
        aggregate([0.1], "median")
    with pytest.raises(ValueError, match="k must be at least 1"):
        aggregate([0.1], "top_k", 0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        aggregate([2.0])
    with pytest.raises(ValueError, match="give one for each"):
        clip_scores(["a"], [0.1, 0.2])
    with pytest.raises(ValueError, match="two \\(N,\\) arrays"):
        confusion([0.1], [1, 0], 0.5)


def test_a_rule_is_an_aggregation_with_a_threshold_from_its_own_clips() -> None:
    videos = [*"aabbcc"]
    probabilities, targets = [0.1, 0.9, 0.6, 0.8, 0.2, NAN], [0, 1, 1, 1, 0, 0]
    rule = fit_rule(videos, probabilities, targets, "max")
    assert (rule.how, rule.threshold, rule.f1) == ("max", pytest.approx(0.5), 1.0)
    assert rule.decide([0.1, 0.55]) is True
    assert rule.decide([0.1, 0.45]) is False
    assert rule.decide([NAN]) is None
    with pytest.raises(ValueError, match="none of"):
        fit_rule(videos, probabilities, [0] * 6)


def test_the_best_rule_is_that_of_the_best_aggregation() -> None:
    # One bright mistake in a clip at rest: the maximum falls for it, the mean does not.
    videos = [*"aaaabbbb"]
    probabilities, targets = [0.7, 0.7, 0.7, 0.7, 0.1, 0.9, 0.1, 0.1], [1, 1, 1, 1, 0, 0, 0, 0]
    assert best_rule(videos, probabilities, targets, k=2).how == "mean"
    assert fit_rule(videos, probabilities, targets, "max").f1 < 1
