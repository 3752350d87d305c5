"""One sample of a frame: the scene at one instant, through one point of the lens, in linear light."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress

import cv2
import numpy as np

from flipdetect.synth.block import Block, build_block, draw_block
from flipdetect.synth.camera import Camera
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.desk import texture_to_world
from flipdetect.synth.hand_picture import lit
from flipdetect.synth.hand_place import PlacedHand, draw_hand, draw_thumb, place_hand
from flipdetect.synth.scene import Assets, Source, paint_hand, paint_source, sample_source
from flipdetect.synth.script import Clip, sheet_at
from flipdetect.synth.shadow import light_left
from flipdetect.synth.sheet import Sheet
from flipdetect.synth.surface import Picture, dim, draw_sheet

SHADOW_EVERY = 3
"""Samples that share one drawing of the soft shadows: these move little between samples."""


@dataclass
class Stage:
    """What the samples of one frame share.

    Attributes:
        config: of the data set.
        clip: the script.
        source: of the clip.
        assets: of the source.
        under: the sheets that lie on the left and on the right below the one on top.
        block: the rest of the book.
        lit_hands: (h, w, 4) premultiplied hand pictures by the hand's place in the clip, lit when first drawn.
        shadow: (H, W) light left, kept for a few samples.
    """

    config: SynthConfig
    clip: Clip
    source: Source
    assets: Assets
    under: tuple[Sheet, Sheet]
    block: Block
    lit_hands: dict[int, Picture] = field(default_factory=dict)
    shadow: Picture | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) of the frame."""
        return self.config.width, self.config.height


def set_stage(config: SynthConfig, clip: Clip) -> Stage:
    """Everything needed to draw samples of a clip's frame."""
    source = sample_source(config, clip.source)
    left, right = (sheet_at(source, clip.style, rest) for rest in clip.resting())
    block = build_block(source.book, (left, right), source.style.paper)
    return Stage(config, clip, source, paint_source(config, clip.source), (left, right), block)


def draw_sample(stage: Stage, time: float, jitter: tuple[float, float], index: int) -> Picture:
    """The scene at `time` seconds, (H, W, 3) float32 linear, its pixels moved by `jitter`.

    Args:
        stage: the frame's.
        time: in seconds.
        jitter: (x, y) in pixels, within half a pixel.
        index: of the sample, counted from 0 without gaps.
    """
    clip, source, sheets = stage.clip, stage.source, stage.assets.sheets
    height, light = source.book.height, source.light
    desk_view = clip.view(time, stage.size).warped(np.array([[1, 0, jitter[0]], [0, 1, jitter[1]], [0, 0, 1.0]]))
    view = desk_view.carried(*clip.pushed(time))
    moving = sheet_at(source, clip.style, clip.progress(time))
    hands = _place_hands(stage, time)
    canvas = _lay(desk_view, stage.assets.desk, 0.0, stage.size)
    draw_block(canvas, view, stage.block)
    # A page that the top sheet covers exactly need not be drawn.
    if clip.progress(time) < 1:
        draw_sheet(canvas, view, stage.under[0], sheets[clip.sheet - 1], light, height)
    if clip.progress(time) > 0:
        draw_sheet(canvas, view, stage.under[1], sheets[clip.sheet + 1], light, height)
    if stage.shadow is None or index % SHADOW_EVERY == 0:
        stage.shadow = light_left(view, light, source.book.page_z, stage.size, moving, hands)
    dim(canvas, stage.shadow)
    # A page that lies still has nothing beneath it.
    under = [clip.is_flip and hand.track.is_under(time, clip.turn) for hand in hands]
    for hand in compress(hands, under):
        draw_hand(canvas, view, hand)
    draw_sheet(canvas, view, moving, sheets[clip.sheet], light, height)
    for hand, beneath in zip(hands, under, strict=True):
        if not beneath:
            draw_hand(canvas, view, hand)
        elif hand.track.holds_paper(time, clip.turn):
            draw_thumb(canvas, view, hand)
    return np.asarray(cv2.multiply(canvas, _lay(desk_view, stage.assets.light, source.book.page_z, stage.size)))


def _lay(view: Camera, picture: Picture, z: float, size: tuple[int, int]) -> Picture:
    """A picture (h, h, 3) of the whole desk as seen when it lies at height `z`: (H, W, 3)."""
    homography = view.plane(z) @ texture_to_world(picture.shape[0])
    seen = cv2.warpPerspective(picture, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def _place_hands(stage: Stage, time: float) -> list[PlacedHand]:
    clip, source = stage.clip, stage.source
    grip = sheet_at(source, clip.style, clip.imagined_progress(time)).edge_point(clip.grip_y)
    placed = []
    for position, track in enumerate(clip.hands):
        picture = paint_hand(stage.config, clip.source, track.pose, track.left)
        anchor = track.anchor(time, clip.turn, grip)
        if position not in stage.lit_hands:
            stage.lit_hands[position] = lit(picture, source.light, track.direction(anchor))
        placed.append(place_hand(track, picture, stage.lit_hands[position], anchor, source.person.size))
    return placed
