"""A source: one book on one desk under one light, filmed by one phone, read by one person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from flipdetect.synth.animation.sheet import RestProfile
from flipdetect.synth.camera.isp import Phone, sample_phone
from flipdetect.synth.camera.pinhole import Camera, look_at
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.hands.appearance import HandPicture, Person, picture_hand, sample_person
from flipdetect.synth.hands.shape import POSES, pose_hand
from flipdetect.synth.render.light import Light
from flipdetect.synth.render.rasterizer import Picture
from flipdetect.synth.scene.desk import draw_desk, draw_light
from flipdetect.synth.scene.page import PageStyle, bind_pages, darken_gutter, draw_page, sample_page_style

SOURCE_STREAM, PAGES_STREAM, DESK_STREAM, HANDS_STREAM = 1, 2, 3, 4
"""First keys of the random streams of a source; those of clips (5, 6) and noise (7) follow on."""

SHEETS = 6
"""Sheets among which the clips of a source choose the one on top: they share most of their pictures."""

PAGE_PIXELS = 0.56
"""Width of a page's picture as a share of the frame's height: the largest a page appears."""

STEEPEST_FALL, STEEPEST_CLIMB = -0.5, 1.3
"""Slopes of a page at the gutter, in radians."""

ARCHED_SHARE = 0.6
"""Of the books, how many have a deep gutter from which pages arch."""

STEEPEST_ARCH = 1.75
"""Slope of an arching page at the gutter, in radians: beyond a right angle it hangs over the gutter and hides it, so
that the page ends there like a sheet in the air. Only the higher half does, or they would cross."""

HAND_PIXELS = 0.34
"""Length of a hand's picture as a share of the frame's height."""


@dataclass(frozen=True)
class Book:
    """A book's form; lengths in page widths.

    Attributes:
        height: of a page.
        right, left: how the open pages lie.
        spine_z: height of the gutter above the desk.
        overhang: of the cover beyond the pages.
        cover: (3,) linear colour of the cover.
        slant: how far the block's edges lean outwards at the desk.
        gutter: light lost in the gutter, 0 to 1.
    """

    height: float
    right: RestProfile
    left: RestProfile
    spine_z: float
    overhang: float
    cover: tuple[float, float, float]
    slant: float
    gutter: float

    @property
    def page_z(self) -> float:
        """About how high the open pages lie above the desk."""
        return self.spine_z + (self.right.climb * self.right.reach + self.left.climb * self.left.reach) / 2


@dataclass(frozen=True)
class Source:
    """Everything that the clips of a source share. `view` holds eye, target, roll and focal / frame height."""

    index: int
    book: Book
    light: Light
    person: Person
    style: PageStyle
    phone: Phone
    view: tuple[tuple[float, float, float], tuple[float, float, float], float, float]

    def camera(self, config: SynthConfig, zoom: float, shift: tuple[float, float], roll: float) -> Camera:
        """The phone's view, zoomed, aimed elsewhere by `shift` page widths, and rolled a little further."""
        eye, target, own_roll, focal = self.view
        moved = np.array([shift[0], shift[1], 0.0])
        return look_at(
            np.array(eye) + moved,
            np.array(target) + moved,
            own_roll + roll,
            focal * zoom * config.height,
            config.frame_size(self.index),
        )


@dataclass(frozen=True)
class Assets:
    """The pictures of a source.

    Attributes:
        desk: (640, 640, 3) float32 linear.
        light: (480, 480, 3) float32 brightness over the desk.
    """

    desk: Picture
    light: Picture


@lru_cache(maxsize=64)
def sample_source(config: SynthConfig, index: int) -> Source:
    """Source number `index` of a data set."""
    rng = config.stream(SOURCE_STREAM, index)
    left_out = config.parts_left_out
    book = _sample_book(rng)
    elevation, azimuth = np.deg2rad(rng.uniform(38, 78)), rng.uniform(0, 2 * np.pi)
    lamp = (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation))
    light = Light(
        direction=(float(lamp[0]), float(lamp[1]), float(lamp[2])),
        ambient=float(rng.uniform(0.35, 0.85)),
        softness=float(rng.uniform(0.08, 0.4)),
        through=float(rng.uniform(0.2, 0.45)),
    )
    person, style, phone, view = sample_person(rng), sample_page_style(rng), sample_phone(rng), _sample_view(rng, book)
    if "bow" in left_out:
        book = replace(book, right=_hardly_bowed(book.right), left=_hardly_bowed(book.left))
    if "print" in left_out:
        style = replace(style, weight=1.0, uneven=0.0)
    if "exposure" in left_out:
        exposure, contrast = (min(max(phone.exposure, 0.55), 1.08), min(max(phone.contrast, 0.1), 0.7))
        phone = replace(phone, exposure=exposure, contrast=contrast)
    return Source(index, book, light, person, style, phone, view)


