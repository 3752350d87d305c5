"""Parameters learnt from recordings with known turns, and what they are good for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flipdetect.errors import DataError
from flipdetect.events.detectors import detect_events, run_detector
from flipdetect.events.fit import ScoredRecording, fit_event_parameters
from flipdetect.events.hmm import HmmDetector
from flipdetect.events.hysteresis import HysteresisDetector
from flipdetect.events.parameters import EventParameters
from flipdetect.metrics.event import EventMetrics, event_metrics, pooled
from tests.inference.score_streams import HARD, TrueTurn, frames_of, simulate


def recordings(seeds: range, **options: object) -> list[ScoredRecording]:
    return [
        simulate(seed, seconds=60, turns=16, fps=(10, 15, 20)[seed % 3], variable=seed % 4 == 3, **options)  # type: ignore[arg-type]
        for seed in seeds
    ]


@pytest.fixture(scope="module")
def learnt() -> EventParameters:
    return fit_event_parameters(recordings(range(100, 108)))


def figures(
    found: list[list[tuple[object, float]]], sets: list[ScoredRecording], criterion: str = "interval"
) -> EventMetrics:
    return pooled(
        event_metrics([event for event, _ in each], one.turns, criterion=criterion, reported_s=[at for _, at in each])  # type: ignore[misc]
        for each, one in zip(found, sets, strict=True)
    )


def test_what_is_known_of_the_streams_is_learnt(learnt: EventParameters) -> None:
    # The simulator draws log-normal durations of median 0.9 s and spread 0.45, levels around -4.5.
    assert learnt.duration_median_s == pytest.approx(0.9, abs=0.1)
    assert learnt.duration_spread == pytest.approx(0.45, abs=0.1)
    assert learnt.level == pytest.approx(-4.5, abs=1.0)
    assert 0.1 < learnt.correlation_s < 0.35
    assert 0.2 < learnt.turns_per_second < 0.6
    assert learnt.evidence[0] < -2
    assert learnt.evidence[-1] > 2
    assert EventParameters.from_dict(learnt.to_dict()) == learnt


def test_the_model_beats_two_thresholds_on_unseen_recordings(learnt: EventParameters) -> None:
    sets = recordings(range(8))
    live = [run_detector(HmmDetector(learnt), frames_of(each)) for each in sets]
    base = [run_detector(HysteresisDetector(), frames_of(each)) for each in sets]
    file = [[(event, 0.0) for event in detect_events(frames_of(each), learnt)] for each in sets]
    for better in (live, file):
        assert figures(better, sets).f1 > max(0.95, figures(base, sets).f1)
        assert figures(better, sets, "boundaries").f1 > figures(base, sets, "boundaries").f1 + 0.04
    assert abs(figures(live, sets).as_dict()["delay_s"]) <= 0.3


def test_the_same_reader_filmed_at_other_rates_turns_the_same_pages(learnt: EventParameters) -> None:
    for seed in (4, 6):
        counts = []
        for fps in (8, 15, 30, 60):
            one = simulate(seed, seconds=30, turns=8, fps=fps)
            counts.append(len(detect_events(frames_of(one), learnt)))
        assert max(counts) - min(counts) <= 1
        assert abs(counts[-1] - len(one.turns)) <= 1


def test_a_level_that_moves_from_book_to_book_is_followed() -> None:
    lessons, sets = recordings(range(100, 105), difficulty=HARD), recordings(range(5), difficulty=HARD)
    learnt = fit_event_parameters(lessons)
    assert learnt.level_share > 0
    f1 = [
        pooled(event_metrics(detect_events(frames_of(each), kind), each.turns) for each in sets).f1
        for kind in (learnt, replace(learnt, level_share=0.0))
    ]
    assert f1[0] > f1[1]


def test_too_little_to_learn_from_is_refused() -> None:
    times, scores = np.arange(100) / 10, np.full(100, 0.1)
    one, two = TrueTurn(1.0, 2.0), TrueTurn(3.0, 4.0)
    with pytest.raises(DataError, match="1 turns are too few"):
        fit_event_parameters([ScoredRecording(times, scores, [one])])
    with pytest.raises(DataError, match=r"2 scored frames in turns"):
        fit_event_parameters([ScoredRecording(times, scores, [replace(one, end_s=1.05), replace(two, end_s=3.05)])])
    with pytest.raises(DataError, match="one score"):
        fit_event_parameters([ScoredRecording(times, scores, [one, two])])
    with pytest.raises(DataError, match="order of time"):
        fit_event_parameters([ScoredRecording(times[::-1], scores, [one, two])])
