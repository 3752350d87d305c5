"""The desk: what lies under and around the book and on its pages, and the light that falls on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Picture
from flipdetect.synth.render.rasterizer import linear

DESK_REACH = 4.0
"""The desk picture spans -4 to 4 page widths in x and y: more than any camera of ours sees."""

DESK_PIXELS = 640
"""Side of the desk picture for frames of 384 pixels; materials are soft, so this need not be sharp."""

UNIT = DESK_PIXELS / (2 * DESK_REACH)
"""Pixels of the desk picture in a page width."""

LIGHT_PIXELS = 480
"""Side of the picture of the light: the edge of a patch of sun crosses a page as sharply as the page's own edge."""

METERED = (0.35, 0.95)
"""Share of the middle of the desk that is darker than what the phone exposes for; phones differ."""

MATERIALS = ("white", "white", "white", "wood", "wood", "dark", "cloth", "plain")

MORE_MATERIALS = ("stone", "carpet", "check", "vivid", "wood", "cloth")
"""Where any scene is rendered, as often as those above."""

CLUTTER_CHANCE = 0.1
"""Share of the clips with something on the page towards which the (real or imagined) turn goes."""

KINDS = ("paper", "phone", "pen")
SHADOW_REACH = 24
"""Pixels of the desk picture around a thing in which its shadow fades."""

SHADOW = 0.45
MARGIN = 0.03
"""What lies on a page stays this far from its edges, in page widths: it is painted onto the page."""


def draw_desk(rng: np.random.Generator, page_height: float, material: str = "") -> Picture:
    """A desk seen from straight above, (640, 640, 3) float32 linear; row 0 is the side away from the reader.

    Args:
        material: one of `MATERIALS` or `MORE_MATERIALS`; one of the former by chance if empty.
    """
    desk = _material(rng, material)
    _scatter(rng, desk, page_height)
    if rng.random() < 0.5:
        _lap(rng, desk, page_height)
    return linear(np.clip(desk, 3, 255))


def draw_room(rng: np.random.Generator) -> Picture:
    """What is seen out of focus behind a book that is held up, (640, 640, 3) float32 linear: a wall or a room."""
    grey = rng.choice([rng.uniform(200, 252), rng.uniform(90, 200), rng.uniform(15, 90)], p=[0.6, 0.25, 0.15])
    room = np.full((DESK_PIXELS, DESK_PIXELS, 3), grey, np.float32) * (1 + rng.uniform(-0.08, 0.08, 3))
    if rng.random() < 0.4:
        for grid in ((3, 4), (9, 12), (25, 30)):
            colour = np.stack([_noise(rng, grid) for _ in range(3)], axis=2)
            room += 22 * (0.7 * colour.mean(axis=2, keepdims=True) + 0.3 * colour)
    return linear(np.clip(cv2.GaussianBlur(room, (0, 0), rng.uniform(2, 12)), 3, 255))


