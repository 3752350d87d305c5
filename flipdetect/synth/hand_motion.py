"""Where the hands are: a hand that follows the (real or imagined) turn, rests, slides or sweeps.

The same plans with the same chances serve flips and other clips, so hands tell nothing of the label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flipdetect.synth.hand_shape import POSES
from flipdetect.synth.sheet import Floats

PLANS = ("follow", "rest", "slide", "sweep")
PLAN_CHANCES = (0.55, 0.17, 0.14, 0.14)
POSE_CHANCES = (0.3, 0.24, 0.36, 0.1)
HOLDING_CHANCE, ACTIVE_CHANCE = 0.6, 0.8
ELBOW_Z = 0.25

HOLDING = 0.7
"""From this share of its way on, a hand counts as being at the sheet."""


@dataclass(frozen=True)
class HandTrack:
    """One hand's part in a clip; positions are world points that the hand's anchor visits.

    Attributes:
        plan: one of `PLANS`.
        pose: one of `hand_shape.POSES`.
        left: whether it is a left hand.
        elbow: (x, y) from which the arm comes.
        wrist: radians by which the hand turns against the arm.
        home: (3,) where it stays before and after, or rests all the time.
        away: (3,) the other end of a slide or a sweep.
        release: share of the turn at which a following hand lets go.
        under: whether the sheet, where it is turned, passes over this hand.
        rate: sweeps or slides per second.
        phase: of the sweep at time 0, in radians.
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

    def reach(self, time: float, turn: tuple[float, float]) -> float:
        """How far a following hand is at the sheet's edge at `time` seconds: 0 at home, 1 holding it."""
        if self.plan != "follow":
            return 0.0
        letting_go = turn[0] + self.release * (turn[1] - turn[0])
        return _ease((time - turn[0] + 0.35) / 0.3) * (1 - _ease((time - letting_go) / 0.35))

    def is_under(self, time: float, turn: tuple[float, float]) -> bool:
        """Whether the sheet turned during `turn` covers what lies beneath it of this hand."""
        if self.plan == "follow" and time < turn[0]:
            return self.under and self.reach(time, turn) > HOLDING
        return self.under

    def holds_paper(self, time: float, turn: tuple[float, float]) -> bool:
        """Whether the thumb lies on the sheet while the fingers are beneath it."""
        return self.pose == "pinch" and self.is_under(time, turn) and self.reach(time, turn) > HOLDING

    def anchor(self, time: float, turn: tuple[float, float], grip: Floats) -> Floats:
        """World point (3,) of the hand's anchor at `time` seconds.

        Args:
            time: in seconds.
            turn: (start, end) of the turn, in seconds.
            grip: (3,) the point of the sheet (or of an imagined one) that a following hand holds.
        """
        home, away = np.array(self.home), np.array(self.away)
        if self.plan == "follow":
            reach = self.reach(time, turn)
            hover = np.array([0, 0, 0.25 * np.sin(np.pi * reach)])
            return np.asarray(home + reach * (grip - home) + hover * (reach < 1))
        if self.plan == "rest":
            return home
        swing = 0.5 - 0.5 * np.cos(2 * np.pi * self.rate * time + self.phase)
        lift = np.array([0, 0, 0.3 * np.sin(np.pi * swing)]) if self.plan == "sweep" else 0.0
        return np.asarray(home + swing * (away - home) + lift)

    def direction(self, anchor: Floats) -> float:
        """Radians by which the hand is turned on the desk, 0 pointing away from the reader."""
        toward = anchor[:2] - np.array(self.elbow)
        return float(np.arctan2(-toward[0], toward[1]) + self.wrist)


def sample_hands(rng: np.random.Generator, page_height: float, page_z: float, to_left: bool) -> list[HandTrack]:
    """The hands of a clip: none, one that holds the book, one that acts, or both.

    Args:
        rng: the clip's.
        page_height: in page widths.
        page_z: height of the pages above the desk.
        to_left: whether the (real or imagined) turn goes from right to left.
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
    return hands


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
    # A hand below the sheet comes from the side and lets go in time; any other passes above the sheet.
    under = bool(rng.random() < 0.7) and usual and plan == "follow"
    if under:
        elbow = (float(side * rng.uniform(1.7, 2.8)), float(-page_height / 2 - rng.uniform(-0.2, 0.9)))
    else:
        elbow = (float(side * rng.uniform(0.5, 1.9)), float(-page_height / 2 - rng.uniform(0.6, 2.0)))
    home = place(rng.random() < (0.3 if plan == "follow" else 0.7))
    away = place(rng.random() < 0.8)
    if plan == "sweep":
        away = (-away[0] * float(rng.uniform(0.2, 1.0)), away[1], page_z + float(rng.uniform(0.05, 0.5)))
    return HandTrack(
        plan=plan,
        pose=str(rng.choice(POSES, p=POSE_CHANCES)),
        left=side < 0,
        elbow=elbow,
        wrist=float(side * rng.normal(0.1, 0.2)),
        home=home,
        away=away,
        release=float(rng.uniform(0.4, 0.7) if under else rng.uniform(0.5, 1.0)),
        under=under,
        rate=float(rng.uniform(0.15, 0.45) if plan == "slide" else rng.uniform(0.4, 1.0)),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _ease(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)
