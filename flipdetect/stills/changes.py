"""Whether pages were turned, from what lies there before and after: rests, and the content of the pages at rest.

A page that changed was turned, whatever a network says in between; a "turn" after which the same pages lie there was
none, or was taken back. Here fingerprints are compared; `repeats` compares pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flipdetect.events.score_history import log_odds
from flipdetect.records import CONTENT, FlipEvent, FrameScore, Still
from flipdetect.stills.fingerprint import decode_print, likeness_of_pairs, mean_levels, shows_print
from flipdetect.stills.parameters import StillParameters

Floats = NDArray[np.float32]

STEADY = 0.9
"""Correlation of the fingerprints of two frames in a row, relative to the film's median, from which nothing but hands
moves."""

LONG_REST_S, HELD_ODDS = 0.8, 0.7
"""Seconds that a page held in the air hardly lies still, and log-odds of a flip by which it exceeds the rests around
it at least."""

STEADY_MOTION = 0.02
"""Motion up to which two frames count as steady where their fingerprints cannot be compared: blank pages."""

LONGEST_GAP_S = 10.0
"""Seconds between two frames up to which they may show one rest: a film is not decoded while nothing changes."""

PAIR_S, MOST_WEIGHT_S = 0.1, 1.0
"""Seconds between frames usually, and at most those for which a frame stands where others were left out."""

UNLIKE, UNLIKE_SHARE = 0.6, 0.3
"""Correlation of a frame with its spread's still below which it shows something else, and the share of such frames
from which a spread is doubtful."""

HIDDEN = 0.15
"""Share of the pages under a hand from which likeness of two stills says nothing: an arm that lies there is content."""


@dataclass(frozen=True, eq=False)
class Rest:
    """A time in which the same pages lie there, as far as is seen.

    Attributes:
        start_s, end_s: seconds of its first and of its last frame.
        levels: (n, n) levels of the fingerprints, NaN where hands covered the pages all the time.
        odds: median log-odds of a flip of its frames; NaN if none was scored.
    """

    start_s: float
    end_s: float
    levels: Floats
    odds: float


def find_rests(frames: Sequence[FrameScore], parameters: StillParameters | None = None) -> tuple[list[Rest], float]:
    """The times of a film in which the content of the pages stays the same for `shortest_rest_s` at least.

    Returns:
        The rests in order, and the correlation of fingerprints from which two of them show the same pages: that of the
        parameters, times the film's median correlation of two frames in a row. Fingerprints of dark films are noisy.

    Raises:
        ValueError: if a fingerprint was not made by `FrameMeter`.
    """
    settings = parameters or StillParameters()
    rows = [(frame.time_s, frame, frame.quality) for frame in frames if frame.time_s is not None and frame.quality]
    if not rows:
        return [], settings.same_likeness
    times = np.array([time for time, _, _ in rows])
    levels = np.stack([decode_print(quality.fingerprint) for _, _, quality in rows])
    odds = log_odds([np.nan if frame.probability is None else frame.probability for _, frame, _ in rows])
    alike = likeness_of_pairs(levels[:-1], levels[1:])
    moved = np.array([quality.motion or 0.0 for _, _, quality in rows])[1:]
    # Frames are dense where something moves: pairs count by the time between them.
    many = np.clip(np.rint(np.diff(times) / PAIR_S), 1, MOST_WEIGHT_S / PAIR_S).astype(np.int64)
    known = np.repeat(alike, many)[np.isfinite(np.repeat(alike, many))]
    usual = float(np.median(known)) if known.size else 1.0
    same = settings.same_likeness * usual
    steady = np.where(np.isnan(alike), moved <= STEADY_MOTION, alike >= STEADY * usual) & (
        np.diff(times) <= max(settings.gap_s, LONGEST_GAP_S)
    )
    alike = np.nan_to_num(alike, nan=1.0)

    def settled(first: int, end: int) -> Iterator[Rest]:
        """The frames from `first` to before `end` as a rest; as several, if the content changes slowly."""
        if times[end - 1] - times[first] < settings.shortest_rest_s:
            return
        third = max(1, (end - first) // 3)
        early, late = mean_levels(levels[first : first + third]), mean_levels(levels[end - third : end])
        if likeness_of_pairs(early[None], late[None])[0] < same:
            cut = first + 1 + int(np.argmin(alike[first : end - 1]))
            yield from settled(first, cut)
            yield from settled(cut, end)
            return
        known = odds[first:end][np.isfinite(odds[first:end])]
        middle = float(np.median(known)) if known.size else math.nan
        yield Rest(float(times[first]), float(times[end - 1]), mean_levels(levels[first:end]), middle)

    cuts = [0, *(np.flatnonzero(~steady) + 1).tolist(), len(rows)]
    return [rest for first, end in pairwise(cuts) for rest in settled(first, end)], same


def add_content_changes(
    turns: Sequence[FlipEvent],
    frames: Sequence[FrameScore],
    parameters: StillParameters | None = None,
    longest_turn_s: float = math.inf,
) -> list[FlipEvent]:
    """The turns of a film, with those that were not seen: other pages lie there at a rest than at the rest before it.

    A turn is divided where there is a long rest with other pages inside it; one longer than `longest_turn_s` by shorter
    rests as well. If the film ends with a turn in which other pages come to rest, the turn ends there.

    Args:
        frames: of the film, in order of time; content is known of those that were measured.
        longest_turn_s: seconds that a turn lasts at most, as far as is known.

    Returns:
        Turns numbered in order of time; of those added, the kind is `CONTENT`.

    Raises:
        ValueError: if a fingerprint was not made by `FrameMeter`.
    """
    rests, same = find_rests(frames, parameters)
    shortest_rest_s = (parameters or StillParameters()).shortest_rest_s
    found: list[FlipEvent] = []
    for turn in turns:
        around = _around(turn, rests, longest_turn_s)
        pieces = _changes(around, frames, same)
        if len(pieces) == 1 and around[-1].start_s < turn.end_s:
            ended = replace(turn, end_s=pieces[0].end_s, end_frame=pieces[0].end_frame)
            turn = ended if turn.peak_s <= ended.end_s else replace(pieces[0], kind=turn.kind)
        found += pieces if len(pieces) > 1 else [turn]
    bounds = [-math.inf, *(time for turn in found for time in (turn.start_s, turn.end_s)), math.inf]
    added: list[FlipEvent] = []
    for low, high in zip(bounds[::2], bounds[1::2], strict=True):
        # A rest that reaches into a turn counts if enough of it lies outside.
        between = [
            rest
            for rest in rests
            if low < (rest.start_s + rest.end_s) / 2 < high
            or min(rest.end_s, high) - max(rest.start_s, low) >= shortest_rest_s
        ]
        changes = _changes(between, frames, same, unknown=True)
        added += [change for change in changes if low < change.start_s and change.end_s < high]
    every = sorted([*found, *added], key=lambda turn: turn.start_s)
    return [replace(turn, number=number) for number, turn in enumerate(every, 1)]


def _around(turn: FlipEvent, rests: Sequence[Rest], longest_turn_s: float) -> list[Rest]:
    """The rest before a turn, those inside it at which no page seems to be held in the air, and the one after it."""
    placed = [((rest.start_s + rest.end_s) / 2, rest) for rest in rests]
    before = [rest for time, rest in placed if time <= turn.start_s][-1:]
    after = [rest for time, rest in placed if time >= turn.end_s][:1]
    usual = max((rest.odds for rest in before + after), default=math.inf)
    too_long = turn.duration_s > longest_turn_s
    inside = [
        rest
        for time, rest in placed
        if turn.start_s < time < turn.end_s
        # Of these three, two are enough.
        and too_long + (rest.end_s - rest.start_s >= LONG_REST_S) + (rest.odds <= usual + HELD_ODDS) >= 2
    ]
    return before + inside + after if inside else []


def _changes(
    rests: Sequence[Rest], frames: Sequence[FrameScore], same: float, *, unknown: bool = False
) -> list[FlipEvent]:
    """Where other pages lie there at one of some rests than at those before it.

    A rest is compared with the last one before it that it can be compared with. If there is none, though both show
    print, too little was seen of one of them: pages may have changed, and with `unknown` it counts as if they had.
    """
    found: list[FlipEvent] = []
    if not rests:
        return found
    timed = [(frame.time_s, frame) for frame in frames if frame.time_s is not None]
    last, shown = rests[0], [rests[0].levels]
    for rest in rests[1:]:
        alike, place = math.nan, len(shown)
        while math.isnan(alike) and place:
            place -= 1
            alike = float(likeness_of_pairs(shown[place][None], rest.levels[None])[0])
        unsure = unknown and math.isnan(alike) and shows_print(rest.levels) and any(map(shows_print, shown))
        if alike < same or unsure:
            # The frames between the two rests, or the first one of the second rest if there are none.
            inside = [row for row in timed if last.end_s < row[0] < rest.start_s]
            inside = inside or [next(row for row in timed if row[0] >= rest.start_s)]
            scores = [-1.0 if frame.probability is None else frame.probability for _, frame in inside]
            known = [score for score in scores if score >= 0] or [0.0]
            times, seen = zip(*inside, strict=True)
            peak = int(np.argmax(scores))
            found.append(
                FlipEvent(
                    0, times[0], times[peak], times[-1], seen[0].frame, seen[peak].frame, seen[-1].frame,
                    float(np.mean(known)), float(max(known)), seen[0].video, CONTENT,
                )
            )  # fmt: skip
            shown = [rest.levels]
        elif math.isnan(alike):
            shown.append(rest.levels)
        else:
            shown[place] = np.where(np.isfinite(rest.levels), rest.levels, shown[place])
        last = rest
    return found


def same_pages_after(turns: Sequence[FlipEvent], stills: Sequence[Still]) -> set[int]:
    """Numbers of the turns after which the same pages lie there as before, by `same_as` of the stills."""
    first = {still.spread: still.same_as or still.spread for still in stills}
    return {turn.number for turn in turns if turn.number in first and first[turn.number] == first.get(turn.number + 1)}


def mark_doubts(
    stills: Sequence[Still],
    turns: Sequence[FlipEvent],
    frames: Sequence[FrameScore],
    threshold: float,
    parameters: StillParameters,
    longest_turn_s: float = math.inf,
) -> list[Still]:
    """Stills that say in `doubt` why their spread may be there twice, or may be missing pages.

    Args:
        turns: numbered as the spreads are: turn n reveals spread n + 1.
        longest_turn_s: seconds that a turn lasts at most, as far as is known.
    """
    by_number = {still.spread: still for still in stills}
    long = [rest for rest in find_rests(frames, parameters)[0] if rest.end_s - rest.start_s >= LONG_REST_S]
    doubts: dict[int, list[str]] = {still.spread: [] for still in stills}
    for turn in turns:
        before, after = by_number.get(turn.number), by_number.get(turn.number + 1)
        if after is None or after.same_as is not None:
            continue
        alike, hidden = math.nan, False  # comparisons with NaN are false
        if before is not None and before.measured is not None and after.measured is not None:
            prints = (decode_print(still.fingerprint)[None] for still in (before.measured, after.measured))
            alike = float(likeness_of_pairs(*prints)[0])
            hidden = any((still.measured.coverage or 0.0) > HIDDEN for still in (before, after) if still.measured)
        if turn.kind == CONTENT and not alike < UNLIKE:
            doubts[after.spread].append(f"may show the pages of spread {turn.number}: no turn was seen before it")
        elif (
            turn.kind != CONTENT
            and turn.peak_probability < threshold
            and (hidden or not alike < parameters.same_likeness)
        ):
            doubts[after.spread].append(f"may show the pages of spread {turn.number}: the turn before it is uncertain")
        if turn.duration_s > longest_turn_s:
            doubts[after.spread].append(f"pages may be missing before it: the turn takes {turn.duration_s:.1f} s")
        elif any(turn.start_s < rest.start_s and rest.end_s < turn.end_s for rest in long):
            doubts[after.spread].append("pages may be missing before it: something lay still during the turn")
    for still in stills:
        share = _share_unlike(still, frames)
        if share >= UNLIKE_SHARE:
            doubts[still.spread].append(f"pages may be missing: {share:.0%} of its frames look different")
    return [replace(still, doubt="; ".join(doubts[still.spread])) for still in stills]


def _share_unlike(still: Still, frames: Sequence[FrameScore]) -> float:
    """Share of a spread's time, by the frames that can be compared, in which it looks different from its still."""
    inside = [
        (frame.time_s, frame.quality.fingerprint)
        for frame in frames
        if frame.quality and frame.time_s is not None and still.start_s < frame.time_s < still.end_s
    ]
    if still.measured is None or not inside:
        return 0.0
    own = decode_print(still.measured.fingerprint)
    alike = likeness_of_pairs(np.stack([decode_print(text) for _, text in inside]), np.stack([own] * len(inside)))
    # Frames are dense where something moves, and stand for less time there.
    apart = np.minimum(np.diff([still.start_s, *(time for time, _ in inside), still.end_s]), MOST_WEIGHT_S)
    known = np.isfinite(alike)
    return float(np.average(alike[known] < UNLIKE, weights=(apart[:-1] + apart[1:])[known])) if known.any() else 0.0