def draw_light(rng: np.random.Generator, *, sun: bool = True) -> Picture:
    """Brightness and tint over the desk, (480, 480, 3) float32 around 1: fall-off and, with `sun`, patches of it."""
    size = LIGHT_PIXELS
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size * 2 * DESK_REACH - DESK_REACH
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.16)
    light = 1 + slope * (np.cos(angle) * x + np.sin(angle) * y)
    if rng.random() < 0.5:
        cx, cy = rng.uniform(-2.0, 2.0, 2)
        light *= 0.55 + 0.75 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(2.5, 9.0))
    warm = np.zeros_like(light)
    if sun and rng.random() < 0.6:
        warm = _window(rng)
        light = light * (1 + warm * rng.uniform(0.2, 1.8))
    if sun and rng.random() < 0.4:
        light = light * (1 - _window(rng) * rng.uniform(0.15, 0.6))  # the photographer's shadow, a lamp's arm
    # Phones expose for the bright part of what is in the middle.
    middle = light[size * 3 // 8 : size * 5 // 8, size * 3 // 8 : size * 5 // 8]
    light = light / np.quantile(middle, rng.uniform(*METERED))
    tint = rng.uniform(-0.06, 0.06)
    colour = np.stack([1 + tint * warm, np.ones_like(warm), 1 - tint * warm], axis=2)
    return np.asarray(np.clip(light, 0.15, 2.6)[..., None] * colour, np.float32)


def texture_to_world(size: int, reach: float = DESK_REACH) -> NDArray[np.float64]:
    """(3, 3) homography from pixels of a picture of `size` to (x, y, 1) of a plane, which it covers so far."""
    step = 2 * reach / size
    return np.array([[step, 0, -reach], [0, -step, reach], [0, 0, 1]])


def _noise(rng: np.random.Generator, grid: tuple[int, int]) -> Picture:
    """Soft noise over the desk, coarse as `grid`."""
    coarse = rng.normal(0, 1, grid).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (DESK_PIXELS, DESK_PIXELS), interpolation=cv2.INTER_CUBIC), np.float32)


