"""Decisions about whole clips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flipdetect.metrics.clip import best_clip_threshold, clip_scores, clip_targets, confusion

NAN = math.nan


def test_clips_keep_their_order_and_may_be_interleaved() -> None:
    videos = ["b", "a", "b", "c"]
    scores = clip_scores(videos, [0.2, 0.5, 0.4, NAN])
    assert scores == pytest.approx({"b": 0.4, "a": 0.5, "c": NAN}, nan_ok=True)
    assert list(scores) == ["b", "a", "c"]
    assert clip_targets(videos, [0, 0, 1, 0]) == {"b": 1, "a": 0, "c": 0}


def test_frames_and_clips_have_thresholds_of_their_own() -> None:
    # A clip of a flip shows resting pages too: its frames are classified less well than the clip.
    videos = [*"aaabbbccc"]
    probabilities = [0.1, 0.9, 0.4, 0.2, 0.6, 0.1, 0.8, 0.7, NAN]
    targets = [0, 1, 1, 0, 0, 0, 1, 1, 1]
    frames = confusion(probabilities, targets, 0.5)
    assert frames.matrix().tolist() == [[3, 1], [1, 3]]
    assert (frames.unscored, frames.f1, frames.accuracy) == (1, 0.75, 0.75)
    scores = list(clip_scores(videos, probabilities).values())
    truths = list(clip_targets(videos, targets).values())
    choice = best_clip_threshold(scores, truths)
    assert (choice.f1, choice.threshold) == (1.0, pytest.approx(0.7))
    assert confusion(scores, truths, choice.threshold).matrix().tolist() == [[1, 0], [0, 2]]


def test_a_clip_without_a_readable_frame_is_counted_apart() -> None:
    result = confusion([NAN, 0.9], [1, 1], 0.5).as_dict()
    assert (result["unscored"], result["true_positives"], result["f1"]) == (1, 1, 1.0)
    assert best_clip_threshold([NAN, 0.2, 0.8], [1, 0, 1]).f1 == 1.0
    assert confusion(np.empty(0), np.empty(0), 0.5).f1 == 0.0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        clip_scores(["a"], [2.0])
    with pytest.raises(ValueError, match="give one for each"):
        clip_scores(["a"], [0.1, 0.2])
    with pytest.raises(ValueError, match="two \\(N,\\) arrays"):
        confusion([0.1], [1, 0], 0.5)
