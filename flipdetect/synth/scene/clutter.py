"""What lies on an open page: a slip of paper, a phone, a pen. It lies there in both classes alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.render.light import linear
from flipdetect.synth.render.rasterizer import Picture

CLUTTER_CHANCE = 0.1
"""Share of the clips with something on the page towards which the (real or imagined) turn goes."""

KINDS = ("paper", "phone", "pen")
SHADOW = 0.45
MARGIN = 0.03
"""What lies on a page stays this far from its edges, in page widths: it is painted onto the page."""


@dataclass(frozen=True)
class Clutter:
    """A flat object on a page.

    Attributes:
        kind: one of `KINDS`.
        centre: (x, y) on the page as a reader sees it, as shares of its width and height from the left top.
        size: (wide, tall) in page widths.
        turn: in degrees.
        colour: (3,) display colour.
        seed: of what is printed on it.
    """

    kind: str
    centre: tuple[float, float]
    size: tuple[float, float]
    turn: float
    colour: tuple[float, float, float]
    seed: int


def sample_clutter(rng: np.random.Generator) -> Clutter | None:
    """What lies on the page of a clip, mostly nothing."""
    present = rng.random() < CLUTTER_CHANCE
    kind = str(rng.choice(KINDS, p=[0.55, 0.3, 0.15]))
    if kind == "phone":
        size, colour = (0.42, 0.86), np.full(3, rng.uniform(12, 50))
    elif kind == "pen":
        size, colour = (0.05, 0.8), rng.uniform(15, 220, 3)
    else:
        size = (float(rng.uniform(0.25, 0.75)), float(rng.uniform(0.2, 0.8)))
        colour = np.full(3, rng.uniform(205, 250)) - np.array([0, 0.3, 1]) * rng.choice([0, 0, 40, 120])
    place, turn, seed = rng.uniform(0.25, 0.75, 2), float(rng.normal(0, 25)), int(rng.integers(1 << 30))
    if not present:
        return None
    return Clutter(kind, (float(place[0]), float(place[1])), size, turn, tuple(colour.tolist()), seed)


def lay_on_page(page: Picture, item: Clutter) -> Picture:
    """A copy of a page (h, w, 3) float32 linear with the item and its shadow on it."""
    height, width = page.shape[:2]
    top = _draw(item, width)
    turn = cv2.getRotationMatrix2D(((top.shape[1] - 1) / 2, (top.shape[0] - 1) / 2), item.turn, 1.0)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [top.shape[1], top.shape[0]]
    reach = np.abs((corners @ turn[:, :2].T + turn[:, 2]) - (np.array(top.shape[1::-1]) - 1) / 2).max(axis=0)
    room = np.array([width, height]) - reach - MARGIN * width
    centre = np.clip(np.array(item.centre) * [width, height], np.minimum(reach + MARGIN * width, room), room)
    turn[:, 2] += centre - (np.array(top.shape[1::-1]) - 1) / 2
    seen = cv2.warpAffine(top, turn, (width, height), flags=cv2.INTER_LINEAR)
    cover = seen[..., 3:]
    soft = cv2.GaussianBlur(np.ascontiguousarray(cover[..., 0]), (0, 0), max(0.8, 0.018 * width))[..., None]
    return np.asarray(page * (1 - SHADOW * soft) * (1 - cover) + seen[..., :3], np.float32)


def _draw(item: Clutter, page_width: int) -> Picture:
    """The item from above, (h, w, 4) float32: linear colour times coverage, and coverage."""
    wide, tall = (max(4, round(length * page_width)) for length in item.size)
    picture: NDArray[np.float32] = np.empty((tall, wide, 3), np.float32)
    picture[:] = item.colour
    rng = np.random.default_rng(item.seed)
    if item.kind == "paper":
        for y in range(round(0.1 * tall), round(0.85 * tall), max(3, round(0.055 * page_width))):
            end = round(rng.uniform(0.3, 0.92) * wide)
            cv2.line(picture, (round(0.1 * wide), y), (end, y), (90.0, 90.0, 110.0), 1, cv2.LINE_AA)
    elif item.kind == "phone":
        inset = max(1, round(0.02 * page_width))
        screen = picture[2 * inset : tall - 2 * inset, inset : wide - inset]
        screen[:] = rng.uniform(5, 160) + rng.uniform(-5, 30, 3)
        screen += np.linspace(20, 0, len(screen), dtype=np.float32)[:, None, None]
    else:
        picture[: max(1, tall // 9)] *= 0.4
    picture[:, : max(1, wide // 40)] *= 0.9
    rounded = np.zeros((tall, wide), np.float32)
    radius = round(0.05 * page_width) if item.kind == "phone" else 0
    cv2.rectangle(rounded, (1 + radius, 1), (wide - 2 - radius, tall - 2), 1.0, -1)
    cv2.rectangle(rounded, (1, 1 + radius), (wide - 2, tall - 2 - radius), 1.0, -1)
    for x in (1 + radius, wide - 2 - radius):
        for y in (1 + radius, tall - 2 - radius):
            cv2.circle(rounded, (x, y), radius, 1.0, -1, cv2.LINE_AA)
    return np.dstack([linear(np.clip(picture, 3, 255)) * rounded[..., None], rounded]).astype(np.float32)
