"""Turns by what lies there before and after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flipdetect.records import CONTENT, FlipEvent, FrameScore, Still
from flipdetect.stills.changes import add_content_changes, find_rests, mark_doubts, same_pages_after
from flipdetect.stills.fingerprint import GRID, decode_print, encode_print, likeness, likeness_of_pairs
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.select import choose_stills
from tests.stills.made_up import frame, printed, recording


def film(*spreads: tuple[int, float], fps: float = 10.0) -> list[FrameScore]:
    """Spreads at rest one after the other, without a turn: (number of the print, seconds) each."""
    prints = [(spread, place) for spread, seconds in spreads for place in range(round(seconds * fps))]
    return [
        frame(number / fps, fingerprint=printed(spread, 0.005, number), motion=0.0 if place else 0.1)
        for number, (spread, place) in enumerate(prints)
    ]


def covered(score: FrameScore, columns: slice) -> FrameScore:
    """The frame with a hand over some columns of the fingerprint: they are not seen."""
    assert score.quality is not None
    levels = decode_print(score.quality.fingerprint)
    seen = np.isfinite(levels).astype(np.float32)
    seen[:, columns] = 0
    slopes = (levels / 14) ** 2 * 0.36
    return replace(score, quality=replace(score.quality, fingerprint=encode_print(np.nan_to_num(slopes), seen)))


def moved(score: FrameScore, cells: int) -> FrameScore:
    """The frame with the book pushed to the right."""
    assert score.quality is not None
    levels = np.roll(decode_print(score.quality.fingerprint), cells, axis=1)
    fingerprint = encode_print((levels / 14) ** 2 * 0.36, np.ones((GRID, GRID), np.float32))
    return replace(score, quality=replace(score.quality, fingerprint=fingerprint))


def test_pages_that_change_without_a_turn_are_found() -> None:
    frames = film((1, 2.0), (2, 1.0), (3, 1.5), (1, 1.0))
    changes = add_content_changes([], frames)
    assert [change.number for change in changes] == [1, 2, 3]
    assert [change.start_s for change in changes] == [2.0, 3.0, 4.5]
    assert {change.kind for change in changes} == {CONTENT}
    assert all(change.start_frame == round(change.start_s * 10) for change in changes)
    assert len(choose_stills(frames, changes)) == 4


def test_a_cross_fade_is_one_change() -> None:
    faded = film((1, 2.0), (0, 0.4), (2, 2.0))
    slopes = [(decode_print(printed(spread)) / 14) ** 2 * 0.36 for spread in (1, 2)]
    for place, share in zip(range(20, 24), (0.2, 0.4, 0.6, 0.8), strict=True):
        mixed = encode_print((1 - share) * slopes[0] + share * slopes[1], np.ones((GRID, GRID), np.float32))
        faded[place] = frame(place / 10, fingerprint=mixed, motion=0.05)
    (change,) = add_content_changes([], faded)
    assert 1.9 <= change.start_s <= change.end_s <= 2.4


def test_a_hand_that_sweeps_over_the_page_changes_nothing() -> None:
    frames = film((1, 6.0))
    for place in range(10, 50):
        left = (place - 10) % 20
        frames[place] = covered(frames[place], slice(left, left + 9))
    assert add_content_changes([], frames) == []


def test_a_book_that_is_pushed_a_little_shows_the_same_pages() -> None:
    frames = film((1, 4.0))
    assert add_content_changes([], frames[:20] + [moved(score, 2) for score in frames[20:]]) == []


def test_a_glimpse_is_no_rest_and_blank_pages_tell_nothing() -> None:
    assert add_content_changes([], film((1, 2.0), (2, 0.2), (1, 2.0))) == []
    assert add_content_changes([], film((1, 2.0), (0, 1.0), (1, 2.0))) == []
    assert add_content_changes([], []) == []


def test_a_page_of_which_little_was_seen_hides_no_later_change() -> None:
    frames = film((1, 2.0), (2, 2.0), (3, 2.0), (3, 1.0))
    little = [covered(score, slice(4, GRID)) if place < 20 else score for place, score in enumerate(frames)]
    changes = add_content_changes([], little)
    assert [change.start_s for change in changes] == [
        2.0,
        4.0,
    ]  # what was there first cannot be compared: it may differ
    stills = mark_doubts(choose_stills(little, changes), changes, little, 0.5, StillParameters())
    assert ["may show the pages of spread 1" in still.doubt for still in stills] == [False, True, False]


def test_pages_around_a_blank_one_are_compared() -> None:
    assert len(add_content_changes([], film((1, 2.0), (0, 1.0), (2, 2.0)))) == 1
    assert add_content_changes([], film((1, 2.0), (0, 1.0), (1, 2.0))) == []


def test_turns_that_were_seen_are_not_doubled() -> None:
    frames, turns = recording([1, 2, 3, 3])
    assert add_content_changes(turns, frames) == turns


def test_turns_that_were_missed_are_added_in_order() -> None:
    frames, turns = recording([1, 2, 3, 4])
    found = add_content_changes([turns[0], turns[2]], frames)
    assert [(event.number, event.kind) for event in found] == [(1, "turn"), (2, CONTENT), (3, "turn")]
    assert turns[1].start_s <= found[1].start_s <= found[1].end_s <= turns[1].end_s + 0.1
    assert found[1].peak_probability == 0.95


def test_a_turn_that_is_seen_within_a_rest_hides_no_change() -> None:
    frames = film((1, 2.0), (2, 1.1), (3, 2.0))
    (_, turns) = recording([1, 2])
    (within,) = (replace(turn, start_s=2.5, peak_s=2.8, end_s=3.0) for turn in turns)
    assert [event.kind for event in add_content_changes([within], frames)] == [CONTENT, "turn"]


def test_a_film_that_is_one_turn_is_divided() -> None:
    frames = film((1, 2.0), (2, 0.7), (3, 2.0))
    (_, turns) = recording([1, 2])
    whole = replace(turns[0], start_s=0.0, end_s=frames[-1].time_s or 0.0)
    assert len(add_content_changes([whole], frames, longest_turn_s=2.0)) == 2


def test_a_long_turn_is_divided_by_rests_inside_it() -> None:
    frames, turns = recording([1, 2, 3])
    long = replace(turns[0], end_s=turns[1].end_s, peak_probability=0.95)
    assert [event.start_s for event in add_content_changes([long], frames, longest_turn_s=2.0)] == [3.0, 7.0]
    in_the_air = [replace(score, probability=0.9) if 3.0 < (score.time_s or 0) < 7.9 else score for score in frames]
    assert len(add_content_changes([long], in_the_air, longest_turn_s=2.0)) == 2
    assert add_content_changes([long], in_the_air, longest_turn_s=9.0) == [long], "a page that is held in the air"
    stills = mark_doubts(stills_of(in_the_air, [long]), [long], in_the_air, 0.5, StillParameters(), 9.0)
    assert stills[1].doubt == "pages may be missing before it: something lay still during the turn"


def test_a_turn_that_never_ends_hides_no_page_at_the_end() -> None:
    frames = film((1, 2.0), (0, 0.5), (2, 2.5))
    turn = FlipEvent(1, 2.0, 2.2, 4.9, 20, 22, 49, mean_probability=0.8, peak_probability=0.95)
    (found,) = add_content_changes([turn], frames, longest_turn_s=2.0)
    assert (found.start_s, found.peak_probability) == (2.0, 0.95)
    assert found.end_s <= 2.5
    assert len(choose_stills(frames, [found])) == 2


def test_noise_of_a_dark_film_is_taken_into_account() -> None:
    rng = np.random.default_rng(0)
    frames = [frame(place / 10, fingerprint=printed(1, 0.04, int(rng.integers(1 << 30)))) for place in range(60)]
    assert add_content_changes([], frames) == []
    rests, same = find_rests(frames)
    assert rests[0].end_s - rests[0].start_s > 4.0
    assert same < StillParameters().same_likeness


def test_pairs_are_compared_as_all_with_all() -> None:
    levels = np.stack([decode_print(printed(spread, 0.0005, seed)) for seed, spread in enumerate((1, 1, 2, 0))])
    pairs = likeness_of_pairs(levels[[0, 0, 0]], levels[[1, 2, 3]])
    assert pairs[0] == pytest.approx(likeness(levels)[0, 1])
    assert pairs[1] < 0.4
    assert np.isnan(pairs[2])


def stills_of(frames: list[FrameScore], turns: list[FlipEvent], same: dict[int, int] | None = None) -> list[Still]:
    return [replace(still, same_as=(same or {}).get(still.spread)) for still in choose_stills(frames, turns)]


def test_the_same_pages_after_a_turn_are_known_by_the_stills() -> None:
    frames, turns = recording([1, 2, 2, 1, 1])
    assert same_pages_after(turns, stills_of(frames, turns, {3: 2, 4: 1, 5: 1})) == {2, 4}


def test_doubtful_spreads_say_why() -> None:
    frames, turns = recording([1, 1, 2])
    weak = [replace(turns[0], peak_probability=0.4), turns[1]]
    doubts = [still.doubt for still in mark_doubts(stills_of(frames, weak), weak, frames, 0.5, StillParameters())]
    assert doubts == ["", "may show the pages of spread 1: the turn before it is uncertain", ""]
    added = [replace(turns[0], kind=CONTENT), turns[1]]
    doubts = [still.doubt for still in mark_doubts(stills_of(frames, added), added, frames, 0.5, StillParameters())]
    assert doubts == ["", "may show the pages of spread 1: no turn was seen before it", ""]
    known = mark_doubts(stills_of(frames, weak, {2: 1}), weak, frames, 0.5, StillParameters())
    assert not any(still.doubt for still in known), "repeats are not kept"
    long = [turns[0], replace(turns[1], end_s=8.5)]
    doubts = [still.doubt for still in mark_doubts(stills_of(frames, long), long, frames, 0.5, StillParameters(), 1.4)]
    assert doubts == ["", "", "pages may be missing before it: the turn takes 1.5 s"]


def test_a_spread_with_frames_of_other_pages_is_doubtful() -> None:
    frames = film((1, 2.0), (2, 2.0))
    (still,) = mark_doubts(stills_of(frames, []), [], frames, 0.5, StillParameters())
    assert still.doubt.startswith("pages may be missing: ")


def test_a_weak_turn_to_pages_under_an_arm_is_doubtful() -> None:
    frames, turns = recording([1, 2])
    weak = [replace(turns[0], peak_probability=0.4)]
    stills = stills_of(frames, weak)
    under = [replace(still, measured=replace(still.measured, coverage=0.25)) for still in stills if still.measured]
    for given, doubtful in ((stills, False), (under, True)):
        marked = mark_doubts(given, weak, frames, 0.5, StillParameters())
        assert ("uncertain" in marked[1].doubt) == doubtful
