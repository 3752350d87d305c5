"""What a reader does in a recording, and when: turns, attempts that are given up, pauses; and where the hands are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flipdetect.synth.config import MARGIN, RecordingConfig
from flipdetect.synth.hands.gestures import ACTIVE_POSES, APPROACH, HandTrack
from flipdetect.synth.scene.book import Book
from flipdetect.synth.turn import BEHAVIOURS, Turn, shape_turn

TURN, FALSE_START, PAUSE, VISIT, NUDGE = "turn", "false start", "pause", "visit", "nudge"

CHANCES = {
    "slow": (0.46, 0.10, 0.0, 0.04, 0.0, 0.40),
    "normal": (0.70, 0.06, 0.0, 0.06, 0.06, 0.12),
    "fast": (0.42, 0.02, 0.0, 0.08, 0.48, 0.0),
}
"""Of the behaviours of completed turns, in the order of `BEHAVIOURS`."""

QUICKNESS = {"slow": 0.75, "normal": 1.0, "fast": 1.4}
BACK, GIVEN_UP, LIFTED = 0.12, 0.1, 0.08
"""Chances that a turn goes back, and that a false start or a page that falls back comes before it."""

WITHDRAWAL = APPROACH + 0.05
"""Seconds for which a hand leaves after an action."""

FULLEST = 0.92
"""Share of the time that actions may take; if they need more, they are all done faster."""

VISITING, LONG_PAUSE = 0.4, 2.2
"""Chance that a hand comes over the pages in a pause, and the seconds that this needs."""

NUDGING = 0.12

VISITS = {VISIT: 0.6, FALSE_START: 0.25, NUDGE: 0.15}
"""Chances of what a hand does in a visit that was asked for."""

USUAL_HAND = 0.88
"""Chance that a sheet is turned by the hand on its side."""

UNDER = 0.7
"""Chance that this hand then takes the sheet from below."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording in which one thing happens.

    Attributes:
        start, end: in seconds.
        spread: number of the spread that lies there when it begins.
        to_left: direction of the turn, or of what is given up.
        turn: the movement of the sheet, if any; else one that is not made.
    """

    kind: str
    start: float
    end: float
    spread: int
    to_left: bool
    turn: Turn

    @property
    def spread_after(self) -> int:
        """Number of the spread that lies there when it ends."""
        if self.kind != TURN or not self.turn.completed:
            return self.spread
        return self.spread + (self.turn.sheets if self.to_left else -self.turn.sheets)


def plan_stretches(config: RecordingConfig, rng: np.random.Generator) -> tuple[Stretch, ...]:
    """The stretches of a recording, one after the other without gaps."""
    actions = _actions(config, rng)
    room = (config.seconds - MARGIN) * FULLEST
    # Attempts that are given up are left out before turns are made faster.
    while sum(action.end for action in actions) > room and len(actions) > config.turns:
        actions.remove(next(action for action in actions if action.kind != TURN or not action.turn.completed))
    fixed = len(actions) * (APPROACH + WITHDRAWAL)
    moving = sum(action.end for action in actions) - fixed
    if moving > 0 and (factor := (room - fixed) / moving) < 1.0:
        for place, each in enumerate(actions):
            knots = tuple((APPROACH + (at - APPROACH) * factor, share) for at, share in each.turn.knots)
            turn = replace(each.turn, knots=knots)
            actions[place] = replace(each, end=knots[-1][0] + WITHDRAWAL, turn=turn)
    idle = config.seconds - MARGIN - sum(action.end for action in actions)
    pauses = rng.gamma(1.2, 1.0, len(actions) + 1)
    pauses = pauses / pauses.sum() * idle
    pauses[[0, -1]] += MARGIN / 2
    stretches: list[Stretch] = []
    now, spread = 0.0, 0
    for pause, action in zip(pauses.tolist(), [*actions, None], strict=True):
        chance, kind, start = rng.random(2), PAUSE, now
        now += pause
        if now - start > LONG_PAUSE and chance[0] < NUDGING:
            kind = NUDGE
        elif now - start > LONG_PAUSE and chance[1] < VISITING:
            kind = VISIT
        stretches.append(Stretch(kind, start, now, spread, True, Turn("simple", ((start, 0.0), (now, 1.0)), 0.5)))
        if action is not None:
            turn = replace(action.turn, knots=tuple((at + now, share) for at, share in action.turn.knots))
            stretches.append(replace(action, start=now, end=now + action.end, spread=spread, turn=turn))
            now, spread = stretches[-1].end, stretches[-1].spread_after
    stretches[-1] = replace(stretches[-1], end=max(now, config.seconds))
    return tuple(stretches)


def _actions(config: RecordingConfig, rng: np.random.Generator) -> list[Stretch]:
    """What the reader does, each action as if it began at 0 s."""
    actions, spread = [], 0
    for _ in range(config.turns):
        pace = str(rng.choice(list(CHANCES))) if config.pace == "mixed" else config.pace
        if rng.random() < GIVEN_UP:
            actions.append(_action(rng, FALSE_START, "simple", 1.0, to_left=bool(rng.random() < 0.8)))
        if rng.random() < LIFTED:
            actions.append(_action(rng, TURN, "fall_back", QUICKNESS[pace], to_left=True))
        to_left = spread == 0 or bool(rng.random() >= BACK)
        action = _action(rng, TURN, str(rng.choice(BEHAVIOURS, p=CHANCES[pace])), QUICKNESS[pace], to_left=to_left)
        if not to_left:
            # No more sheets than there are.
            sheets = min(action.turn.sheets, spread)
            if sheets < action.turn.sheets:
                behaviour = "several" if sheets > 1 else "simple"
                action = replace(action, turn=replace(action.turn, sheets=sheets, behaviour=behaviour))
        spread += action.turn.sheets if to_left else -action.turn.sheets
        actions.append(action)
    for _ in range(config.visits):
        kind = str(rng.choice(list(VISITS), p=list(VISITS.values())))
        length = float(rng.uniform(LONG_PAUSE, 2 * LONG_PAUSE))
        visit = Stretch(kind, 0.0, length, 0, True, Turn("simple", ((0.0, 0.0), (length, 1.0)), 0.5))
        actions.insert(int(rng.integers(len(actions) + 1)), visit)
    return actions


def _action(rng: np.random.Generator, kind: str, behaviour: str, quickness: float, *, to_left: bool) -> Stretch:
    start = APPROACH + (rng.uniform(0.1, 0.8) if rng.random() < 0.25 else 0.0)
    turn = shape_turn(rng, behaviour, start, quickness)
    return Stretch(kind, 0.0, turn.end + WITHDRAWAL, 0, to_left, turn)


def hand_tracks(
    rng: np.random.Generator, book: Book, stretches: tuple[Stretch, ...]
) -> list[tuple[HandTrack, HandTrack]]:
    """The left and the right hand's part in each stretch, each beginning where the last one left it."""
    resting = []
    for side in (-1, 1):
        elbow = (side * rng.uniform(1.5, 2.5), -book.height / 2 - rng.uniform(0.6, 1.6))
        wrist, pose, there = side * rng.normal(0.1, 0.15), str(rng.choice(["flat", "relaxed"])), (0.0, 0.0, 0.0)
        resting.append(HandTrack("rest", pose, side < 0, elbow, wrist, there, there, 1.0, False, 0.0, 0.0))
    resting = [_sent_home(rng, book, hand) for hand in resting]
    tracks = []
    for stretch in stretches:
        pair, near, usual = list(resting), int(stretch.to_left), rng.random() < USUAL_HAND
        if stretch.kind != PAUSE:
            grasps = stretch.kind in (TURN, FALSE_START)
            actor = int(near == usual) if grasps else int(rng.random() < 0.6)  # 0: the left arm, 1: the right one
            hand = resting[actor]
            resting[actor] = _sent_home(rng, book, hand) if rng.random() < 0.5 else hand
            act = _turning if stretch.kind == TURN else _visiting
            pair[actor] = replace(act(rng, hand, book, stretch), leave=resting[actor].home, idle=hand.pose)
        tracks.append((pair[0], pair[1]))
    return tracks


