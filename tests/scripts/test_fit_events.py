"""Parameters learnt from recordings with known turns, and what they are good for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flipdetect.errors import DataError
from flipdetect.events.hmm import HmmDetector, detect_events, run_detector
from flipdetect.events.parameters import EventParameters
from flipdetect.metrics.event import EventMetrics, event_metrics, pooled
from flipdetect.records import FlipEvent
from tests.inference.score_streams import HARD, Recording, TrueTurn, frames_of, simulate
from tests.scripts.loading import load_script

script = load_script("research/fit_events")


def recordings(seeds: range, **options: object) -> list[Recording]:
    return [
        simulate(seed, seconds=60, turns=16, fps=(10, 15, 20)[seed % 3], variable=seed % 4 == 3, **options)  # type: ignore[arg-type]
        for seed in seeds
    ]


def fitted(lessons: list[Recording]) -> EventParameters:
    return script.fit_event_parameters([script.ScoredRecording(*each) for each in lessons])


@pytest.fixture(scope="module")
def learnt() -> EventParameters:
    return fitted(recordings(range(100, 108)))


def figures(found: list[list[FlipEvent]], sets: list[Recording], criterion: str = "interval") -> EventMetrics:
    return pooled(event_metrics(each, one.turns, criterion=criterion) for each, one in zip(found, sets, strict=True))


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


def test_turns_of_unseen_recordings_are_found(learnt: EventParameters) -> None:
    sets = recordings(range(8))
    live = [[event for event, _ in run_detector(HmmDetector(learnt), frames_of(each))] for each in sets]
    file = [detect_events(frames_of(each), learnt) for each in sets]
    for found in (live, file):
        assert figures(found, sets).f1 > 0.95
        assert figures(found, sets, "boundaries").f1 > 0.85


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
    learnt = fitted(lessons)
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
        fitted([Recording(times, scores, (one,))])
    with pytest.raises(DataError, match=r"2 scored frames in turns"):
        fitted([Recording(times, scores, (replace(one, end_s=1.05), replace(two, end_s=3.05)))])
    with pytest.raises(DataError, match="one score"):
        fitted([Recording(times, scores, (one, two))])
    with pytest.raises(DataError, match="order of time"):
        fitted([Recording(times[::-1], scores, (one, two))])
