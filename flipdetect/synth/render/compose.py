"""One sample of a frame: the scene at one instant, through one point of the lens, in linear light."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

import cv2
import numpy as np

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.clip import Clip, hand_at, sheet_at
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.hands.picture import HandPicture, draw_hand, draw_thumb, picture_hand, place_hand
from flipdetect.synth.render.rasterizer import Page, dim, draw_sheets
from flipdetect.synth.render.shadow import light_left
from flipdetect.synth.scene.book import Block, build_block, draw_block, draw_rings
from flipdetect.synth.scene.desk import DESK_REACH, lay_on_page, texture_to_world
from flipdetect.synth.scene.scene import Assets, Source, paint_sheet, paint_skin, paint_source, sample_source

SHADOW_EVERY = 3
"""Samples that share one drawing of the soft shadows: these move little between samples."""


@dataclass
class Stage:
    """What the samples of one frame share.

    Attributes:
        size: (W, H) of the frame.
        hands: pictures of the hands, in the pose of the first sample.
        shadow: (H, W) light left, kept for a few samples.
    """

    config: SynthConfig
    clip: Clip
    source: Source
    assets: Assets
    size: tuple[int, int]
    under: tuple[Page, Page]
    block: Block
    hands: list[HandPicture] | None = None
    shadow: Picture | None = None


def set_stage(config: SynthConfig, clip: Clip) -> Stage:
    """Everything needed to draw samples of a clip's frame."""
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
    size, under = config.frame_size(clip.source), ((left, pages[0]), (right, pages[1]))
    return Stage(config, clip, source, paint_source(config, clip.source), size, under, block)


def draw_sample(stage: Stage, time: float, jitter: tuple[float, float], index: int) -> Picture:
    """The scene at `time` seconds, (H, W, 3) float32 linear, its pixels moved by `jitter`.

    Args:
        jitter: (x, y) in pixels, within half a pixel.
        index: of the sample, counted from 0 without gaps.
    """
    clip, source = stage.clip, stage.source
    height, light = source.book.height, source.light
    desk_view = clip.capture.view(time, stage.size)
    desk_view = desk_view.warped(np.array([[1, 0, jitter[0]], [0, 1, jitter[1]], [0, 0, 1.0]]))
    view = desk_view.carried(*clip.pushed(time))
    layers = clip.layers(time)
    moving = sheet_at(source, clip.style, layers[0][1])
    grip = sheet_at(source, clip.style, clip.imagined_progress(time)).edge_point(clip.grip_y)
    if stage.hands is None:
        skin = paint_skin(stage.config, clip.source)
        posed = (hand_at(stage.config, clip, place, time) for place in range(len(clip.hands)))
        stage.hands = [picture_hand(hand, skin, light, view, stage.size) for hand in posed]
    hands = [
        place_hand(track, picture, track.anchor(time, clip.turn, grip))
        for track, picture in zip(clip.hands, stage.hands, strict=True)
    ]
    canvas = _lay(desk_view, stage.assets.desk, source.ground_z, stage.size)
    ground = canvas.copy() if source.held else None
    for hand in hands:
        if hand.track.below_book:
            draw_hand(canvas, view, hand)
    draw_block(canvas, view, stage.block)
    # A page that the top sheet covers exactly need not be drawn.
    if min(progress for _, progress in layers) < 1 and not source.book.loose:
        draw_sheets(canvas, view, [stage.under[0]], light, height)
    if max(progress for _, progress in layers) > 0 and not source.book.loose:
        draw_sheets(canvas, view, [stage.under[1]], light, height)
    if stage.shadow is None or index % SHADOW_EVERY == 0:
        stage.shadow = light_left(view, light, source.book.page_z, stage.size, moving, hands)
    dim(canvas, stage.shadow if ground is None else np.where((canvas == ground).all(axis=2), 1, stage.shadow))
    # A page that lies still has nothing beneath it.
    under = [clip.is_flip and hand.track.is_under(time, clip.turn) for hand in hands]
    for hand in compress(hands, under):
        (draw_thumb if hand.track.below_book else draw_hand)(canvas, view, hand)
    # The numbers of sheets rise from left to right.
    on_top = [
        (sheet_at(source, clip.style, progress), paint_sheet(stage.config, clip.source, number))
        for number, progress in sorted(layers)
    ]
    draw_sheets(canvas, view, on_top, light, height)
    if source.book.rings:
        draw_rings(canvas, view, source.book)
    for hand, beneath in zip(hands, under, strict=True):
        if not beneath and hand.track.below_book:
            draw_thumb(canvas, view, hand)
        elif not beneath:
            draw_hand(canvas, view, hand)
        elif hand.track.holds_paper(time, clip.turn):
            draw_thumb(canvas, view, hand)
    return np.asarray(cv2.multiply(canvas, _lay(desk_view, stage.assets.light, source.book.page_z, stage.size)))


def _lay(view: Camera, picture: Picture, z: float, size: tuple[int, int]) -> Picture:
    """A picture (h, h, 3) of the whole desk as seen when it lies at height `z`: (H, W, 3)."""
    reach = DESK_REACH * (1 - min(z, 0.0) / 3)  # what is farther away is seen more widely
    homography = view.plane(z) @ texture_to_world(picture.shape[0], reach)
    seen = cv2.warpPerspective(picture, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)
