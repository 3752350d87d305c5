"""The book: how its pages lie, its cover, and the edges of all the other pages seen from the side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, fixed_point, linear
from flipdetect.synth.sheet import Floats, RestProfile, Sheet

STEEPEST_FALL, STEEPEST_CLIMB = -0.5, 1.3
"""Slopes of a page at the gutter, in radians."""

ARCHED_SHARE = 0.6
"""Of the books, how many have a deep gutter from which pages arch."""

STEEPEST_ARCH = 1.75
"""Slope of an arching page at the gutter, in radians: beyond a right angle it hangs over the gutter and hides it, so
that the page ends there like a sheet in the air. Only the higher half does, or they would cross."""

WIDEST_RISE = 0.5
"""A page that climbs all the way is on the average as high as if it climbed to its middle."""

RING_RADIUS, RING_RISE, WIRE_WIDTH = 0.045, 0.05, 0.012
"""Of a wire binding, in page widths."""

EDGE_LAYERS, END_LAYERS = 5, 3
"""Bands of lighter and darker paper along the fore-edge, and on the top and bottom of the block."""

EDGE_TONE, END_TONE = 0.72, 0.66
"""Light on paper seen from its edge, against paper seen flat."""

CREST_STEP = 4
"""Every how many rulings the top and bottom walls get a corner: their rim bends gently."""


@dataclass(frozen=True)
class Book:
    """A book's form; lengths in page widths.

    Attributes:
        spine_z: height of the gutter above the desk.
        overhang: of the cover beyond the pages.
        slant: how far the block's edges lean outwards at the desk.
        gutter: light lost in the gutter, 0 to 1.
        thickness: of a half that is held up, below its pages; None where the block stands on the desk.
        rings: of a wire binding; 0 for any other.
        wire: linear grey of the wire.
        loose: whether there is no book: the sheet on top lies, or is held, alone.
    """

    height: float
    right: RestProfile
    left: RestProfile
    spine_z: float
    overhang: float
    cover: tuple[float, ...]
    slant: float
    gutter: float
    thickness: float | None = None
    rings: int = 0
    wire: float = 0.0
    loose: bool = False

    @property
    def page_z(self) -> float:
        """About how high the open pages lie above the desk."""
        rise = (page.climb * min(page.reach, WIDEST_RISE) for page in (self.right, self.left))
        return self.spine_z + sum(rise) / 2


@dataclass(frozen=True)
class Block:
    """Flat patches to be drawn in order: corners (N, 4, 3) in the world and linear colours (N, 3)."""

    corners: Floats
    colours: Picture


def sample_book(rng: np.random.Generator, *, bowed: bool) -> Book:
    """The form of a book; unless `bowed`, its pages hardly bow."""
    arched = bool(rng.random() < ARCHED_SHARE)
    # Where a book lies open, its halves share the thickness; their pages fall, or climb, from the gutter to them.
    thickness, share = rng.uniform(0.08, 0.4) if arched else rng.uniform(0.02, 0.32), rng.uniform(0.08, 0.92)
    halves = (0.02 + thickness * share, 0.02 + thickness * (1 - share))
    spine_z = float(max(0.03, (rng.uniform(0.1, 0.7) if arched else rng.uniform(0.4, 0.95)) * max(halves)))
    pages = []
    for edge_z in halves:
        higher = edge_z == max(halves)
        if arched and (higher or rng.random() < 0.7):
            page = _sample_arch(rng, spine_z, edge_z, rng.uniform(0.8, STEEPEST_ARCH if higher else 1.2))
        else:
            page = _sample_rest(rng, spine_z, edge_z)
        # The soft waves of paper that has been read, or has just landed, lift its middle.
        wave, waves = float(max(0.0, rng.uniform(-0.15, 0.15))), float(rng.choice([1, 1, 2]))
        hardly_bowed = RestProfile(page.climb, min(page.reach, 0.13), min(page.bow, 0.2))
        pages.append(replace(page, wave=wave, waves=waves) if bowed else hardly_bowed)
    right, left = pages
    cover = rng.uniform(0.01, 0.5, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0.02, 0.7))
    return Book(
        height=rng.uniform(1.22, 1.55),
        right=right,
        left=left,
        spine_z=spine_z,
        overhang=float(rng.choice([0.0, 0.0, 0.02, 0.04])),
        cover=tuple(cover.tolist()),
        slant=rng.uniform(-0.03, 0.14),
        gutter=rng.uniform(0.05, 0.6),
    )


def _sample_rest(rng: np.random.Generator, spine_z: float, edge_z: float) -> RestProfile:
    """How a page lies that leaves the gutter at `spine_z` and ends at about `edge_z` above the desk."""
    reach, bow = np.exp(rng.uniform(np.log(0.05), np.log(0.3))), 0.75 * rng.uniform(0, 1) ** 2
    gained = reach * (1 - np.exp(-1 / reach))
    climb = float(np.clip((edge_z - spine_z + bow / 2) / gained, STEEPEST_FALL, STEEPEST_CLIMB))
    # The free edge stays above the desk.
    bow = min(bow, 2 * (spine_z + climb * gained - 0.01))
    return RestProfile(climb, float(reach), float(max(bow, 0.0)))


def _sample_arch(rng: np.random.Generator, spine_z: float, edge_z: float, climb: float) -> RestProfile:
    """A page of a bound paperback: steep out of a deep gutter, then arching over; its top edge is notched there."""
    bow = rng.uniform(0.2, 1.0)
    # As wide a rise as brings the free edge to its height, within what paper does.
    reach = float(np.clip((edge_z - spine_z + bow / 2) / climb, 0.07, 0.4))
    bow = min(bow, 2 * (spine_z + climb * reach * (1 - np.exp(-1 / reach)) - 0.01))
    return RestProfile(climb, reach, float(bow))


def build_block(book: Book, pages: tuple[Sheet, ...], paper: tuple[float, ...]) -> Block:
    """The block below the left and right `pages`, of paper with a display colour; nothing below a loose sheet."""
    if book.loose:
        return Block(np.empty((0, 4, 3)), np.empty((0, 3), np.float32))
    corners: list[Floats] = []
    tones: list[float] = []
    half, colour = book.height / 2, linear(paper)
    for page, side in zip(pages, (-1, 1), strict=True):
        rim = page.edge_points(np.array([-half, half]) * 0.9999)
        _add_wall(corners, tones, rim, foot_of(book, rim, side * book.slant), EDGE_LAYERS, EDGE_TONE)
        points = page.points().reshape(-1, 3)
        for end in (half, -half):
            crest = points[np.abs(points[:, 1] - end) < 0.06]
            crest = crest[np.argsort(np.abs(crest[:, 0]))]
            crest = np.concatenate([crest[:-1:CREST_STEP], crest[-1:]])
            for first, second in pairwise(crest):
                rim = np.array([first, second])
                _add_wall(corners, tones, rim, foot_of(book, rim), END_LAYERS, END_TONE)
    colours = np.array(tones)[:, None] * colour
    if book.overhang:
        reach, far = 1 + book.overhang, half + book.overhang
        cover = np.array([[-reach, -far, 0], [reach, -far, 0], [reach, far, 0], [-reach, far, 0]])
        corners.insert(0, cover)
        colours = np.concatenate([[book.cover], colours])
    return Block(np.array(corners), np.asarray(colours, np.float32))


def foot_of(book: Book, rim: Floats, lean: float | Floats = 0.0) -> Floats:
    """Where a wall below a rim (N, 3) ends that leans outwards by `lean`, one number or (N,): (N, 3)."""
    foot = rim.copy()
    foot[:, 0] += lean
    foot[:, 2] = 0 if book.thickness is None else np.maximum(rim[:, 2] - book.thickness, 0)
    return np.asarray(foot)


def draw_rings(canvas: Picture, view: Camera, book: Book) -> None:
    """Draw the rings of a wire binding over the spine into a canvas (H, W, 3), in place."""
    angles = np.linspace(0, np.pi, 9)
    arc = np.stack([RING_RADIUS * np.cos(angles), np.zeros(9), book.spine_z + RING_RISE * np.sin(angles)], axis=1)
    places = np.linspace(-0.47, 0.47, book.rings)[:, None, None] * book.height * np.array([0.0, 1.0, 0.0])
    arcs = view.project(arc + places)
    across = float(np.linalg.norm(arcs[0, 0] - arcs[0, -1])) / (2 * RING_RADIUS)
    lines = [fixed_point(points).reshape(-1, 1, 2) for points in arcs]
    cv2.polylines(canvas, lines, False, (book.wire,) * 3, max(1, round(across * WIRE_WIDTH)), cv2.LINE_8, SUBPIXEL_BITS)


def draw_block(canvas: Picture, view: Camera, block: Block) -> None:
    """Draw the block into a canvas (H, W, 3), in place."""
    outlines = fixed_point(view.project(block.corners))
    for outline, colour in zip(outlines, block.colours.tolist(), strict=True):
        cv2.fillConvexPoly(canvas, outline, colour, cv2.LINE_8, SUBPIXEL_BITS)


def _add_wall(
    corners: list[Floats], tones: list[float], rim: Floats, foot: Floats, layers: int, brightness: float
) -> None:
    """Bands from a rim (2, 3) down to a foot (2, 3), darker towards the desk."""
    for layer in range(layers):
        high, low = layer / layers, (layer + 1) / layers
        corners.append(np.concatenate([rim + (foot - rim) * high, (rim + (foot - rim) * low)[::-1]]))
        tones.append(brightness * (1.08 if layer % 2 else 0.86) * (1 - 0.3 * high))