@lru_cache(maxsize=2)
def paint_source(config: SynthConfig, index: int) -> Assets:
    """The pictures of a source; the last two are kept, as the clips of a source follow one another."""
    source = sample_source(config, index)
    rng = config.stream(DESK_STREAM, index)
    return Assets(draw_desk(rng, source.book.height), draw_light(rng, sun="sun" not in config.parts_left_out))


@lru_cache(maxsize=2 * SHEETS)
def paint_sheet(config: SynthConfig, index: int, number: int) -> Picture:
    """A sheet of the book of source `index`: (h, 2 w, 3) float32 linear, the front page, then the back page.

    Sheets are painted when first seen; the last dozen are kept, so a book may have any number of them.
    """
    source = sample_source(config, index)
    rng = config.stream(PAGES_STREAM, index, number)
    width = max(24, round(PAGE_PIXELS * config.height))
    height = round(width * source.book.height)
    front, back = (draw_page(rng, source.style, width, height) for _ in range(2))
    seen = bind_pages(front, source.style, back), bind_pages(back, source.style, front)
    depth = source.book.gutter
    pages = [darken_gutter(seen[0], depth, spine_left=True), darken_gutter(seen[1], depth, spine_left=False)]
    return np.ascontiguousarray(np.concatenate(pages, axis=1))


@lru_cache(maxsize=2 * len(POSES) * 2)
def paint_hand(config: SynthConfig, index: int, pose: str, left: bool) -> HandPicture:
    """A hand of the person of source `index`; those of the last two sources are kept."""
    source = sample_source(config, index)
    rng = hand_stream(config, index, pose, left)
    scale = max(24.0, HAND_PIXELS * config.height)
    return picture_hand(rng, source.person, pose_hand(rng, pose), pose, left=left, pixels_per_unit=scale)


def hand_stream(config: SynthConfig, index: int, pose: str, left: bool) -> np.random.Generator:
    """What a hand of source `index` draws; its form comes first."""
    return config.stream(HANDS_STREAM, index, POSES.index(pose), int(left))


def _sample_book(rng: np.random.Generator) -> Book:
    arched = bool(rng.random() < ARCHED_SHARE)
    # Where a book lies open, its halves share the thickness; their pages fall, or climb, from the gutter to them.
    thickness, share = rng.uniform(0.08, 0.4) if arched else rng.uniform(0.02, 0.32), rng.uniform(0.08, 0.92)
    halves = (0.02 + thickness * share, 0.02 + thickness * (1 - share))
    spine_z = float(max(0.03, (rng.uniform(0.1, 0.7) if arched else rng.uniform(0.4, 0.95)) * max(halves)))
    pages = []
    for edge_z in halves:
        higher = edge_z == max(halves)
        if arched and (higher or rng.random() < 0.7):
            page = _sample_arch(rng, spine_z, edge_z, float(rng.uniform(0.8, STEEPEST_ARCH if higher else 1.2)))
        else:
            page = _sample_rest(rng, spine_z, edge_z)
        # The soft waves of paper that has been read, or has just landed, lift its middle.
        wave, waves = float(max(0.0, rng.uniform(-0.15, 0.15))), float(rng.choice([1, 1, 2]))
        pages.append(replace(page, wave=wave, waves=waves))
    right, left = pages
    cover = rng.uniform(0.01, 0.5, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0.02, 0.7))
    return Book(
        height=float(rng.uniform(1.22, 1.55)),
        right=right,
        left=left,
        spine_z=spine_z,
        overhang=float(rng.choice([0.0, 0.0, 0.02, 0.04])),
        cover=(float(cover[0]), float(cover[1]), float(cover[2])),
        slant=float(rng.uniform(-0.03, 0.14)),
        gutter=float(rng.uniform(0.05, 0.6)),
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


def _hardly_bowed(page: RestProfile) -> RestProfile:
    return RestProfile(page.climb, min(page.reach, 0.13), min(page.bow, 0.2))


def _sample_view(
    rng: np.random.Generator, book: Book
) -> tuple[tuple[float, float, float], tuple[float, float, float], float, float]:
    """Eye, target, roll in radians, and focal length as a share of the frame's height."""
    distance = rng.uniform(3.2, 6.0)
    tilt = np.deg2rad(abs(rng.normal(0, 13)))
    around = -np.pi / 2 + rng.normal(0, 0.9)
    target = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.5, 0.4), book.spine_z])
    offset = distance * np.array([np.sin(tilt) * np.cos(around), np.sin(tilt) * np.sin(around), np.cos(tilt)])
    roll = rng.normal(0, 0.09) if rng.random() < 0.85 else rng.choice([-1, 1]) * rng.uniform(0.3, 1.6)
    page_share = rng.uniform(0.36, 0.85)
    focal = distance * page_share * 9 / 16
    eye = target + offset
    return (
        (float(eye[0]), float(eye[1]), float(eye[2])),
        (float(target[0]), float(target[1]), float(target[2])),
        float(roll),
        float(focal),
    )
