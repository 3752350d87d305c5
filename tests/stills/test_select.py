"""Choosing among measured frames."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import yaml

from flipdetect.errors import ConfigError, DataError
from flipdetect.records import FlipEvent, FrameScore, Still
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.select import choose_stills
from tests.stills.made_up import GOOD, recording, turn


def chosen(frames: list[FrameScore], events: list[FlipEvent], **settings: Any) -> list[Still]:
    return choose_stills(frames, events, StillParameters(**settings), "v")


def test_turns_cut_a_recording_in_one_spread_more() -> None:
    stills = chosen(*recording([1, 2, 3]))
    assert [still.spread for still in stills] == [1, 2, 3]
    assert [(still.start_s, still.end_s) for still in stills] == [(0.0, 3.0), (3.9, 7.0), (7.9, 10.9)]
    assert all(still.video == "v" and not still.flaw and still.same_as is None for still in stills)
    assert all(still.quality is not None and still.quality > 0.9 for still in stills)


def test_a_recording_without_turns_is_one_spread() -> None:
    assert len(chosen(recording([1])[0], [])) == 1
    assert chosen([], []) == []


def spoilt(frames: list[FrameScore], start_s: float, end_s: float, **bad: Any) -> list[FrameScore]:
    """The frames with other measurements between two times."""
    return [
        replace(score, quality=replace(score.quality or GOOD, **bad))
        if score.time_s is not None and start_s < score.time_s < end_s
        else score
        for score in frames
    ]


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        ({"coverage": 0.31}, "covered by a hand (31 %)"),
        ({"exposure": 0.4}, "too dark or overexposed (60 % of the paper)"),
        ({"sharpness": 0.3}, "blurred"),
        ({"motion": 0.05}, "always moving"),
        ({"sharpness": 0.3, "coverage": 0.2}, "blurred, covered by a hand (20 %)"),
    ],
)
def test_a_better_frame_is_chosen_and_a_flaw_told_if_there_is_none(bad: dict[str, Any], flaw: str) -> None:
    frames, events = recording([1, 2, 3])
    everywhere = spoilt(frames, 3.9, 7.0, **bad)
    assert chosen(everywhere, events)[1].flaw == flaw
    better = spoilt(spoilt(frames, 3.9, 5.0, **bad), 5.35, 7.0, **bad)
    still = chosen(better, events)[1]
    assert not still.flaw
    assert still.time_s == pytest.approx(5.2, abs=0.21)


def test_of_good_frames_those_without_a_hand_come_first() -> None:
    frames, events = recording([1, 2, 3])
    touched = spoilt(frames, 3.9, 5.0, coverage=0.028, sharpness=1.02 * GOOD.sharpness)
    assert chosen(touched, events)[1].time_s >= 5.0  # sharper, and nearly as good, are those with a finger on the page


def test_frames_that_look_like_a_turn_come_last() -> None:
    frames, events = recording([1, 2, 3])
    doubtful = [
        replace(score, probability=0.6) if score.time_s is not None and 3.9 < score.time_s < 6.0 else score
        for score in frames
    ]
    assert (chosen(doubtful, events)[1].time_s or 0) >= 6.0


def test_frames_close_to_a_turn_come_last() -> None:
    frames, events = recording([1, 2])
    for still in chosen(frames, events):
        assert still.time_s is not None
        away = min(abs(still.time_s - event) for event in (events[0].start_s, events[0].end_s))
        assert away >= StillParameters().margin_s - 1e-9


def test_blank_pages_are_not_called_blurred() -> None:
    frames, events = recording([1, 0, 2])
    assert chosen(spoilt(frames, 3.9, 7.0, sharpness=0.0), events)[1].flaw == ""


def test_what_is_not_known_costs_nothing() -> None:
    frames, events = recording([1, 2], coverage=None, motion=None)
    unscored = [replace(score, probability=None) for score in frames]
    assert all(still.quality is not None and still.quality > 0.9 for still in chosen(unscored, events))


def test_a_spread_without_frames_is_kept_between_turns_and_left_out_at_the_ends() -> None:
    frames, _ = recording([1, 2])
    events = [turn(1, -1.0, -0.5), turn(2, 3.0, 3.3), turn(3, 3.35, 3.9), turn(4, 7.0, 8.0)]
    stills = chosen(frames, events)
    assert [still.time_s is None for still in stills] == [False, True, False]
    assert [still.spread for still in stills] == [2, 3, 4]
    missing = stills[1]
    assert (missing.quality, missing.frame, missing.measured) == (None, None, None)
    assert "no frame" in missing.flaw


def test_a_glimpse_is_kept_between_turns_and_at_the_ends_only_if_it_is_good() -> None:
    frames, _ = recording([1, 2])
    events = [turn(1, 0.25, 1.0), turn(2, 1.25, 3.9), turn(3, 6.5, 6.7)]
    brief = "in view for only 0.2 s"
    assert [still.flaw for still in chosen(frames, events)] == [brief, brief, "", brief]
    blurred = chosen(spoilt(frames, -1.0, 1.15, sharpness=0.1), events)
    assert [(still.start_s, still.flaw) for still in blurred] == [(1.0, brief), (3.9, ""), (6.7, brief)]


def test_frames_that_were_not_measured_are_passed_over() -> None:
    frames, events = recording([1, 2])
    unread = [replace(score, quality=None, time_s=None) if place % 3 else score for place, score in enumerate(frames)]
    assert len(chosen(unread, events)) == 2


def test_frames_and_turns_must_be_in_order() -> None:
    frames, events = recording([1, 2, 3])
    with pytest.raises(DataError, match="order of time"):
        chosen(frames[::-1], events)
    with pytest.raises(DataError, match="order of time"):
        chosen(frames, events[::-1])
    with pytest.raises(DataError, match="no time"):
        chosen([replace(frames[0], time_s=None)], events)


def test_parameters_go_through_yaml() -> None:
    parameters = StillParameters(coverage=(0.1, 0.5), suspects=2)
    assert StillParameters.from_dict(yaml.safe_load(yaml.safe_dump(parameters.to_dict()))) == parameters
    assert StillParameters.from_dict({}) == StillParameters()


@pytest.mark.parametrize(
    "wrong",
    [
        {"covrage": [0.1, 0.3]},
        {"coverage": [0.3, 0.1]},
        {"coverage": [0.1, 1.3]},
        {"coverage": 0.3},
        {"exposure": [0.3, 0.9]},
        {"motion": [1.0, math.inf]},
        {"least_motion": 0},
        {"margin_s": -1},
        {"margin_mark": 2},
        {"low_odds": math.nan},
        {"suspects": 1.5},
        {"suspect_likeness": 2},
        {"confirm_agreement": 0},
        {"gap_s": "long"},
    ],
)
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"still"):
        StillParameters.from_dict(wrong)