def _material(rng: np.random.Generator, kind: str = "") -> Picture:
    kind, size = kind or MATERIALS[int(rng.integers(len(MATERIALS)))], DESK_PIXELS
    if kind == "wood":
        base = np.array([[176, 130, 84], [120, 78, 46], [205, 172, 130], [88, 60, 42]])[rng.integers(4)]
        warp = _noise(rng, (6, 6)) * 0.5 + _noise(rng, (int(rng.integers(50, 120)), 4))
        fine = _noise(rng, (size // 2, 8)) * 0.5
        tone = 1 + 0.11 * warp + 0.07 * fine
        if rng.random() < 0.5:
            tone = tone.T
    elif kind == "cloth":
        base = rng.uniform(40, 190) * (1 + rng.uniform(-0.25, 0.25, 3))
        rows = np.sin(np.arange(size, dtype=np.float32) * 1.6)
        tone = 1 + 0.05 * (rows[None] * rows[:, None]) + 0.05 * _noise(rng, (5, 5))
        tone += 0.05 * rng.normal(0, 1, (size, size))
    elif kind == "stone":
        base = rng.uniform(60, 215) * (1 + rng.uniform(-0.08, 0.08, 3))
        specks = rng.normal(0, 1, (size, size))
        tone = 1 + 0.16 * specks + 0.1 * _noise(rng, (90, 90)) + 0.06 * _noise(rng, (12, 12))
    elif kind == "carpet":
        base = rng.uniform(30, 150) * (1 + rng.uniform(-0.4, 0.4, 3))
        motif = _noise(rng, (int(rng.integers(8, 30)), int(rng.integers(8, 30))))
        tone = 1 + rng.uniform(0.1, 0.35) * np.sign(motif) + 0.12 * rng.normal(0, 1, (size, size))
    elif kind == "check":
        base = rng.uniform(70, 210) * (1 + rng.uniform(-0.35, 0.35, 3))
        stripes = np.sign(np.sin(np.arange(size) * rng.uniform(0.06, 0.3)))
        tone = 1 + rng.uniform(0.06, 0.2) * (stripes[None] + stripes[:, None]) + 0.04 * rng.normal(0, 1, (size, size))
    elif kind == "vivid":
        base = rng.uniform(25, 235, 3)
        tone = 1 + 0.03 * _noise(rng, (6, 6)) + 0.012 * rng.normal(0, 1, (size, size))
    else:
        grey = {"white": rng.uniform(185, 240), "dark": rng.uniform(25, 70), "plain": rng.uniform(80, 180)}[kind]
        base = grey * (1 + rng.uniform(-0.09, 0.09, 3))
        tone = 1 + 0.02 * _noise(rng, (6, 6)) + 0.012 * rng.normal(0, 1, (size, size))
    tone = np.ascontiguousarray(tone, np.float32)
    return np.asarray(cv2.merge([tone * np.float32(channel) for channel in base]), np.float32)


def _scatter(rng: np.random.Generator, desk: Picture, page_height: float) -> None:
    """Papers, pens, notes, a phone, a mug around the book, each with a soft shadow."""
    for _ in range(int(rng.choice([0, 1, 2, 4]))):
        angle = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(0.95, 1.9)
        x = 1.15 * away * np.cos(angle) * UNIT + DESK_PIXELS / 2
        y = (page_height / 2 + 0.25) * away * np.sin(angle) * UNIT + DESK_PIXELS / 2
        kinds = [(0.05, 0.9), (0.3, 0.3), (0.35, 0.7), (0.8, 1.1)]
        wide, tall = kinds[int(rng.integers(len(kinds)))]
        colour = 0.5 * rng.uniform(20, 235) + 0.5 * rng.uniform(20, 235, 3)
        if rng.random() < 0.4:
            colour = np.full(3, rng.choice([25.0, 235.0]))
        if rng.random() < 0.15:
            # A cup from above: rim, wall and what is in it.
            turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            radius, ring = 0.22 * UNIT, np.stack([np.cos(turns), np.sin(turns)], axis=1)
            corner, part = _part_around(desk, (x, y) + radius * ring)
            middle = (x, y) - corner
            part *= 1 - 0.4 * cv2.GaussianBlur(_cover(part, middle + radius * 1.1 * ring), (0, 0), 4)[..., None]
            for share, tone in ((1.0, 1.0), (0.88, 0.55), (0.8, 0.22)):
                cover = _cover(part, middle + radius * share * ring)[..., None]
                part += cover * ((colour * tone).astype(np.float32) - part)
            continue
        outline = cv2.boxPoints(((x, y), (wide * UNIT, tall * UNIT), rng.uniform(0, 180)))
        corner, part = _part_around(desk, outline)
        part *= 1 - 0.35 * cv2.GaussianBlur(_cover(part, outline - corner + 2), (0, 0), 2.5)[..., None]
        part += _cover(part, outline - corner)[..., None] * (colour.astype(np.float32) - part)


def _part_around(desk: Picture, outline: NDArray[Any]) -> tuple[NDArray[np.intp], Picture]:
    """Left top corner (x, y) and view of the part of the desk that an outline and its shadow may touch."""
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - SHADOW_REACH, 0)
    high = np.maximum(np.ceil(outline.max(axis=0)).astype(int) + SHADOW_REACH, 0)
    return low, desk[low[1] : high[1], low[0] : high[0]]


def _cover(part: Picture, outline: NDArray[Any]) -> Picture:
    """Coverage (h, w) of a part of the desk, 0 to 1, by a polygon with smooth edges."""
    mask = np.zeros(part.shape[:2], np.uint8)
    if mask.size:
        cv2.fillConvexPoly(mask, np.asarray(outline * 16, np.int32), 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / np.float32(255)


def _lap(rng: np.random.Generator, desk: Picture, page_height: float) -> None:
    """The near edge of the desk, with the floor and dark clothes beyond it."""
    edge = DESK_PIXELS / 2 + (page_height / 2 + rng.uniform(0.3, 1.0)) * UNIT
    lean = rng.uniform(-0.12, 0.12)
    first = int(np.clip(edge - abs(lean) * DESK_PIXELS / 2 - 1, 0, DESK_PIXELS - 1))
    x, y = np.arange(DESK_PIXELS)[None], np.arange(first, DESK_PIXELS)[:, None]
    below = np.clip(y - edge - lean * (x - DESK_PIXELS / 2) + 0.5, 0, 1)[..., None]
    floor = rng.uniform(20, 110) * (1 + rng.uniform(-0.2, 0.2, 3) + 0.1 * _noise(rng, (40, 8))[first:, :, None])
    cloth = rng.uniform(8, 60) * (1 + rng.uniform(-0.25, 0.25, 3) + 0.2 * _noise(rng, (9, 14))[first:, :, None])
    apart, wide, start = rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.5), edge + rng.uniform(-0.2, 0.5) * UNIT
    lying = 1 - ((np.abs(x - DESK_PIXELS / 2) / UNIT - apart) / wide) ** 2 - np.clip((start - y) / (0.4 * UNIT), 0, 2)
    knees = np.clip(lying * 3, 0, 1)[..., None]
    beyond = floor * (1 - knees) + cloth * (0.6 + 0.4 * np.clip(lying, 0, 1)[..., None]) * knees
    desk[first:] = desk[first:] * (1 - below) + np.clip(beyond, 4, 255) * 0.7 * below


def _window(rng: np.random.Generator) -> Picture:
    """Patches of direct light with soft edges, 0 to 1."""
    size = LIGHT_PIXELS
    patch, angle = np.zeros((size, size), np.float32), rng.uniform(0, 180)
    for _ in range(int(rng.integers(1, 3))):
        centre = tuple((rng.uniform(-1.6, 1.6, 2) / DESK_REACH * size / 2 + size / 2).tolist())
        extent = tuple((rng.uniform(0.6, 2.5, 2) / DESK_REACH * size / 2).tolist())
        cv2.fillConvexPoly(patch, np.asarray(cv2.boxPoints((centre, extent, angle)), np.int32), 1.0, cv2.LINE_AA)
    blur = float(np.exp(rng.uniform(np.log(0.4), np.log(12.0))))
    return np.asarray(cv2.GaussianBlur(patch, (0, 0), blur), np.float32)


@dataclass(frozen=True)
class Clutter:
    """A flat object on a page.

    Attributes:
        kind: one of `KINDS`.
        centre: (x, y) on the page as a reader sees it, as shares of its width and height from the left top.
        size: (wide, tall) in page widths.
    """

    kind: str
    centre: tuple[float, ...]
    size: tuple[float, float]
    turn: float
    colour: tuple[float, ...]
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
        size = (rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.8))
        colour = np.full(3, rng.uniform(205, 250)) - np.array([0, 0.3, 1]) * rng.choice([0, 0, 40, 120])
    place, turn, seed = rng.uniform(0.25, 0.75, 2), rng.normal(0, 25), int(rng.integers(1 << 30))
    if not present:
        return None
    return Clutter(kind, tuple(place.tolist()), size, turn, tuple(colour.tolist()), seed)


