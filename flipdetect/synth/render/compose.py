"""One sample of a frame: the scene at one instant, through one point of the lens, in linear light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import compress

import cv2
import numpy as np

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.clip import Clip, hand_at, sheet_at
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.hands.picture import HandPicture, draw_hand, draw_thumb, picture_hand, place_hand
from flipdetect.synth.render.rasterizer import LyingSheet, Page, dim, draw_lying, draw_sheets, lay_sheet, shade_page
from flipdetect.synth.render.shadow import light_left
from flipdetect.synth.scene.book import Block, build_block, draw_block, draw_rings
from flipdetect.synth.scene.desk import DESK_REACH, lay_on_page, texture_to_world
from flipdetect.synth.scene.scene import Assets, Source, paint_sheet, paint_skin, paint_source, sample_source

LIGHT_EVERY = 3
"""Samples that share one drawing of the light and of the soft shadows: these move little between samples."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What the frames of a clip share.

    Attributes:
        size: (W, H) of a frame.
        under: the lying pages, shaded.
    """

    config: SynthConfig
    clip: Clip
    source: Source
    assets: Assets
    size: tuple[int, int]
    under: tuple[Page, Page]
    block: Block

    def views(self, time: float) -> tuple[Camera, Camera]:
        """What the camera sees of the desk, and of the book on it, at `time` seconds."""
        desk = self.clip.capture.view(time, self.size)
        return desk, desk.carried(*self.clip.pushed(time))


@dataclass
class Exposure:
    """What the samples of a frame share.

    Attributes:
        under: the lying pages that are not covered.
        top: the sheet on top if it does not move while the shutter is open.
        hands: pictures of the hands, in their pose in the middle of the exposure.
        shadow: (H, W) light left on desk and lying pages, kept for a few samples.
        brightness: (H, W, 3) of the light over the desk, kept as long.
    """

    stage: Stage
    under: list[LyingSheet]
    top: list[LyingSheet]
    hands: list[HandPicture]
    shadow: Picture | None = None
    brightness: Picture | None = None


@lru_cache(maxsize=1)
def set_stage(config: SynthConfig, clip: Clip) -> Stage:
    """Everything needed to draw a clip's frames; kept for the next one of the same clip."""
    source = sample_source(config, clip.source)
    left, right = (sheet_at(source, clip.style, rest) for rest in clip.below)
    block = build_block(source.book, (left, right), source.style.paper)
    pages = [paint_sheet(config, clip.source, number) for number in clip.under]
    if clip.clutter is not None:
        # It lies where the turning sheet will land: on a back page on the left, or on a front page on the right.
        side = 0 if clip.to_left else 1
        laid = pages[side].copy()
        width = laid.shape[1] // 2
        here = slice(width, None) if clip.to_left else slice(None, width)
        laid[:, here] = lay_on_page(laid[:, here], clip.clutter)
        pages[side] = laid
    lit = [shade_page(page, source.light, source.book.height) for page in ((left, pages[0]), (right, pages[1]))]
    size = config.frame_size(clip.source)
    return Stage(config, clip, source, paint_source(config, clip.source), size, (lit[0], lit[1]), block)


@lru_cache(maxsize=1)
def _lit_sheet(stage: Stage, number: int, progress: float) -> Page:
    """A sheet that lies on top, shaded."""
    source = stage.source
    page = sheet_at(source, stage.clip.style, progress), paint_sheet(stage.config, source.index, number)
    return shade_page(page, source.light, source.book.height)


def open_shutter(stage: Stage, time: float) -> Exposure:
    """Everything needed to draw the samples of the frame at `time` seconds."""
    clip, book = stage.clip, stage.source.book
    ends = (time - clip.capture.shutter / 2, time + clip.capture.shutter / 2)
    layers = [clip.layers(moment) for moment in ends]
    progress = [progress for moment in layers for _, progress in moment]
    # A page that the top sheet covers exactly need not be drawn.
    shown = compress(stage.under, (min(progress) < 1 and not book.loose, max(progress) > 0 and not book.loose))
    still = [_lit_sheet(stage, *layer) for layer in layers[0]] if layers[0] == layers[1] else []
    corners = np.array([[x, y * book.height, book.page_z] for x in (-1, 1) for y in (-0.5, 0.5)])
    view = stage.views(time)[1]
    moved = [stage.views(moment)[1].project(corners) - view.project(corners) for moment in ends]
    reach = int(np.ceil(np.abs(moved).max())) + 2
    under, top = (
        [lay_sheet(view, page, book.height, book.page_z, stage.size, reach) for page in pages]
        for pages in (shown, still)
    )
    skin = paint_skin(stage.config, clip.source)
    hands = [
        picture_hand(hand_at(stage.config, clip, place, time), skin, stage.source.light, view, stage.size)
        for place in range(len(clip.hands))
    ]
    return Exposure(stage, under, top, hands)


