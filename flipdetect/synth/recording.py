"""Long recordings of one book: many turns, and all that is none; any frame of it alone."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from flipdetect.errors import ConfigError
from flipdetect.synth.camera import Camera, Move, sample_camera_move, sample_capture, sample_refocus
from flipdetect.synth.clip import CLASSES, Clip, sheet_at, sheet_displacements, shows_motion
from flipdetect.synth.config import RecordingConfig
from flipdetect.synth.recording_plan import NUDGE, TURN, Stretch, hand_tracks, plan_stretches, stay_of
from flipdetect.synth.render.renderer import RenderedFrame, expose_clip
from flipdetect.synth.scenario import sample_style
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.sheet import TurnStyle
from flipdetect.synth.truth.frame_truth import FrameTruth, clip_truth
from flipdetect.synth.truth.maps import draw_map
from flipdetect.synth.truth.silhouette import Mask

RECORDING_STREAM = 9
REFOCUSED, CAMERA_MOVED = 0.7, 0.25
"""How often a minute the phone looks for focus, and is moved."""

IN_VIEW, AIMS = 0.6, 25
"""Share of the paper that must be inside the frame in the course of a turn, and views that are tried for it."""

PLAIN = TurnStyle(lead=0.2, taper=0.5, side=1, bulge=0.0)

PROBES, HALVINGS = 24, 11
"""Moments of a turn at which the label rule is looked at, and halvings that find where it is crossed: to 0.1 ms."""


@dataclass(frozen=True)
class TurnEvent:
    """A turn as the label rule sees it, from the first moment at which a frame shows a flip to the last.

    In between a sheet that waits close to where it will lie may for a moment be no flip.

    Attributes:
        number: from 1, in order of time; attempts that show a flip count, false starts do not.
        start_s, end_s: seconds at which the sheet comes to be visibly off its rests, and at which it no longer is.
        peak_s: second at which it is farthest from both.
        direction: "left" (forward) or "right" (back).
        completed: whether the sheet came to lie on the other side.
        spread_before, spread_after: numbers of the spreads.
    """

    number: int
    start_s: float
    peak_s: float
    end_s: float
    direction: str
    completed: bool
    spread_before: int
    spread_after: int
    sheets: int
    behaviour: str


@dataclass(frozen=True)
class RecordingTruth(FrameTruth):
    """The truth about a frame of a recording.

    Attributes:
        time_s: second at which it was taken.
        spread: number of the spread that lies there; None during an event.
    """

    time_s: float
    spread: int | None


def recording_events(config: RecordingConfig) -> tuple[TurnEvent, ...]:
    """The turns of a recording in order, those given up included if they show a flip."""
    return tuple(event for event in _events(config) if event is not None)


def recording_truth(config: RecordingConfig, time_s: float) -> RecordingTruth:
    """The truth about the frame at `time_s` seconds, without rendering it.

    Raises:
        ConfigError: if the recording has no such time.
    """
    stretch, clip, event = _find(config, time_s)
    known = vars(clip_truth(config.synth, clip, time_s, round(time_s * config.fps) + 1))
    known = known | {"source": f"recording-{config.index:04d}", "event": 0}
    if stretch.kind != TURN:
        known["behaviour"] = ""
    spread: int | None = stretch.spread
    if event is not None and event.start_s <= time_s <= event.end_s:
        known["event"], spread = event.number, None
    elif event is not None and time_s > event.end_s:
        spread = stretch.spread_after
    return RecordingTruth(**known, time_s=time_s, spread=spread)


def render_recording_frame(config: RecordingConfig, time_s: float) -> RenderedFrame:
    """The frame at `time_s` seconds, the same whether others were rendered before it or not.

    Raises:
        ConfigError: if the recording has no such time.
    """
    _, clip, _ = _find(config, time_s)
    return RenderedFrame(*expose_clip(config.synth, clip, time_s), truth=recording_truth(config, time_s))


def recording_map(config: RecordingConfig, time_s: float) -> Mask:
    """The map (h, w, 3) uint8 of the frame at `time_s` seconds, as `maps.draw_map` makes it.

    Raises:
        ConfigError: if the recording has no such time.
    """
    _, clip, _ = _find(config, time_s)
    return draw_map(config.synth, clip, time_s)


def _find(config: RecordingConfig, time_s: float) -> tuple[Stretch, Clip, TurnEvent | None]:
    """The stretch of a moment, its scenario, and its event if any."""
    if not 0 <= time_s <= config.seconds:
        raise ConfigError(f"time_s is {time_s}; choose 0 to {config.seconds:g} seconds")
    scenario = recording_scenario(config)
    index = max(0, bisect_right(scenario, time_s, key=lambda item: item[0].start) - 1)
    return *scenario[index], _events(config)[index]


@lru_cache(maxsize=8)
def recording_scenario(config: RecordingConfig) -> tuple[tuple[Stretch, Clip], ...]:
    """Everything that happens in a recording: its stretches, each with its scenario."""
    rng = config.synth.stream(RECORDING_STREAM, config.index)
    source = sample_source(config.synth, config.source)
    stretches = plan_stretches(config, rng)
    hands = hand_tracks(rng, source.book, stretches)
    # One phone for the whole recording, which looks for focus and is moved now and then.
    scale = config.height / 384
    capture, minutes = sample_capture(rng, _aim(config, rng), scale, config.seconds), config.seconds / 60
    searches = tuple(sample_refocus(rng, config.seconds) for _ in range(rng.poisson(REFOCUSED * minutes)))
    moves = [sample_camera_move(rng, scale, config.seconds) for _ in range(rng.poisson(CAMERA_MOVED * minutes))]
    moves.sort(key=lambda move: move.start)
    capture = replace(capture, moves=_wander(moves), refocus=searches)
    places = []
    for stretch in stretches:
        if stretch.kind == NUDGE:  # the book moves while a hand is at its edge
            come, go = stay_of(stretch)
            x, y, turn = rng.normal(0, [0.07, 0.07, 0.05]).tolist()
            places.append(Move(come + 0.2 * (go - come), min(go, come + 0.2 * (go - come) + 0.8), x, y, turn))
    pushes = _wander(places)
    clips = []
    for stretch, pair in zip(stretches, hands, strict=True):
        style, turns = sample_style(rng), stretch.kind == TURN
        to_left = stretch.to_left or not turns
        clip = Clip(
            index=config.source,
            source=config.source,
            label=CLASSES.positive if turns else CLASSES.negative,
            video=f"frames/{config.index:04d}",
            # Sheet k is the one that lies on the left of spread k.
            sheet=stretch.spread + 1 if to_left else stretch.spread,
            to_left=to_left,
            turn=stretch.turn,
            style=style,
            rest=0.0,
            below=(1.0, 0.0),
            grip_y=style.side * rng.uniform(-0.1, 0.48) * source.book.height,
            hands=pair,
            capture=capture,
            pushes=pushes,
            clutter=None,
            duration=config.seconds,
        )
        clips.append(clip)
    return tuple(zip(stretches, clips, strict=True))


def _aim(config: RecordingConfig, rng: np.random.Generator) -> Camera:
    """A view of the book with enough of its turns in the frame: the first such of some draws, or the best."""
    source = sample_source(config.synth, config.source)
    paper = np.concatenate([sheet_at(source, PLAIN, share).points().reshape(-1, 3) for share in (0.0, 0.3, 0.7, 1.0)])
    views = []
    for attempt in range(AIMS):
        wider, shift = 0.97**attempt, rng.normal(0, 0.05 + 0.03 * attempt, 2)
        camera = source.camera(config.synth, wider, tuple(shift.tolist()), rng.normal(0, 0.03))
        pixels = camera.project(paper)
        seen = float(((pixels >= 0) & (pixels < config.synth.frame_size(config.source))).all(axis=1).mean())
        views.append((seen, camera))
        if seen > IN_VIEW:
            return camera
    return max(views, key=lambda view: view[0])[1]


def _wander(places: list[Move]) -> tuple[Move, ...]:
    """Moves from one place to the next, of moves that all lead from the first place."""
    moves, last = [], Move(0, 1, 0, 0, 0)
    for move in places:
        offset = {name: getattr(move, name) - getattr(last, name) for name in ("x", "y", "turn", "zoom")}
        moves.append(replace(move, **offset))
        last = move
    return tuple(moves)


@lru_cache(maxsize=8)
def _events(config: RecordingConfig) -> tuple[TurnEvent | None, ...]:
    """The event of each stretch of a recording, None where no sheet is visibly turned."""
    events: list[TurnEvent | None] = []
    for stretch, clip in recording_scenario(config):
        event, crossings = None, _crossings(config, clip) if stretch.kind == TURN else None
        if crossings is not None:
            event = TurnEvent(
                1 + sum(other is not None for other in events),
                *crossings,
                direction="left" if stretch.to_left else "right",
                completed=stretch.turn.completed,
                spread_before=stretch.spread,
                spread_after=stretch.spread_after,
                sheets=stretch.turn.sheets,
                behaviour=stretch.turn.behaviour,
            )
        events.append(event)
    return tuple(events)


def _crossings(config: RecordingConfig, clip: Clip) -> tuple[float, float, float] | None:
    """Seconds at which the label rule is first met, best met, and last met; None if never."""
    times = np.linspace(clip.turn.start, clip.turn.end, PROBES).tolist()
    away = [sheet_displacements(config.synth, clip, time) for time in times]
    moving = [place for place, distances in enumerate(away) if shows_motion(distances)]
    if not moving:
        return None
    peak = int(np.argmax([distances.min(axis=1).max() for distances in away]))
    start = _boundary(config, clip, times[moving[0]], times[moving[0] - 1])
    end = _boundary(config, clip, times[moving[-1]], times[moving[-1] + 1])
    return start, times[peak], end


def _boundary(config: RecordingConfig, clip: Clip, inside: float, outside: float) -> float:
    """The moment between two at which the rule starts or ceases to be met, on the side where it is met."""
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        if shows_motion(sheet_displacements(config.synth, clip, middle)):
            inside = middle
        else:
            outside = middle
    return inside
