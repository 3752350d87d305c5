"""Turns found in streams of scores."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.errors import ConfigError, DataError
from flipdetect.events.hmm import HmmDetector, detect_events, run_detector
from flipdetect.events.parameters import EventParameters
from flipdetect.events.score_history import ScoredFrame
from flipdetect.events.segments import Durations, Segment, SegmentDecoder
from flipdetect.records import FlipEvent

TURNS = [(1.0, 1.75), (3.0, 3.5), (4.5, 6.5), (8.0, 8.75)]


def box_scores(fps: float, low: float = 0.002, high: float = 0.998, seconds: float = 10.0) -> list[ScoredFrame]:
    """Faultless scores of `TURNS`: high within, low outside."""
    times = (np.arange(int(seconds * fps)) / fps).tolist()
    inside = [any(start <= time <= end for start, end in TURNS) for time in times]
    return [
        ScoredFrame(time, high if turn else low, n) for n, (time, turn) in enumerate(zip(times, inside, strict=True), 1)
    ]


def live(detector: HmmDetector, frames: list[ScoredFrame]) -> list[FlipEvent]:
    return [event for event, _ in run_detector(detector, frames)]


# Stretches of one score, so that turns come about; times on a grid of 1/64 s, which floats hold exactly.
scores = st.one_of(st.sampled_from([0.0, 0.01, 0.5, 0.97, 1.0]), st.floats(0, 1), st.just(math.nan))
stretches = st.lists(st.tuples(scores, st.integers(1, 12), st.integers(1, 40)), min_size=1, max_size=14)


def frames_from(stretches: list[tuple[float, int, int]]) -> list[ScoredFrame]:
    now, frames = 0, []
    for score, count, step in stretches:
        for _ in range(count):
            now += step
            frames.append(ScoredFrame(now / 64, score, len(frames) + 1))
    return frames


@pytest.mark.parametrize("fps", [8, 16, 30, 60])
def test_faultless_scores_give_the_turns(fps: float) -> None:
    events = detect_events(box_scores(fps), video="book")
    assert [event.number for event in events] == [1, 2, 3, 4]
    for event, (start, end) in zip(events, TURNS, strict=True):
        assert start <= event.start_s < start + 1 / fps
        assert end - 1 / fps < event.end_s <= end
        assert event.start_s <= event.peak_s <= event.end_s
        assert abs(event.peak_s - (start + end) / 2) <= 1 / fps
        assert (event.start_frame, event.end_frame) == (
            round(event.start_s * fps) + 1,
            round(event.end_s * fps) + 1,
        )
        assert (event.mean_probability, event.peak_probability) == (pytest.approx(0.998), 0.998)
        assert event.video == "book"
        assert event.duration_s == event.end_s - event.start_s


def test_a_turn_is_reported_soon_after_its_end() -> None:
    for (event, reported), (_, end) in zip(run_detector(HmmDetector(), box_scores(30)), TURNS, strict=True):
        assert event.end_s <= reported <= end + 0.35


def test_a_book_whose_resting_pages_look_suspicious_is_told_by_its_own_level() -> None:
    frames = box_scores(30, low=0.45, high=0.99, seconds=20)
    parameters = EventParameters(level_share=1.0)
    assert len(detect_events(frames, parameters)) == len(TURNS)
    # Live, the level has to be learnt first: from the second time round all are found.
    twice = frames + [ScoredFrame(frame.time_s + 20, frame.probability) for frame in frames]
    assert len([event for event in live(HmmDetector(parameters), twice) if event.start_s > 20]) == len(TURNS)


@pytest.mark.parametrize("low", [0.0, 0.01, 0.2])
def test_a_book_at_rest_has_no_turns(low: float) -> None:
    assert detect_events(box_scores(30, low=low, high=low)) == []


def test_one_wrong_frame_is_no_turn_and_does_not_split_one() -> None:
    frames = box_scores(30)
    for wrong in (70, 160):
        probability = frames[wrong].probability
        assert probability is not None
        frames[wrong] = frames[wrong]._replace(probability=1 - probability)
    assert len(detect_events(frames)) == len(TURNS)


def test_a_turn_may_be_going_on_at_either_end() -> None:
    frames = [frame for frame in box_scores(30) if 1.3 < frame.time_s < 8.4]
    for events in (detect_events(frames), live(HmmDetector(), frames)):
        assert len(events) == 4
        assert events[0].start_s == frames[0].time_s
        assert events[-1].end_s == frames[-1].time_s


def test_frames_without_a_score_count_as_missing() -> None:
    frames = box_scores(30)
    rng = np.random.default_rng(0)
    lost = set(rng.choice(len(frames), len(frames) // 3, replace=False).tolist())
    kept = [frame for place, frame in enumerate(frames) if place not in lost]
    unread = [frame._replace(probability=None) if place in lost else frame for place, frame in enumerate(frames)]
    nans = [frame._replace(probability=math.nan) if place in lost else frame for place, frame in enumerate(frames)]
    events = detect_events(kept)
    assert len(events) == len(TURNS)
    assert detect_events(unread) == detect_events(nans) == events
    assert live(HmmDetector(), unread) == live(HmmDetector(), kept)


def test_no_turn_spans_a_long_time_without_frames() -> None:
    turn = [ScoredFrame(n / 30, 0.99) for n in range(30)]
    frames = [*turn, *(ScoredFrame(frame.time_s + 10, 0.99) for frame in turn)]
    events = live(HmmDetector(), frames)
    assert [(event.start_s, event.end_s) for event in events] == [(0, 29 / 30), (10, 10 + 29 / 30)]
    detector, unread = HmmDetector(), [ScoredFrame(1 + n / 30, None) for n in range(100)]
    reported = [event for frame in [*turn, *unread] for event in detector.push(*frame)]
    assert len(reported) == 1, "unreadable frames let time pass"
    assert detector.finish() == []
    assert detect_events(frames) == events


def test_times_must_not_go_back_and_repeated_ones_are_left_out() -> None:
    frames = box_scores(30)
    doubled = [each for frame in frames for each in (frame, frame._replace(probability=0.5))]
    assert live(HmmDetector(), doubled) == live(HmmDetector(), frames)
    detector = HmmDetector()
    detector.push(1.0, 0.5, 7)
    with pytest.raises(DataError, match=r"frame 8 is at 0\.9 s, after a frame at 1 s"):
        detector.push(0.9, 0.5, 8)
    with pytest.raises(DataError, match="nan"):
        detector.push(math.nan, 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 4\.2"):
        detector.push(1.1, 4.2)


@given(stretches)
@settings(max_examples=60, deadline=None)
def test_events_are_in_order_disjoint_and_numbered(rows: list[tuple[float, int, int]]) -> None:
    frames = frames_from(rows)
    times = {frame.time_s: frame.frame for frame in frames if not math.isnan(frame.probability or 0.0)}
    for events in (live(HmmDetector(), frames), detect_events(frames)):
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        for event in events:
            assert event.start_s <= event.peak_s <= event.end_s
            assert times[event.start_s] == event.start_frame
            assert times[event.peak_s] == event.peak_frame
            assert times[event.end_s] == event.end_frame
            assert 0 <= event.mean_probability <= event.peak_probability + 1e-9 <= 1 + 1e-9
        assert all(before.end_s < after.start_s for before, after in itertools.pairwise(events))


@given(stretches, st.data())
@settings(max_examples=30, deadline=None)
def test_what_was_reported_does_not_depend_on_what_comes_later(
    rows: list[tuple[float, int, int]], data: st.DataObject
) -> None:
    frames = frames_from(rows)
    cut = data.draw(st.integers(0, len(frames)))
    detector, other = HmmDetector(), HmmDetector()
    early = [event for frame in frames[:cut] for event in detector.push(*frame)]
    late = [event for frame in frames[cut:] for event in detector.push(*frame)]
    assert [event for frame in frames[:cut] for event in other.push(*frame)] == early
    assert early + late + detector.finish() == live(HmmDetector(), frames)


@pytest.mark.parametrize("score", [0.01, 0.99])
def test_memory_does_not_grow(score: float) -> None:
    detector = HmmDetector(EventParameters(longest_s=5.0, level_window_s=5.0))
    sizes = []
    for number in range(3000):
        detector.push(number / 20, score)
        if number in (1000, 2999):
            sizes.append(len(pickle.dumps(detector)))
    assert sizes[1] < 1.2 * sizes[0]


def all_divisions(times: list[float], evidence: list[float], p: EventParameters) -> tuple[float, list[Segment]]:
    """The best division by trying each: the score of a labelling of frames, written down from the model."""
    durations, count = Durations(p), len(times)
    bounds = [times[0], *((a + b) / 2 for a, b in itertools.pairwise(times))]
    onset = math.log(p.turns_per_second * p.correlation_s) + p.onset_bias
    busy = p.turns_per_second * p.duration_median_s
    best = (-math.inf, [Segment(-1, -1)])
    for labels in itertools.product((0, 1), repeat=count):
        score, rest_since, segments = 0.0, -math.inf, []
        groups = [(turning, list(places)) for turning, places in itertools.groupby(range(count), labels.__getitem__)]
        for turning, places in groups:
            first, last = places[0], places[-1]
            if turning:
                if bounds[first] - rest_since < p.shortest_rest_s:
                    score = -math.inf
                score += math.log(busy / (1 + busy)) if first == 0 else onset
                score += sum(evidence[first : last + 1])
                ended = last + 1 < count
                length = np.array([(bounds[last + 1] if ended else times[last]) - bounds[first]])
                score += float((durations.log_density if ended else durations.log_longer)(length)[0])
                score += math.log(p.correlation_s) if ended else 0.0
                segments.append(Segment(first, last))
            else:
                rest_since = bounds[first] if first else -math.inf
                for place in places[0 if first == 0 else 1 :]:
                    if place and bounds[place] - rest_since >= p.shortest_rest_s:
                        score -= p.turns_per_second * (times[place] - times[place - 1])
        best = max(best, (score, segments))
    return best


@pytest.mark.parametrize("seed", range(25))
def test_the_decoder_finds_the_best_of_all_divisions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parameters = EventParameters(duration_median_s=0.4, turns_per_second=0.6, shortest_rest_s=0.25 * (seed % 3))
    times = np.cumsum(rng.uniform(0.05, 0.3, 9)).tolist()
    evidence = rng.normal(0.3, 4.0, 9).tolist()
    decoder = SegmentDecoder(parameters, Durations(parameters))
    for time, ratio in zip(times, evidence, strict=True):
        decoder.step(time, ratio)
    ended, current = decoder.segments()
    assert [*ended, *([current] if current else [])] == all_divisions(times, evidence, parameters)[1]


def test_parameters_survive_yaml() -> None:
    parameters = EventParameters(lag_s=0.3, odds=(-1, 0, 2), evidence=(-2, 1, 1))
    assert EventParameters.from_dict(yaml.safe_load(yaml.safe_dump(parameters.to_dict()))) == parameters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speed": 1}, "speed"),
        ({"odds": [0, 1, 1, 2, 3]}, "ascending"),
        ({"evidence": [2, 1]}, "as many values as odds"),
        ({"odds": [0, 1], "evidence": [2, 1]}, "ascending"),
        ({"turns_per_second": 100}, "correlation_s"),
        ({"duration_median_s": -1}, "above 0"),
        ({"level": math.nan}, "finite"),
        ({"lag_s": "soon"}, "give numbers"),
    ],
)
def test_parameters_that_cannot_work_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EventParameters.from_dict(values)


def test_a_pause_of_years_costs_no_memory() -> None:
    """Situation F2: saved scores with times far apart."""
    near = [(n / 10, 0.95 if 20 <= n < 28 else 0.02, n) for n in range(60)]
    found = detect_events([ScoredFrame(*row) for row in [*near, *((t + 1e12, p, n) for t, p, n in near)]])
    assert [round(event.start_s % 1e6, 1) for event in found] == [2.0, 2.0]
