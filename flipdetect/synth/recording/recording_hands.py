"""The hands of a recording: what they do in each stretch, each beginning where the last one left it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flipdetect.synth.hands.gestures import APPROACH, HandTrack
from flipdetect.synth.hands.shape import POSES
from flipdetect.synth.recording.plan import FALSE_START, NUDGE, TURN, VISIT, Stretch
from flipdetect.synth.scene.scene import Book

Place = tuple[float, float, float]

USUAL_HAND = 0.88
"""Chance that a sheet is turned by the hand on its side."""

UNDER = 0.7
"""Chance that this hand then takes the sheet from below."""


@dataclass(frozen=True)
class Arm:
    """One of the reader's arms.

    Attributes:
        side: -1 left, +1 right.
        elbow: (x, y) from which it comes.
        wrist: radians by which the hand turns against the arm.
        idle: pose of the hand while it does nothing.
    """

    side: int
    elbow: tuple[float, float]
    wrist: float
    idle: str


def sample_arms(rng: np.random.Generator, book: Book) -> tuple[Arm, Arm]:
    """The left and the right arm of a reader."""

    def arm(side: int) -> Arm:
        elbow = (float(side * rng.uniform(1.5, 2.5)), float(-book.height / 2 - rng.uniform(0.6, 1.6)))
        return Arm(side, elbow, float(side * rng.normal(0.1, 0.15)), str(rng.choice(["flat", "relaxed"])))

    return arm(-1), arm(1)


def hand_tracks(
    rng: np.random.Generator, book: Book, arms: tuple[Arm, Arm], stretches: tuple[Stretch, ...]
) -> list[tuple[HandTrack, HandTrack]]:
    """The left and the right hand's part in each stretch."""
    homes = [_home(rng, book, arm) for arm in arms]
    tracks = []
    for stretch in stretches:
        actor = _actor(rng, stretch)
        pair = []
        for place, arm in enumerate(arms):
            home = homes[place]
            track = HandTrack("rest", arm.idle, arm.side < 0, arm.elbow, arm.wrist, home, home, 1.0, False, 0.0, 0.0)
            if place == actor:
                homes[place] = _home(rng, book, arm) if rng.random() < 0.5 else home
                act = _turning if stretch.kind == TURN else _visiting
                track = replace(act(rng, track, book, stretch), leave=homes[place], idle=arm.idle)
            pair.append(track)
        tracks.append((pair[0], pair[1]))
    return tracks


def _actor(rng: np.random.Generator, stretch: Stretch) -> int | None:
    """Which arm acts: 0 the left one, 1 the right one, None if neither does."""
    near, usual = int(stretch.to_left), rng.random() < USUAL_HAND
    if stretch.kind in (TURN, FALSE_START):
        return near if usual else 1 - near
    return int(rng.random() < 0.6) if stretch.kind in (VISIT, NUDGE) else None


def _home(rng: np.random.Generator, book: Book, arm: Arm) -> Place:
    """A place off the pages: next to the book, in front of it, at its lower edge, or out of view."""
    half, kind = book.height / 2, rng.random()
    if kind < 0.3:
        return (float(arm.side * rng.uniform(1.15, 1.5)), float(-half + rng.uniform(-0.2, 0.6)), 0.05)
    if kind < 0.55:
        return (float(arm.side * rng.uniform(0.3, 0.9)), float(-half - rng.uniform(0.12, 0.45)), 0.03)
    if kind < 0.7:
        return (float(arm.side * rng.uniform(0.3, 0.9)), float(-half + rng.uniform(0.0, 0.08)), book.page_z + 0.03)
    share = rng.uniform(0.1, 0.3)
    x, y = arm.elbow[0] * (1 - share), arm.elbow[1] + share * (-0.2 - arm.elbow[1])
    return (float(x), float(y), 0.2)


def _turning(rng: np.random.Generator, rest: HandTrack, book: Book, stretch: Stretch) -> HandTrack:
    """A hand that turns the sheet."""
    under = (not rest.left) == stretch.to_left and bool(rng.random() < UNDER)
    return replace(
        rest,
        plan="follow",
        pose=str(rng.choice(POSES, p=[0.2, 0.2, 0.55, 0.05])),
        release=float(rng.uniform(0.4, 0.7) if under else rng.uniform(0.5, 1.0)),
        under=under,
        linger=max(0.0, stretch.turn.start - stretch.start - APPROACH),
    )


def _visiting(rng: np.random.Generator, rest: HandTrack, book: Book, stretch: Stretch) -> HandTrack:
    """A hand that smooths or points, grasps an edge without turning it, or pushes the book."""
    half, z, rate = book.height / 2, book.page_z + 0.03, 0.0
    side, pose = -1 if rest.left else 1, str(rng.choice(["relaxed", "flat", "flat", "point"]))
    if stretch.kind == FALSE_START:
        side, pose = (1 if stretch.to_left else -1), str(rng.choice(["pinch", "pinch", "relaxed"]))
        x, y = side * rng.uniform(0.9, 1.0), rng.uniform(-0.9, 0.7) * half
    elif stretch.kind == NUDGE:
        x, y = side * rng.uniform(0.95, 1.1), rng.uniform(-0.9, 0.2) * half
    else:
        x, y, rate = side * rng.uniform(0.25, 0.8), rng.uniform(-0.7, 0.5) * half, float(rng.uniform(0.2, 0.9))
    return replace(
        rest,
        plan="visit",
        pose=pose,
        away=(float(x), float(y), float(z)),
        rate=rate,
        phase=float(rng.uniform(0, 2 * np.pi)),
        visit=stay_of(stretch),
    )


def stay_of(stretch: Stretch) -> tuple[float, float]:
    """Seconds at which a visiting hand has come and at which it goes."""
    spare = stretch.end - stretch.start - 2 * APPROACH
    return stretch.start + APPROACH + 0.1 * spare, stretch.end - APPROACH - 0.1 * spare