def draw_sample(exposure: Exposure, time: float, jitter: tuple[float, float], index: int) -> Picture:
    """The scene at `time` seconds, (H, W, 3) float32 linear, its pixels moved by `jitter`.

    Args:
        jitter: (x, y) in pixels, hardly more than half a pixel.
        index: of the sample, counted from 0 without gaps.
    """
    stage = exposure.stage
    clip, source, light = stage.clip, stage.source, stage.source.light
    shift = np.array([[1, 0, jitter[0]], [0, 1, jitter[1]], [0, 0, 1.0]])
    desk_view, view = (camera.warped(shift) for camera in stage.views(time))
    layers = clip.layers(time)
    moving = sheet_at(source, clip.style, layers[0][1])
    grip = sheet_at(source, clip.style, clip.imagined_progress(time)).edge_point(clip.grip_y)
    hands = [
        place_hand(track, picture, track.anchor(time, clip.turn, grip))
        for track, picture in zip(clip.hands, exposure.hands, strict=True)
    ]
    canvas = _lay(desk_view, stage.assets.desk, source.ground_z, stage.size)
    ground = canvas.copy() if source.held else None
    for hand in hands:
        if hand.track.below_book:
            draw_hand(canvas, view, hand)
    draw_block(canvas, view, stage.block)
    for page in exposure.under:
        draw_lying(canvas, view, page)
    if exposure.shadow is None or exposure.brightness is None or index % LIGHT_EVERY == 0:
        exposure.shadow = light_left(view, light, source.book.page_z, stage.size, moving, hands)
        exposure.brightness = _lay(stage.views(time)[0], stage.assets.light, source.book.page_z, stage.size)
    shadow = exposure.shadow
    if ground is not None:
        drawn = cv2.transform(cv2.absdiff(canvas, ground), np.ones((1, 3), np.float32))
        shadow = np.where(drawn > 0, shadow, 1)
    dim(canvas, shadow)
    # A page that lies still has nothing beneath it.
    under = [clip.is_flip and hand.track.is_under(time, clip.turn) for hand in hands]
    for hand in compress(hands, under):
        (draw_thumb if hand.track.below_book else draw_hand)(canvas, view, hand)
    for page in exposure.top:
        draw_lying(canvas, view, page)
    if not exposure.top:
        # The numbers of sheets rise from left to right.
        on_top = [
            (sheet_at(source, clip.style, progress), paint_sheet(stage.config, clip.source, number))
            for number, progress in sorted(layers)
        ]
        draw_sheets(canvas, view, on_top, light, source.book.height)
    if source.book.rings:
        draw_rings(canvas, view, source.book)
    for hand, beneath in zip(hands, under, strict=True):
        if not beneath and hand.track.below_book:
            draw_thumb(canvas, view, hand)
        elif not beneath:
            draw_hand(canvas, view, hand)
        elif hand.track.holds_paper(time, clip.turn):
            draw_thumb(canvas, view, hand)
    return np.asarray(cv2.multiply(canvas, exposure.brightness, dst=canvas))


def _lay(view: Camera, picture: Picture, z: float, size: tuple[int, int]) -> Picture:
    """A picture (h, h, 3) of the whole desk as seen when it lies at height `z`: (H, W, 3)."""
    reach = DESK_REACH * (1 - min(z, 0.0) / 3)  # what is farther away is seen more widely
    homography = view.plane(z) @ texture_to_world(picture.shape[0], reach)
    seen = cv2.warpPerspective(picture, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)
