"""Outlines of what is in a frame, drawn without its picture: boxes and covered areas at little cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Camera
from flipdetect.synth.clip import Clip, hand_at, sheet_at
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.hands.placement import draw_outline
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, fixed_point, strips
from flipdetect.synth.scene.book import foot_of
from flipdetect.synth.scene.scene import Source, sample_source
from flipdetect.synth.sheet import Floats, Sheet

Mask = NDArray[np.uint8]

FINEST = 384
"""Outlines are drawn with at most this many pixels along the frame's long side."""

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in pixels of the frame: left, top, and one beyond the last column and row."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """Masks (h, w) uint8, 0 or 1, of what a frame shows, and the frame's pixels per pixel of theirs.

    Attributes:
        book: cover, block and lying pages, as if no hand were there; of a loose sheet, itself.
        open_pages: both open pages and the sheets on top, as if no hand were there.
        page: the sheets on top, as if no hand were there.
        hands: what is seen of each hand.
        step: pixels of the frame per pixel of the masks.
    """

    book: Mask
    open_pages: Mask
    page: Mask
    hands: tuple[Mask, ...]
    step: float

    @property
    def covered(self) -> Mask:
        """What is seen of all hands together."""
        return reduce(np.bitwise_or, self.hands, np.zeros_like(self.page))


@lru_cache(maxsize=8)
def draw_outlines(config: SynthConfig, clip: Clip, time: float) -> Outlines:
    """Outlines of a clip's frame at `time` seconds."""
    source = sample_source(config, clip.source)
    size = config.frame_size(clip.source)
    step = max(1.0, max(size) / FINEST)
    shape = (round(size[1] / step), round(size[0] / step))
    # Pixel centres lie at whole numbers, so a smaller picture is also shifted.
    smaller = np.array([[1 / step, 0, 0.5 / step - 0.5], [0, 1 / step, 0.5 / step - 0.5], [0, 0, 1]])
    view = clip.capture.view(time, size).carried(*clip.pushed(time)).warped(smaller)
    page = np.zeros(shape, np.uint8)
    for _, progress in clip.layers(time):
        for outline in fixed_point(strips(view.project(sheet_at(source, clip.style, progress).points()))):
            cv2.fillConvexPoly(page, outline, 1, cv2.LINE_8, SUBPIXEL_BITS)
    lying = [sheet_at(source, clip.style, rest) for rest in clip.below]
    book, open_pages = (page, page) if source.book.loose else _book(source, view, lying, shape)
    hands = tuple(_hand(config, clip, view, time, place, book | open_pages, page) for place in range(len(clip.hands)))
    return Outlines(book, open_pages | page, page, hands, step)


def box_of(mask: Mask, step: float) -> Box | None:
    """The box of a mask in pixels of the frame, None if nothing is seen."""
    left, top, wide, tall = cv2.boundingRect(mask)
    if wide == 0 or tall == 0:
        return None
    edges = (left * step, top * step, (left + wide) * step, (top + tall) * step)
    return (int(edges[0]), int(edges[1]), int(np.ceil(edges[2])), int(np.ceil(edges[3])))


def _book(source: Source, view: Camera, lying: list[Sheet], shape: tuple[int, int]) -> tuple[Mask, Mask]:
    """Masks of the whole book at rest and of its open pages; both are convex but for the gutter."""
    pages = np.concatenate([sheet.points().reshape(-1, 3) for sheet in lying])
    book = source.book
    whole = np.concatenate([pages, foot_of(book, pages, book.slant * np.sign(pages[:, 0]))])
    if book.thickness is None:
        half, reach = book.height / 2 + book.overhang, 1 + book.overhang
        cover = np.array([[-reach, -half, 0], [reach, -half, 0], [reach, half, 0], [-reach, half, 0]])
        whole = np.concatenate([whole, cover])
    masks = []
    for points in (whole, pages):
        mask = np.zeros(shape, np.uint8)
        hull = cv2.convexHull(fixed_point(view.project(points)).reshape(-1, 1, 2))
        cv2.fillConvexPoly(mask, hull, 1, cv2.LINE_8, SUBPIXEL_BITS)
        masks.append(mask)
    return masks[0], masks[1]


def _hand(config: SynthConfig, clip: Clip, view: Camera, time: float, place: int, book: Mask, page: Mask) -> Mask:
    """What is seen of one hand."""
    hand, track = hand_at(config, clip, place, time), clip.hands[place]
    mask, thumb = np.zeros_like(page), np.zeros_like(page)
    draw_outline(mask, view, hand)
    under = clip.is_flip and track.is_under(time, clip.turn)
    if track.below_book or (under and track.holds_paper(time, clip.turn)):
        draw_outline(thumb, view, hand, thumb=True)
    if track.below_book:
        mask, thumb = (mask & (1 - book)) | thumb, np.zeros_like(page)
    return (mask & (1 - page)) | thumb if under else mask


def covered_share(outlines: Outlines) -> float:
    """Share of the open pages in view that hands cover, 0 to 1; 0 if no page is in view."""
    seen = int(outlines.open_pages.sum())
    return float((outlines.covered & outlines.open_pages).sum() / seen) if seen else 0.0


def page_points(source: Source, clip: Clip, time: float) -> Floats:
    """(N, 3) world points spread over the open pages and the sheet on top, the same paper at any time."""
    sheets = [sheet_at(source, clip.style, progress) for progress in (*clip.below, clip.progress(time))]
    heights = np.array([-0.45, 0.0, 0.45]) * source.book.height
    spine = np.stack([np.zeros(3), heights, np.full(3, source.book.spine_z)], axis=1)
    edges = (sheet.edge_points(heights) for sheet in sheets)
    return np.concatenate([spine + share * (edge - spine) for edge in edges for share in (0.5, 1.0)])
