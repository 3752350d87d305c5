"""Stills of a rendered recording, against the renderer's own truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flipdetect.records import FlipEvent, FrameScore, Still
from flipdetect.stills.quality import FrameMeter
from flipdetect.stills.repeats import find_repeats, kept
from flipdetect.stills.select import choose_stills
from flipdetect.synth import (
    RecordingConfig,
    RecordingTruth,
    TurnEvent,
    recording_events,
    recording_map,
    recording_truth,
    render_recording_frame,
)

SECONDS, FPS, HEIGHT = 14.0, 5.0, 288
COVERED = 0.08


@dataclass(frozen=True)
class Filmed:
    config: RecordingConfig
    turns: tuple[TurnEvent, ...]
    truths: tuple[RecordingTruth, ...]
    pictures: tuple[NDArray[np.uint8], ...]
    scores: tuple[FrameScore, ...]

    @property
    def events(self) -> list[FlipEvent]:
        """The turns as a perfect detector reports them: from the first frame that shows a flip to the last."""
        found = []
        for turn in self.turns:
            times = [truth.time_s for truth in self.truths if turn.start_s <= truth.time_s <= turn.end_s]
            found.append(FlipEvent(turn.number, times[0], turn.peak_s, times[-1], None, None, None, 0.9, 0.99, "v"))
        return found

    @property
    def lying(self) -> list[int]:
        """Numbers of the spreads that lay there, one by one."""
        return [self.turns[0].spread_before, *(turn.spread_after for turn in self.turns)]


def clear_visits(config: RecordingConfig) -> bool:
    """Whether a page is turned back, and each spread is seen at rest and without hands for more than a moment."""
    turns = recording_events(config)
    lying = [turns[0].spread_before, *(turn.spread_after for turn in turns)]
    truths = [recording_truth(config, config.time(number)) for number in range(1, config.frames + 1)]
    starts, ends = [0.0, *(turn.end_s for turn in turns)], [*(turn.start_s for turn in turns), config.seconds]
    clear = [
        sum(start + 0.2 < truth.time_s < end - 0.2 and truth.occlusion < COVERED for truth in truths)
        for start, end in zip(starts, ends, strict=True)
    ]
    return any(turn.direction == "right" and turn.completed for turn in turns) and len(lying) > 4 and min(clear) > 2


def hands_map(config: RecordingConfig, time_s: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Hands as a network sees them: coarse, soft, and not quite certain."""
    fine = recording_map(config, time_s)[..., 2].astype(np.float32) / 255
    factor = 24 / max(fine.shape)
    size = (round(fine.shape[1] * factor), round(fine.shape[0] * factor))
    coarse = cv2.GaussianBlur(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    return np.clip(coarse + rng.normal(0, 0.05, coarse.shape), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def filmed() -> Filmed:
    configs = (
        RecordingConfig(index=index, seconds=SECONDS, turns=4, height=HEIGHT, fps=FPS, orientation="landscape")
        for index in range(140, 340)  # of books whose pages a person tells apart at this size
    )
    config = next(config for config in configs if clear_visits(config))
    rng, meter = np.random.default_rng(0), FrameMeter()
    truths, pictures, scores = [], [], []
    for number in range(1, config.frames + 1):
        frame = render_recording_frame(config, config.time(number))
        truth = recording_truth(config, config.time(number))
        odds = (2.5 if truth.label == "flip" else -4.0) + rng.normal()
        quality = meter(frame.image, hands_map(config, truth.time_s, rng))
        truths.append(truth)
        pictures.append(frame.image)
        scores.append(
            FrameScore(
                path="",
                video="v",
                frame=number,
                probability=float(1 / (1 + np.exp(-odds))),
                time_s=truth.time_s,
                quality=quality,
            )
        )
    return Filmed(config, recording_events(config), tuple(truths), tuple(pictures), tuple(scores))


@pytest.fixture(scope="module")
def stills(filmed: Filmed) -> list[Still]:
    return choose_stills(filmed.scores, filmed.events, video="v")


def truth_of(filmed: Filmed, still: Still) -> RecordingTruth:
    assert still.frame is not None
    return filmed.truths[still.frame - 1]


def test_each_spread_has_a_still_at_rest_and_free_of_hands(filmed: Filmed, stills: list[Still]) -> None:
    assert [still.spread for still in stills] == list(range(1, len(filmed.lying) + 1))
    for still, lying in zip(stills, filmed.lying, strict=True):
        truth = truth_of(filmed, still)
        assert truth.label == "notflip"
        assert truth.spread == lying
        assert truth.occlusion < COVERED
        assert still.start_s <= truth.time_s <= still.end_s
        assert not still.flaw


def test_a_page_turned_back_to_is_found(filmed: Filmed, stills: list[Still]) -> None:
    found = find_repeats(stills, lambda still: filmed.pictures[(still.frame or 0) - 1])
    numbers = {still.spread: truth_of(filmed, still).spread for still in stills}
    assert all(still.same_as is None or numbers[still.same_as] == numbers[still.spread] for still in found)
    assert sorted(numbers[still.spread] for still in kept(found)) == sorted(set(filmed.lying))


def test_coverage_follows_the_truth(filmed: Filmed) -> None:
    measured = np.array([score.quality.coverage for score in filmed.scores if score.quality is not None], float)
    true = np.array([truth.occlusion for truth in filmed.truths])
    assert np.abs(measured - true).mean() < 0.03
    assert np.corrcoef(measured, true)[0, 1] > 0.95


def test_coverage_counts_hands_over_the_pages_alone(filmed: Filmed) -> None:
    picture, truth = next(
        (picture, truth)
        for picture, truth in zip(filmed.pictures, filmed.truths, strict=True)
        if truth.label == "notflip" and truth.occlusion == 0
    )
    assert truth.book is not None
    left, top, right, bottom = truth.book
    beside, over = (np.full(picture.shape[:2], value, np.float32) for value in (1.0, 0.0))
    beside[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = 0
    over[:, : (left + right) // 2] = 1
    coverage = [FrameMeter()(picture, hands).coverage for hands in (None, np.zeros((9, 16)), beside, over)]
    assert coverage[:2] == [None, 0]
    assert coverage[2] == pytest.approx(0, abs=0.02)
    assert coverage[3] == pytest.approx(0.5, abs=0.15)
