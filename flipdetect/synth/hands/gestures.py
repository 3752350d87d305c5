"""Where the hands are: a hand that follows the (real or imagined) turn, rests, slides, smooths, sweeps or visits.

The same plans with the same chances serve flips and other clips, so hands do not reveal the label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flipdetect.synth.hands.shape import POSES
from flipdetect.synth.sheet import Floats
from flipdetect.synth.turn import Turn

ACTIVE_POSES = POSES[:4]
"""What a hand may look like that is not holding the book from below."""

PLANS = ("follow", "rest", "slide", "sweep", "smooth", "visit")
PLAN_CHANCES = (0.53, 0.14, 0.11, 0.11, 0.06, 0.05)
POSE_CHANCES = (0.3, 0.24, 0.36, 0.1)
HOLDING_CHANCE, ACTIVE_CHANCE = 0.6, 0.8
LINGERING = 0.3
"""Share of the following hands that wait at the sheet before its turn, about to grasp it."""

FROM_BELOW = 0.2
"""Share of the resting hands that hold the book from below, the thumb over its near edge."""

ELBOW_Z = 0.25

APPROACH = 0.35
"""Seconds before the turn at which a following hand leaves its home, and that it takes back to it."""

HOLDING, HALF_WAY = 0.7, 0.4
"""From these shares of its way on, a hand counts as being at the sheet, and as ready for it."""


@dataclass(frozen=True)
class HandTrack:
    """One hand's part in a clip; positions are world points that the hand's anchor visits.

    Attributes:
        elbow: (x, y) from which the arm comes.
        wrist: radians by which the hand turns against the arm.
        home: (3,) where it stays before and after, or rests all the time.
        away: (3,) the other end of a slide, a stroke or a sweep, or the place of a visit.
        release: share of the turn at which a following hand lets go.
        under: whether the sheet, where it is turned, passes over this hand.
        rate: sweeps or slides per second.
        phase: of the sweep at time 0, in radians.
        linger: seconds for which a following hand waits at the sheet before the turn.
        visit: seconds at which a visiting hand has come and at which it goes.
        leave: (3,) where the hand goes afterwards if not home.
        idle: pose far from what it holds, if not `pose`.
        variation: which of the person's ways to take a pose.
    """

    plan: str
    pose: str
    left: bool
    elbow: tuple[float, float]
    wrist: float
    home: tuple[float, float, float]
    away: tuple[float, float, float]
    release: float
    under: bool
    rate: float
    phase: float
    linger: float = 0.0
    visit: tuple[float, float] = (0.0, 0.0)
    leave: tuple[float, float, float] | None = None
    idle: str | None = None
    variation: int = 0

    def stay(self, turn: Turn) -> tuple[float, float]:
        """Seconds at which the hand has come to the sheet or to the place of its visit, and at which it goes."""
        if self.plan == "follow":
            return turn.start - self.linger - APPROACH + 0.3, turn.letting_go(self.release)
        return self.visit

    def reach(self, time: float, turn: Turn) -> float:
        """How far a following or visiting hand is on its way at `time` seconds: 0 at home, 1 there."""
        if self.plan not in ("follow", "visit"):
            return 0.0
        come, go = self.stay(turn)
        return _ease((time - come + 0.3) / 0.3) * (1 - _ease((time - go) / APPROACH))

    def is_under(self, time: float, turn: Turn) -> bool:
        """Whether the turning sheet covers what lies beneath it of this hand."""
        if self.plan == "follow" and time < turn.start:
            return self.under and self.reach(time, turn) > HOLDING
        return self.under

    def holds_paper(self, time: float, turn: Turn) -> bool:
        """Whether the thumb lies on the sheet while the fingers are beneath it."""
        follows = self.plan == "follow" and self.pose == "pinch"
        return follows and self.is_under(time, turn) and self.reach(time, turn) > HOLDING

    @property
    def below_book(self) -> bool:
        """Whether the hand holds the book from below, with only the thumb above the near edge."""
        return self.pose == "grip"

    def poses_at(self, time: float, turn: Turn) -> tuple[str, str, float]:
        """Two of `shape.POSES`, and how far the hand is on its way from the one to the other, 0 to 1."""
        if self.idle is None:
            return self.pose, self.pose, 0.0
        return self.idle, self.pose, _ease((self.reach(time, turn) - HALF_WAY) / (HOLDING - HALF_WAY))

    def anchor(self, time: float, turn: Turn, grip: Floats) -> Floats:
        """World point (3,) of the hand's anchor at `time` seconds.

        Args:
            grip: (3,) the point of the sheet (or of an imagined one) that a following hand holds.
        """
        home, away = np.array(self.home), np.array(self.away)
        if self.plan in ("follow", "visit"):
            reach, leaving = self.reach(time, turn), time > self.stay(turn)[1]
            base = np.array(self.leave) if leaving and self.leave is not None else home
            goal = grip if self.plan == "follow" else away
            if self.plan == "visit" and self.rate:
                # Small movements: the hand follows the lines or smooths the page.
                swing = np.sin(2 * np.pi * self.rate * time + self.phase)
                goal = away + np.array([0.12 * swing, 0.05 * np.cos(2.3 * self.rate * time), 0.0])
            hover = np.array([0, 0, 0.25 * np.sin(np.pi * reach)])
            return np.asarray(base + reach * (goal - base) + hover * (reach < 1))
        if self.plan == "rest":
            return home
        swing = 0.5 - 0.5 * np.cos(2 * np.pi * self.rate * time + self.phase)
        lift = np.array([0, 0, 0.3 * np.sin(np.pi * swing)]) if self.plan == "sweep" else 0.0
        return np.asarray(home + swing * (away - home) + lift)

    def direction(self, anchor: Floats) -> float:
        """Radians by which the hand is turned on the desk, 0 pointing away from the reader."""
        toward = anchor[:2] - np.array(self.elbow)
        return float(np.arctan2(-toward[0], toward[1]) + self.wrist)


def sample_hands(
    rng: np.random.Generator, page_height: float, page_z: float, to_left: bool
) -> tuple[tuple[HandTrack, ...], float]:
    """The hands of a clip: none, one that holds the book, one that acts, or both.

    Args:
        page_height: in page widths.
        page_z: height of the pages above the desk.

    Returns:
        The hands, and the seconds for which one waits at the sheet before the turn.
    """
    hands = []
    side = -1 if to_left else 1
    if rng.random() < HOLDING_CHANCE:
        # The book is held mostly on the side where the sheet will come to lie.
        lands_here = rng.random() < 0.8
        hands.append(_holding(rng, page_height, page_z, side if lands_here else -side, lands_here))
    if rng.random() < ACTIVE_CHANCE:
        usual = rng.random() < 0.85
        hands.append(_active(rng, page_height, page_z, -side if usual else side, usual))
    return tuple(hands), max((hand.linger for hand in hands), default=0.0)


def _holding(rng: np.random.Generator, page_height: float, page_z: float, side: int, lands_here: bool) -> HandTrack:
    # A hand on the page that is to be turned would keep it down: there it only touches the desk.
    inside = rng.random() < 0.75 and lands_here
    x = side * rng.uniform(0.2, 0.9)
    y = -page_height / 2 + (rng.uniform(0.02, 0.45) if inside else rng.uniform(-0.5, -0.1))
    home = (float(x), float(y), page_z + 0.03 if inside else 0.03)
    elbow = (float(x + side * rng.uniform(-0.3, 0.7)), float(y - rng.uniform(1.5, 2.6)))
    drift = (home[0] + float(rng.normal(0, 0.02)), home[1] + float(rng.normal(0, 0.02)), home[2])
    pose = str(rng.choice(["flat", "flat", "relaxed"]))
    plan = "slide" if rng.random() < 0.3 else "rest"
    return HandTrack(
        plan, pose, side < 0, elbow, float(rng.normal(0, 0.15)), home, drift, 1.0, True, 0.4, float(rng.uniform(0, 6))
    )


def _active(rng: np.random.Generator, page_height: float, page_z: float, side: int, usual: bool) -> HandTrack:
    def place(on_page: bool) -> tuple[float, float, float]:
        y = rng.uniform(-0.45, 0.45) * page_height
        if on_page:
            return (float(side * rng.uniform(0.1, 1.0)), float(y), page_z + 0.04)
        return (float(side * rng.uniform(0.95, 1.5)), float(y - 0.3), 0.12)

    plan = str(rng.choice(PLANS, p=PLAN_CHANCES))
    if plan == "visit":
        # About to grasp the page that lies where the sheet will land: the sheet passes over the hand.
        side = -side if usual else side
    # A hand below the sheet comes from the side and lets go in time; any other passes above the sheet.
    under = (bool(rng.random() < 0.7) and usual and plan == "follow") or plan == "visit"
    if under:
        elbow = (float(side * rng.uniform(1.7, 2.8)), float(-page_height / 2 - rng.uniform(-0.2, 0.9)))
    else:
        elbow = (float(side * rng.uniform(0.5, 1.9)), float(-page_height / 2 - rng.uniform(0.6, 2.0)))
    home = place(rng.random() < (0.3 if plan == "follow" else 0.7))
    away = place(rng.random() < 0.8)
    pose, rate = str(rng.choice(ACTIVE_POSES, p=POSE_CHANCES)), float(rng.uniform(0.15, 0.45))
    if plan == "sweep":
        away = (-away[0] * float(rng.uniform(0.2, 1.0)), away[1], page_z + float(rng.uniform(0.05, 0.5)))
        rate = float(rng.uniform(0.4, 1.0))
    elif plan == "smooth":
        # Strokes over the page, along its lines or its edge.
        home = (float(side * rng.uniform(0.15, 0.5)), float(rng.uniform(-0.3, 0.3) * page_height), page_z + 0.03)
        stroke = rng.uniform(0.2, 0.5), rng.uniform(-0.4, 0.4)
        away = (home[0] + float(side * stroke[0]), home[1] + float(stroke[1]), home[2])
        pose, rate = "flat", float(rng.uniform(0.5, 1.3))
    elif plan == "visit":
        away = (float(side * rng.uniform(0.92, 1.02)), float(rng.uniform(-0.45, 0.3) * page_height), page_z + 0.03)
        pose, rate = str(rng.choice(["pinch", "relaxed"])), 0.0
    come = float(rng.uniform(0.0, 0.6))
    linger = float(rng.uniform(0.1, 0.9)) if plan == "follow" and rng.random() < LINGERING else 0.0
    return HandTrack(
        plan=plan,
        pose=pose,
        left=side < 0,
        elbow=elbow,
        wrist=float(side * rng.normal(0.1, 0.2)),
        home=home,
        away=away,
        release=float(rng.uniform(0.4, 0.7) if under else rng.uniform(0.5, 1.0)),
        under=under,
        rate=rate,
        phase=float(rng.uniform(0, 2 * np.pi)),
        linger=linger,
        visit=(come, come + float(rng.uniform(0.5, 2.0))),
    )


def vary_hands(
    rng: np.random.Generator, hands: tuple[HandTrack, ...], page_height: float, page_z: float, *, held: bool = False
) -> tuple[HandTrack, ...]:
    """The hands of a clip, each with a way of its own to take its poses; some hold the book from below.

    Where it is `held` in the air, all hands at rest do, and there is at least one of them.
    """
    if held and not any(hand.plan in ("rest", "slide") for hand in hands):
        free = -1 if any(not hand.left for hand in hands) else 1
        hands = (_holding(rng, page_height, page_z, free, lands_here=False), *hands)
    varied = []
    for hand in hands:
        variation, chance, side = int(rng.integers(2**16)), rng.random(), -1 if hand.left else 1
        x, y, away = side * rng.uniform(0.12, 0.8), rng.uniform(0.03, 0.13), rng.uniform(1.5, 2.4)
        if hand.plan in ("rest", "slide") and (held or chance < FROM_BELOW):
            home = (float(x), float(y - page_height / 2), page_z + 0.04)
            elbow = (float(x + side * rng.uniform(-0.2, 0.9)), float(-page_height / 2 - away))
            hand = replace(hand, plan="rest", pose="grip", home=home, away=home, elbow=elbow, under=True)
        varied.append(replace(hand, variation=variation))
    return tuple(varied)


def _ease(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)
