"""What happens in a clip of the data set, and at which moments it is photographed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from flipdetect.errors import ConfigError
from flipdetect.synth.camera import Camera, Move, sample_capture
from flipdetect.synth.clip import CLASSES, RAISED, Clip, displacements, sheet_at
from flipdetect.synth.config import FRAME_RATE, SynthConfig
from flipdetect.synth.hands.gestures import sample_hands, vary_hands
from flipdetect.synth.scene.desk import sample_clutter
from flipdetect.synth.scene.scene import SHEETS, Source, sample_source
from flipdetect.synth.scene.variety import vary_turn
from flipdetect.synth.sheet import TurnStyle
from flipdetect.synth.truth.maps import draw_map
from flipdetect.synth.turn import BEHAVIOUR_CHANCES, BEHAVIOURS, shape_turn

CLIP_STREAM, FRAMES_STREAM, VARIATION_STREAM, BENDING_STREAM = 5, 6, 10, 12

IN_VIEW = 0.35
"""Share of the moving sheet that must be inside the frame."""

EDGE_IN_VIEW = 0.15
"""Length of its free edge that must be inside the frame, as a share of the frame's long side. Without it, a sheet that
covers the page below looks like that page: a seventh of the flips were of this kind before, unrecognisable by eye."""

EDGE_POINTS = 9

UNCOVERED = 0.004
"""Share of the frame that the line along the free edge covers where hands leave enough of it to be seen."""

STANDS_OFF = 0.4
"""Share of the clips in which the page on top does not lie flat."""

NUDGED = 0.2
"""Share of the clips in which the book is pushed."""

MAX_ATTEMPTS = 60
WIDER = 0.96
"""Zoom of each attempt of the later half against the one before, where a view may be too close for any turn."""

TRIES = 6
"""Moments of a stretch at which the hands are looked at."""

PROBES = 15
"""Moments of a turn at which displacement is computed; between them it is interpolated."""


@lru_cache(maxsize=256)
def sample_clip(config: SynthConfig, index: int) -> Clip:
    """The scenario of clip `index`: even indices are flips, odd ones their twins, in which the sheet lies still.

    A draw whose turn is hardly in view is thrown away, for both alike: the choice must not make the classes differ.

    Raises:
        ConfigError: if no draw shows enough of its turn.
    """
    if index % 2:
        flip, label = sample_clip(config, index - 1), CLASSES.negative
        return replace(flip, index=index, label=label, video=f"{label}/{index // 2 + 1:04d}")
    needed = config.frames_per_clip
    for attempt in range(MAX_ATTEMPTS):
        wider = 1.0 if config.scenes == "desk" else WIDER ** max(0, attempt - MAX_ATTEMPTS // 2)
        clip = _sample_clip(config, index, config.stream(CLIP_STREAM, index // 2, attempt), wider)
        if len(moving_frames(config, clip)) >= needed:
            return clip
    raise ConfigError(
        f"clip {index} shows its turn in fewer than frames_per_clip={needed} frames; "
        "choose a smaller frames_per_clip or another seed"
    )


def _sample_clip(config: SynthConfig, index: int, rng: np.random.Generator, wider: float) -> Clip:
    source = sample_source(config, index // config.clips_per_source)
    to_left, style = bool(rng.random() < 0.75), sample_style(rng)
    if config.scenes != "desk":
        style = vary_turn(config.stream(BENDING_STREAM, index // 2), style)
    zoom, shift, roll = rng.uniform(0.92, 1.1), rng.normal(0, 0.07, 2), rng.normal(0, 0.03)
    camera, book = source.camera(config, zoom * wider, tuple(shift.tolist()), roll), source.book
    hands, linger = sample_hands(rng, book.height, book.page_z, to_left)
    start = rng.uniform(0.25, 0.5) + linger
    turn = shape_turn(rng, str(rng.choice(BEHAVIOURS, p=BEHAVIOUR_CHANCES)), start)
    if "behaviours" in config.parts_left_out:
        turn = shape_turn(rng, "simple", start)
    duration = turn.end + rng.uniform(0.25, 0.5)
    raised = _raise(rng, source, camera, style, to_left)
    hands = vary_hands(config.stream(VARIATION_STREAM, index // 2), hands, book.height, book.page_z, held=source.held)
    if "hands" in config.parts_left_out:
        hands = ()
    if "standing" in config.parts_left_out:
        raised = 0.0
    first = int(rng.integers(1, SHEETS - 1))
    grip_y = style.side * rng.uniform(-0.1, 0.48) * book.height
    capture = sample_capture(rng, camera, config.height / 384, duration)
    pushes: tuple[Move, ...] = ()
    if rng.random() < NUDGED:
        pushes = (Move(0.2 * duration, 0.8 * duration, *rng.normal(0, [0.1, 0.1, 0.08]).tolist()),)
    return Clip(
        index=index,
        source=source.index,
        label=CLASSES.positive,
        video=f"{CLASSES.positive}/{index // 2 + 1:04d}",
        sheet=first if to_left else first + turn.sheets - 1,
        to_left=to_left,
        turn=turn,
        style=style,
        rest=raised if to_left else 1 - raised,
        below=(1.0, raised) if to_left else (1.0 - raised, 0.0),
        grip_y=grip_y,
        hands=hands,
        capture=capture,
        pushes=pushes,
        clutter=sample_clutter(rng),
        duration=duration,
    )


def sample_style(rng: np.random.Generator) -> TurnStyle:
    """How a sheet bends while it is turned."""
    return TurnStyle(
        lead=rng.uniform(-0.3, 0.75),
        taper=rng.uniform(0.05, 1.6),
        side=int(rng.choice([-1, 1])),
        bulge=rng.uniform(-0.5, 0.6),
    )


@lru_cache(maxsize=8)
def moving_frames(config: SynthConfig, clip: Clip) -> list[int]:
    """Frame indices at which a (real or imagined) sheet is clearly off both rests and in view."""
    source = sample_source(config, clip.source)
    probes = np.linspace(0, 1, PROBES)
    far = displacements(source, clip.capture.camera, clip.style, probes).min(axis=1)
    size = config.frame_size(clip.source)
    heights = np.linspace(-0.499, 0.499, EDGE_POINTS) * source.book.height
    seen, edge = np.empty(PROBES), np.empty(PROBES)
    for place, probe in enumerate(probes.tolist()):
        sheet = sheet_at(source, clip.style, probe)
        points = clip.capture.camera.project(sheet.points())
        seen[place] = ((points >= 0) & (points < size)).all(axis=2).mean()
        points = clip.capture.camera.project(sheet.edge_points(heights))
        inside = np.all((points >= 0) & (points < size), axis=1)
        lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
        edge[place] = lengths[inside[:-1] & inside[1:]].sum() / max(size)
    phases = np.array([clip.turn.phases(frame / FRAME_RATE) for frame in range(clip.frames)])
    progress = phases if clip.to_left else 1 - phases
    moving = (np.interp(progress, probes, far) > config.margin) & (np.interp(progress, probes, seen) > IN_VIEW)
    moving &= np.interp(progress, probes, edge) > EDGE_IN_VIEW
    return np.flatnonzero(moving.any(axis=1)).tolist()


@lru_cache(maxsize=256)
def frame_numbers(config: SynthConfig, index: int) -> tuple[int, ...]:
    """The frames of clip `index` that belong to the data set, in order.

    Flips are photographed only while the sheet moves, and where hands leave enough of its edge to be seen, if there is
    such a moment. Of the other clips every second one uses the same moments, so that hands are caught alike in both
    classes.
    """
    clip = sample_clip(config, index)
    rng = config.stream(FRAMES_STREAM, index // 2)
    as_twin = rng.random() < 0.5
    if as_twin and not clip.is_flip:
        return frame_numbers(config, index - 1)
    choices = moving_frames(config, clip) if clip.is_flip else list(range(clip.frames))
    edges = np.linspace(0, len(choices), config.frames_per_clip + 1).astype(int)
    stretches = [rng.permutation(np.arange(low, high)).tolist() for low, high in pairwise(edges)]
    if not clip.is_flip:
        return tuple(choices[stretch[0]] + 1 for stretch in stretches)
    numbers = []
    for stretch in stretches:
        frames = [choices[place] for place in stretch]
        maps = ((frame, draw_map(config, clip, frame / FRAME_RATE)) for frame in frames[:TRIES])
        uncovered = (frame for frame, seen in maps if seen[..., 1].mean() > 255 * UNCOVERED)
        numbers.append(next(uncovered, frames[0]) + 1)
    return tuple(numbers)


def _raise(rng: np.random.Generator, source: Source, camera: Camera, style: TurnStyle, to_left: bool) -> float:
    """By how much of a turn a page at rest stands off; 0 for most pages."""
    if rng.random() > STANDS_OFF:
        return 0.0
    shares = np.asarray(rng.uniform(0.1, 0.35) * 0.75 ** np.arange(8), np.float64)
    progress = shares if to_left else 1 - shares
    distance = displacements(source, camera, style, progress)[:, 0 if to_left else 1]
    low = np.flatnonzero(distance < RAISED)
    return float(shares[low[0]]) if low.size else 0.0
