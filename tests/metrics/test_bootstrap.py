"""Bootstrap over videos: metrics, coverage, pairing, undefined metrics."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as functional

from flipdetect.metrics.bootstrap import Estimate, bootstrap_ci, bootstrap_difference, frame_metrics


def scores(seed: int, videos: int = 40, frames: int = 6, effect: float = 1.5, spread: float = 1.0, decimals: int = 6):
    """Clustered scores: a video has a level of its own, and one label."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(rng.integers(0, 2, videos), frames)
    level = np.repeat(rng.normal(0, spread, videos), frames)
    odds = effect * (targets - 0.5) * 2 + level + rng.normal(0, 0.7, videos * frames)
    return np.round(1 / (1 + np.exp(-odds)), decimals), targets, np.repeat(np.arange(videos), frames)


@pytest.mark.parametrize("decimals", [6, 1])
def test_the_values_are_those_of_torchmetrics(decimals: int) -> None:
    probabilities, targets, videos = scores(1, decimals=decimals)
    shuffled = np.random.default_rng(0).permutation(len(targets))
    found = bootstrap_ci(probabilities[shuffled], targets[shuffled], videos[shuffled], 0.41, resamples=50)
    p, t = torch.from_numpy(probabilities), torch.from_numpy(targets)
    expected = {
        "f1": functional.binary_f1_score(p, t, 0.41),
        "f1_at_0.5": functional.binary_f1_score((p >= 0.5).long(), t),
        "precision": functional.binary_precision(p, t, 0.41),
        "recall": functional.binary_recall(p, t, 0.41),
        "accuracy": functional.binary_accuracy(p, t, 0.41),
        "auroc": functional.binary_auroc(p, t),
        "average_precision": functional.binary_average_precision(p, t),
    }
    expected = {name: float(value) for name, value in expected.items()}
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected, abs=1e-6)
    assert frame_metrics(probabilities, targets, 0.41) == pytest.approx(expected, abs=1e-6)
    assert all(each.low <= each.value <= each.high and each.videos == 40 for each in found.values())


def test_targets_may_be_bools_videos_names_and_draws_repeat() -> None:
    probabilities, targets, videos = scores(1)
    named = [f"v{video:03d}" for video in videos]
    assert bootstrap_ci(probabilities, targets > 0, named, 0.5) == bootstrap_ci(probabilities, targets, videos, 0.5)


def test_frames_of_a_video_are_not_counted_as_independent() -> None:
    probabilities, targets, videos = scores(3, frames=20)
    by_video = bootstrap_ci(probabilities, targets, videos, 0.5, metrics=["f1"])["f1"]
    by_frame = bootstrap_ci(probabilities, targets, np.arange(len(targets)), 0.5, metrics=["f1"])["f1"]
    assert by_video.high - by_video.low > 2 * (by_frame.high - by_frame.low)


def test_more_videos_narrow_the_interval() -> None:
    few, many = (bootstrap_ci(*scores(4, videos=videos), 0.5)["auroc"] for videos in (20, 320))
    assert many.high - many.low < 0.5 * (few.high - few.low)


@pytest.mark.parametrize(("videos", "effect"), [(40, 0.8), (40, 1.5), (100, 1.2)])
def test_intervals_hold_the_truth_as_often_as_they_say(videos: int, effect: float) -> None:
    names = ("f1", "auroc")
    everything = scores(100, videos=20_000, effect=effect)
    truth = frame_metrics(everything[0], everything[1], 0.5)
    held = dict.fromkeys(names, 0)
    for seed in range(150):
        sample = scores(1000 + seed, videos=videos, effect=effect)
        found = bootstrap_ci(*sample, 0.5, metrics=names, resamples=200, seed=seed)
        for name in names:
            held[name] += found[name].low <= truth[name] <= found[name].high
    # 92 to 98% are asked for: 138 to 147 of 150, give or take what 150 trials can tell (standard deviation 2.7).
    assert all(134 <= count <= 149 for count in held.values()), held


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    probabilities, targets, videos = scores(5)
    rng = np.random.default_rng(0)
    better = np.clip(probabilities + 0.1 * (targets - 0.5) + rng.normal(0, 0.01, len(targets)), 0, 1)
    difference = bootstrap_difference(probabilities, better, targets, videos, (0.5, 0.5))["auroc"]
    alone = bootstrap_ci(probabilities, targets, videos, 0.5)["auroc"]
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    back = bootstrap_difference(better, probabilities, targets, videos, (0.5, 0.5))["auroc"]
    assert (back.low, back.high) == pytest.approx((-difference.high, -difference.low))