def lay_on_page(page: Picture, item: Clutter) -> Picture:
    """A copy of a page (h, w, 3) float32 linear with the item and its shadow on it."""
    height, width = page.shape[:2]
    top = _draw_item(item, width)
    size = np.array(top.shape[1::-1])
    middle = (size - 1) / 2
    turn = cv2.getRotationMatrix2D(tuple(middle.tolist()), item.turn, 1.0)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
    reach = np.abs((corners @ turn[:, :2].T + turn[:, 2]) - middle).max(axis=0)
    room = np.array([width, height]) - reach - MARGIN * width
    centre = np.clip(np.array(item.centre) * [width, height], np.minimum(reach + MARGIN * width, room), room)
    turn[:, 2] += centre - middle
    seen = cv2.warpAffine(top, turn, (width, height), flags=cv2.INTER_LINEAR)
    cover = seen[..., 3:]
    soft = cv2.GaussianBlur(np.ascontiguousarray(cover[..., 0]), (0, 0), max(0.8, 0.018 * width))[..., None]
    return np.asarray(page * (1 - SHADOW * soft) * (1 - cover) + seen[..., :3], np.float32)


def _draw_item(item: Clutter, page_width: int) -> Picture:
    """The item from above, (h, w, 4) float32: linear colour times coverage, and coverage."""
    wide, tall = (max(4, round(length * page_width)) for length in item.size)
    picture: Picture = np.empty((tall, wide, 3), np.float32)
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
