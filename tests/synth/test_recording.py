from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.synth import (
    RecordingConfig,
    SynthConfig,
    recording_events,
    recording_truth,
    render_recording_frame,
)
from flipdetect.synth.recording import recording_scenario
from flipdetect.synth.recording_plan import plan_stretches
from flipdetect.synth.scene.scene import sample_source

LONG = RecordingConfig(seed=4, seconds=120, turns=30, height=128, pace="mixed")
SHORT = RecordingConfig(seed=4, seconds=6, turns=2, height=96, fps=2.0)


@pytest.mark.parametrize("pace", ["slow", "normal", "fast", "mixed"])
def test_a_recording_has_the_turns_that_were_asked_for(pace: str) -> None:
    for config in (
        RecordingConfig(seed=1, seconds=60, turns=20, height=96, pace=pace),
        RecordingConfig(seed=2, seconds=31, turns=20, height=96, pace=pace),
    ):
        events = recording_events(config)
        assert sum(event.completed for event in events) == 20
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        times = [time for event in events for time in (event.start_s, event.peak_s, event.end_s)]
        assert times == sorted(times)
        assert times[0] > 0
        assert times[-1] < config.seconds


def test_spreads_follow_from_the_turns() -> None:
    spread = 0
    for event in recording_events(LONG):
        assert event.spread_before == spread
        step = event.sheets if event.direction == "left" else -event.sheets
        spread += step if event.completed else 0
        assert event.spread_after == spread >= 0


def test_readers_go_back_give_up_and_take_several_sheets() -> None:
    events = [event for index in range(3) for event in recording_events(RecordingConfig(9, index, height=96))]
    assert {event.direction for event in events} == {"left", "right"}
    assert {event.completed for event in events} == {True, False}
    assert {event.behaviour for event in events} >= {"simple", "hesitation", "fall_back", "several", "slow", "flick"}
    assert max(event.sheets for event in events) > 1


def test_hands_may_come_and_turn_nothing() -> None:
    config = RecordingConfig(seed=3, seconds=40, turns=0, visits=9, height=96)
    assert recording_events(config) == ()
    kinds = [stretch.kind for stretch in plan_stretches(config, np.random.default_rng(0))]
    assert sum(kind in ("visit", "false start", "nudge") for kind in kinds) >= 9
    assert "visits" in config.identity()
    assert "visits" not in LONG.identity(), "folders rendered before stay as they are"


def test_the_truth_of_frames_agrees_with_the_events() -> None:
    for event in recording_events(LONG)[:6]:
        for time, inside in ((event.start_s, True), (event.peak_s, True), (event.end_s, True),
                             (event.start_s - 0.002, False), (event.end_s + 0.002, False)):  # fmt: skip
            truth = recording_truth(LONG, time)
            assert (truth.label == "flip") == inside
            assert truth.event == (event.number if inside else 0)
        assert recording_truth(LONG, event.start_s - 0.002).spread == event.spread_before
        assert recording_truth(LONG, event.end_s + 0.002).spread == event.spread_after
        assert recording_truth(LONG, event.peak_s).spread is None


def test_hands_move_without_jumps() -> None:
    for (_, before), (stretch, after) in pairwise(recording_scenario(LONG)):
        for one, other in zip(before.hands, after.hands, strict=True):
            places = [
                hand.anchor(time, clip.turn, np.zeros(3))
                for hand, clip, time in ((one, before, stretch.start - 1e-6), (other, after, stretch.start + 1e-6))
            ]
            assert np.linalg.norm(places[0] - places[1]) < 0.02
            for hand, clip in ((one, before), (other, after)):
                idle, _, share = hand.poses_at(stretch.start, clip.turn)
                assert (idle, share) == (one.idle or one.pose, 0.0)


def page_print(config: RecordingConfig, spread: int) -> list[np.ndarray]:
    """Pictures of a spread at rest while no hand covers it."""
    found = []
    for time in np.arange(0.2, config.seconds, 0.4):
        truth = recording_truth(config, float(time))
        if truth.spread == spread and truth.occlusion < 0.01:
            found.append(render_recording_frame(config, float(time)).image.astype(float))
            if len(found) == 6:
                break
    return found


def test_a_spread_turned_back_to_shows_the_same_pages() -> None:
    found = (RecordingConfig(6, index, seconds=40, turns=10, height=96) for index in range(40))
    events = ((config, recording_events(config)) for config in found)
    back = ((c, e) for c, e in events if any(turn.direction == "right" and turn.spread_after == 1 for turn in e))
    prints = ((page_print(c, 1), page_print(c, max(turn.spread_after for turn in e))) for c, e in back)
    first, other = next((first, other) for first, other in prints if len(first) >= 2 and other)
    alike = min(np.abs(first[0] - picture).mean() for picture in first[1:])
    assert alike < min(np.abs(first[0] - picture).mean() for picture in other)


def test_a_frame_does_not_depend_on_what_was_rendered_before() -> None:
    alone = render_recording_frame(SHORT, 3.1)
    for time in (0.0, 5.9):
        render_recording_frame(SHORT, time)
    again = render_recording_frame(SHORT, 3.1)
    assert np.array_equal(alone.image, again.image)
    assert alone.image.shape == (96, 54, 3)


def test_recordings_have_books_of_their_own() -> None:
    books = [sample_source(config.synth, config.source).book for config in (SHORT, RecordingConfig(4, 1))]
    assert books[0] != books[1]
    assert books[0] not in [sample_source(SynthConfig(4), index).book for index in range(40)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("turns", 500), ("turns", -1), ("seconds", 0.5), ("fps", 0.0), ("pace", "hasty"), ("index", -1)],
)
def test_a_recording_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{field} is {value}; choose"):
        RecordingConfig(**{field: value})
    with pytest.raises(ConfigError, match="time_s is 7"):
        recording_truth(SHORT, 7.0)