def _sent_home(rng: np.random.Generator, book: Book, hand: HandTrack) -> HandTrack:
    """The hand off the pages: next to the book, in front of it, at its lower edge, or out of view."""
    half, side, kind = book.height / 2, -1 if hand.left else 1, rng.random()
    if kind < 0.3:
        home = (side * rng.uniform(1.15, 1.5), -half + rng.uniform(-0.2, 0.6), 0.05)
    elif kind < 0.55:
        home = (side * rng.uniform(0.3, 0.9), -half - rng.uniform(0.12, 0.45), 0.03)
    elif kind < 0.7:
        home = (side * rng.uniform(0.3, 0.9), -half + rng.uniform(0.0, 0.08), book.page_z + 0.03)
    else:
        share = rng.uniform(0.1, 0.3)
        home = (hand.elbow[0] * (1 - share), hand.elbow[1] + share * (-0.2 - hand.elbow[1]), 0.2)
    return replace(hand, home=home, away=home)


def _turning(rng: np.random.Generator, rest: HandTrack, book: Book, stretch: Stretch) -> HandTrack:
    """A hand that turns the sheet."""
    under = (not rest.left) == stretch.to_left and bool(rng.random() < UNDER)
    return replace(
        rest,
        plan="follow",
        pose=str(rng.choice(ACTIVE_POSES, p=[0.2, 0.2, 0.55, 0.05])),
        release=rng.uniform(0.4, 0.7) if under else rng.uniform(0.5, 1.0),
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
        x, y, rate = side * rng.uniform(0.25, 0.8), rng.uniform(-0.7, 0.5) * half, rng.uniform(0.2, 0.9)
    return replace(
        rest,
        plan="visit",
        pose=pose,
        away=(x, y, z),
        rate=rate,
        phase=rng.uniform(0, 2 * np.pi),
        visit=stay_of(stretch),
    )


def stay_of(stretch: Stretch) -> tuple[float, float]:
    """Seconds at which a visiting hand has come and at which it goes."""
    spare = stretch.end - stretch.start - 2 * APPROACH
    return stretch.start + APPROACH + 0.1 * spare, stretch.end - APPROACH - 0.1 * spare