def test_each_of_two_models_has_its_threshold() -> None:
    probabilities, targets, videos = scores(5)
    found = bootstrap_difference(probabilities, probabilities, targets, videos, (0.5, 0.9))
    assert found["f1"].value != 0
    assert (found["f1_at_0.5"].value, found["f1_at_0.5"].low, found["f1_at_0.5"].high) == (0, 0, 0)


def test_perfect_figures_have_the_bounds_of_coins() -> None:
    targets, videos = np.repeat([0, 1], 100), np.repeat(np.arange(20), 10)
    found = bootstrap_ci(np.where(targets, 0.9, 0.1), targets, videos, 0.5)
    # Ten videos of the rarer class without a mistake: 0.025 ** (1 / 10).
    assert (found["auroc"].value, found["auroc"].high) == (1.0, 1.0)
    assert found["auroc"].low == pytest.approx(0.025**0.1)
    nothing = bootstrap_ci(np.where(targets, 0.1, 0.9), targets, videos, 0.5)["f1"]
    assert (nothing.low, nothing.value) == (0.0, 0.0)
    assert 0 < nothing.high < 0.3


def test_one_mistake_in_very_many_frames_does_not_feign_certainty() -> None:
    targets, videos = np.repeat([0, 1], 1000), np.repeat(np.arange(20), 100)
    probabilities = np.where(targets, 0.9, 0.1).astype(float)
    probabilities[0] = 0.95
    found = bootstrap_ci(probabilities, targets, videos, 0.5)["auroc"]
    assert found.value > 0.99
    assert found.low == pytest.approx(0.025**0.1, abs=0.02)


def test_one_class_has_no_auroc() -> None:
    found = bootstrap_ci([0.1, 0.9, 0.8], [1, 1, 1], ["a", "b", "b"], 0.5, resamples=20)
    assert math.isnan(found["auroc"].value)
    assert found["auroc"].text() == "-"
    assert found["recall"].value == pytest.approx(2 / 3)
    assert found["recall"].is_bounded
    without = bootstrap_ci([0.1, 0.9], [0, 0], ["a", "b"], 0.5, resamples=20)
    assert math.isnan(without["average_precision"].value)
    assert (without["recall"].value, without["recall"].is_bounded) == (0.0, False)


def test_one_video_has_no_bounds() -> None:
    found = bootstrap_ci([0.1, 0.9], [0, 1], ["a", "a"], 0.5)
    for each in found.values():
        assert each.videos == 1
        assert math.isnan(each.low)
        assert math.isnan(each.high)
    assert found["auroc"].text() == "1.000 [-]"
    difference = bootstrap_difference([0.1, 0.9], [0.9, 0.1], [0, 1], ["a", "a"], (0.5, 0.5))
    assert difference["auroc"].text(signed=True) == "-1.000 [-]"


def test_an_interval_reads_as_in_tables() -> None:
    assert Estimate(0.913, 0.8942, 0.93, 40).text() == "0.913 [0.894, 0.930]"
    assert Estimate(0.0127, -0.004, 0.029, 40).text(signed=True) == "+0.013 [-0.004, +0.029]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0.1], [0, 1], ["a"], 0.5), "two"),
        (([0.1, 0.2], [0, 1], ["a"], 0.5), "as many videos"),
    ],
)
def test_bad_input_is_refused(arguments: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bootstrap_ci(*arguments)


@pytest.mark.parametrize(("name", "value"), [("metrics", ["f2"]), ("resamples", 1)])
def test_bad_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        bootstrap_ci([0.1, 0.9], [0, 1], ["a", "b"], 0.5, **{name: value})


def test_very_many_videos_are_left_out_in_groups() -> None:
    found = bootstrap_ci(*scores(7, videos=1200, frames=3), 0.5, resamples=200)
    assert found["auroc"].videos == 1200
    assert 0.005 < found["auroc"].high - found["auroc"].low < 0.03
