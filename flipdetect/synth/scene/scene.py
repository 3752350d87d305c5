"""A source: one book on one desk under one light, filmed by one phone, read by one person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from flipdetect.synth.camera import Camera, Phone, Picture, look_at, sample_phone
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.hands.person import HandMesh, Person, build_mesh, sample_person
from flipdetect.synth.hands.shape import POSES, Pose, sample_pose
from flipdetect.synth.hands.skin import Texture, paint_texture
from flipdetect.synth.render.rasterizer import Light
from flipdetect.synth.scene.book import Book, sample_book
from flipdetect.synth.scene.desk import MATERIALS, MORE_MATERIALS, draw_desk, draw_light, draw_room
from flipdetect.synth.scene.page import bind_sheet, draw_page
from flipdetect.synth.scene.page_style import PageStyle, sample_page_style
from flipdetect.synth.scene.variety import View, loosen, other_book, other_phone, other_style, other_view, sample_place

SOURCE_STREAM, PAGES_STREAM, DESK_STREAM, HANDS_STREAM, VARIETY_STREAM = 1, 2, 3, 4, 11
"""First keys of the random streams of a source; those of clips (5, 6) and noise (7) follow on."""

SHEETS = 6
"""Sheets among which the clips of a source choose the one on top: they share most of their pictures."""

PAGE_PIXELS = 0.56
"""Width of a page's picture as a share of the frame's height: the largest a page appears."""

SKIN_PIXELS, FINEST_SKIN = 0.7, 768
"""Side of the skin's texture as a share of the frame's height, and at most."""


@dataclass(frozen=True)
class Source:
    """Everything that the clips of a source share: one book on one desk, read by one person, filmed by one phone.

    Attributes:
        ground_z: height of the desk; below 0, the book is held in the air before it.
    """

    index: int
    book: Book
    light: Light
    person: Person
    style: PageStyle
    phone: Phone
    view: View
    ground_z: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the book is held in the air."""
        return self.ground_z < 0

    def camera(self, config: SynthConfig, zoom: float, shift: tuple[float, ...], roll: float) -> Camera:
        """The phone's view, zoomed, aimed elsewhere by `shift` page widths, and rolled a little further."""
        eye, target, own_roll, focal = self.view
        moved, size = np.array([*shift, 0.0]), config.frame_size(self.index)
        return look_at(eye + moved, target + moved, own_roll + roll, focal * zoom * config.height, size)


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
    book = sample_book(rng, bowed="bow" not in left_out)
    elevation, azimuth = np.deg2rad(rng.uniform(38, 78)), rng.uniform(0, 2 * np.pi)
    lamp = (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation))
    light = Light(
        direction=tuple(float(part) for part in lamp),
        ambient=rng.uniform(0.35, 0.85),
        softness=rng.uniform(0.08, 0.4),
        through=rng.uniform(0.2, 0.45),
    )
    person, style, phone = (
        sample_person(rng, config.stream(HANDS_STREAM, index)),
        sample_page_style(rng),
        sample_phone(rng),
    )
    distance, tilt = rng.uniform(3.2, 6.0), np.deg2rad(abs(rng.normal(0, 13)))
    around = -np.pi / 2 + rng.normal(0, 0.9)
    target = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.5, 0.4), book.spine_z])
    eye = target + distance * np.array([np.sin(tilt) * np.cos(around), np.sin(tilt) * np.sin(around), np.cos(tilt)])
    roll = float(rng.normal(0, 0.09) if rng.random() < 0.85 else rng.choice([-1, 1]) * rng.uniform(0.3, 1.6))
    view = tuple(eye.tolist()), tuple(target.tolist()), roll, float(distance * rng.uniform(0.36, 0.85) * 9 / 16)
    if "print" in left_out:
        style = replace(style, weight=1.0, uneven=0.0)
    if "exposure" in left_out:
        exposure, contrast = (min(max(phone.exposure, 0.55), 1.08), min(max(phone.contrast, 0.1), 0.7))
        phone = replace(phone, exposure=exposure, contrast=contrast)
    ground_z = 0.0
    if config.scenes == "any":
        other = config.stream(VARIETY_STREAM, index)
        place = sample_place(other)
        book = other_book(other, book, held=place == "held")
        view, ground_z = other_view(other, view, place)
        style, phone = other_style(other, style), other_phone(other, phone)
        book = loosen(other, book)
    return Source(index, book, light, person, style, phone, view, ground_z)


@lru_cache(maxsize=2)
def paint_source(config: SynthConfig, index: int) -> Assets:
    """The pictures of a source; the last two are kept, as the clips of a source follow one another."""
    source = sample_source(config, index)
    rng = config.stream(DESK_STREAM, index)
    if source.held:
        ground = draw_room(rng)
    else:
        material = "" if config.scenes == "desk" else str(rng.choice([*MATERIALS, *MORE_MATERIALS]))
        ground = draw_desk(rng, source.book.height, material)
    return Assets(ground, draw_light(rng, sun="sun" not in config.parts_left_out))


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
    return bind_sheet(front, back, source.style, source.book.gutter)


@lru_cache(maxsize=8)
def dress_hand(config: SynthConfig, index: int, left: bool) -> HandMesh:
    """The mesh of a hand of the person of source `index`; those of the last sources are kept."""
    return build_mesh(sample_source(config, index).person, left=left)


@lru_cache(maxsize=4)
def paint_skin(config: SynthConfig, index: int) -> Texture:
    """The texture of the hands of the person of source `index`; those of the last sources are kept."""
    size = int(np.clip(SKIN_PIXELS * config.height, 160, FINEST_SKIN)) // 16 * 16
    return paint_texture(sample_source(config, index).person, size)


@lru_cache(maxsize=64)
def hand_pose(config: SynthConfig, index: int, pose: str, left: bool, variation: int) -> Pose:
    """How a hand of the person of source `index` takes one of `shape.POSES`."""
    return sample_pose(config.stream(HANDS_STREAM, index, POSES.index(pose), int(left), variation), pose)
