"""Where the pages lie in a picture: a small network finds pages and gutter, a surface is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.surface import (
    DEPTH,
    FOCAL,
    HEIGHT,
    RIGHT,
    ROLL,
    SIDES,
    USUAL,
    Floats,
    SpreadSurface,
    X,
    Y,
)

Image = NDArray[np.uint8]
Map = NDArray[np.float32]

LONG_SIDE = 256
"""Pixels of the long side of what the network sees; both sides are multiples of 32."""
STRIDE = 32
FINE = 512
"""Pixels of the long side at which the maps are compared with the surface."""

LEAST_PAGE = 0.02
"""A page has at least this share of the picture."""
LEAST_GUTTER = 0.06
"""The gutter is at least as long as this share of the picture's long side."""


@dataclass(frozen=True, eq=False)
class SpreadOutline:
    """Where the pages of a spread lie.

    Attributes:
        surface: of the book, in pixels of the picture.
        confidence: of each page in view, by side: how well network and surface agree, 0 to 1.
        in_view: share of each of these pages that is inside the picture, 0 to 1.
    """

    surface: SpreadSurface
    confidence: dict[str, float]
    in_view: dict[str, float]


class PageNetwork:
    """The network that finds pages and gutter in a picture.

    Args:
        path: an ONNX file: input `image` (1, 3, h, w) float32 RGB of 0 to 255, output `maps` (1, 2, h / 2, w / 2).
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def maps(self, picture: Image) -> Map:
        """(2, h, w) float32 logits of page and of gutter, for a picture (H, W, 3) uint8 RGB."""
        height, width = picture.shape[:2]
        factor = LONG_SIDE / max(height, width)
        size = [max(STRIDE, round(side * factor / STRIDE) * STRIDE) for side in (width, height)]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        (maps,) = self._session.run(["maps"], {"image": small.transpose(2, 0, 1)[None].astype(np.float32)})
        return np.asarray(maps[0])


def find_spread(maps: Map, size: tuple[int, int]) -> SpreadOutline | None:
    """The pages in a picture of `size` (W, H), from the maps of a `PageNetwork`; None if there is no book."""
    fine = tuple(round(side * FINE / max(size)) for side in size)
    page, gutter = (cv2.resize(part, fine, interpolation=cv2.INTER_LINEAR) for part in maps)
    inside = _largest(page > 0)
    if inside.mean() < LEAST_PAGE:
        return None
    line = _gutter_line(gutter)
    if line is None:
        line, sides = _edge_of(inside), (RIGHT,)
    else:
        sides = SIDES
    best: tuple[float, SpreadSurface, tuple[str, ...]] | None = None
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    present = _sides_in_view(inside, line, sides)
    for start in _starts(inside, line, fine):
        surface, cost = start.fit(lambda one: _residuals(one, distance, line, present, gutter=len(sides) > 1))
        if best is None or cost < best[0]:
            best = cost, surface, present
    assert best is not None
    surface = best[1]
    probability = 1 / (1 + np.exp(-page))
    confidence, in_view = {}, {}
    for side in present:
        confidence[side], in_view[side] = _agreement(surface, side, probability, line, len(sides) > 1)
    return SpreadOutline(surface.scaled(size), confidence, in_view)


def _largest(mask: NDArray[np.bool_]) -> Image:
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros(mask.shape, np.uint8)
    areas = facts[1:, cv2.CC_STAT_AREA]
    return np.isin(pieces, 1 + np.flatnonzero(areas > 0.25 * areas.max())).astype(np.uint8)


def _gutter_line(gutter: Map) -> Floats | None:
    """(2, 2): a point of the gutter and its direction, downwards; None if there is no gutter."""
    points = cv2.findNonZero((gutter > -0.5).astype(np.uint8))
    if points is None:
        return None
    vx, vy, x, y = cv2.fitLine(points, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel().tolist()
    along = (points.reshape(-1, 2) - [x, y]) @ [vx, vy]
    if np.ptp(along) < LEAST_GUTTER * max(gutter.shape):
        return None
    return np.array([[x, y], [vx, vy]]) * ([[1], [1]] if vy >= 0 else [[1], [-1]])


def _edge_of(inside: Image) -> Floats:
    """The left long side of the rectangle around a page whose gutter is out of view, as `_gutter_line` gives it."""
    corners = cv2.boxPoints(cv2.minAreaRect(cv2.findNonZero(inside)))
    sides = [(corners[i], corners[(i + 1) % 4]) for i in range(4)]
    sides.sort(key=lambda ends: -float(np.linalg.norm(ends[1] - ends[0])))
    first, second = min(sides[:2], key=lambda ends: float(ends[0][0] + ends[1][0]))
    direction = (second - first) / np.linalg.norm(second - first)
    return np.array([(first + second) / 2, direction if direction[1] >= 0 else -direction], np.float64)


def _across(points: Floats, line: Floats) -> Floats:
    """(...,) signed distance from a line, positive to the right of one who looks up it."""
    return np.asarray((points - line[0]) @ np.array([line[1][1], -line[1][0]]))


def _sides_in_view(inside: Image, line: Floats, sides: tuple[str, ...]) -> tuple[str, ...]:
    if len(sides) == 1:
        return sides
    across = _across(np.argwhere(inside)[:, ::-1].astype(np.float64), line)
    areas = {"left": float((across < 0).sum()), "right": float((across > 0).sum())}
    return tuple(side for side in SIDES if areas[side] > 0.05 * max(areas.values()))


def _starts(inside: Image, line: Floats, size: tuple[int, int]) -> list[SpreadSurface]:
    """Flat books seen from straight above, as large as the pages: by the length of the gutter and by their width."""
    points = np.argwhere(inside)[:, ::-1].astype(np.float64)
    along, across = (points - line[0]) @ line[1], _across(points, line)
    near = along[np.abs(across) < 0.1 * max(size)]
    near = along if near.size < 20 else near
    tall = float(np.ptp(np.quantile(near, [0.01, 0.99])))
    wide = float(max(np.quantile(across, 0.99), -np.quantile(across, 0.01)))
    middle = line[0] + line[1] * np.quantile(near, [0.01, 0.99]).mean()
    surfaces = []
    for width in (tall / np.exp(USUAL[HEIGHT]), wide):
        parameters = USUAL.copy()
        parameters[ROLL] = np.arctan2(-line[1][0], line[1][1])
        parameters[[X, Y]] = (middle - (np.array(size) - 1) / 2) / max(size)
        parameters[DEPTH] = np.log(np.exp(USUAL[FOCAL]) * max(size) / max(width, 1.0))
        surfaces.append(SpreadSurface(parameters, size))
    return surfaces


def _residuals(
    surface: SpreadSurface, distance: Map, line: Floats, sides: tuple[str, ...], *, gutter: bool
) -> Floats:
    """Distances of the surface's edges from those of the mask, and of its spine from the gutter, out of view 0."""
    edges = np.concatenate([surface.edges(side, 24) for side in sides])
    spine = surface.spine(16)
    if not gutter:
        edges = np.concatenate([edges, spine])
    off = _sampled(distance, edges)
    if gutter:
        apart = _across(spine, line) * _in_view(spine, surface.size)
        off = np.concatenate([off, apart])
    # Far points pull less: a hand, or paper beside the book.
    return np.asarray(off / np.sqrt(1 + np.abs(off) / 8))


def _in_view(points: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(((points > 1) & (points < np.array(size) - 2)).all(axis=-1))


def _sampled(distance: Map, points: Floats) -> Floats:
    x, y = np.clip(points, 0, [distance.shape[1] - 1.001, distance.shape[0] - 1.001]).T
    left, top = x.astype(np.intp), y.astype(np.intp)
    fx, fy = x - left, y - top
    upper = distance[top, left] * (1 - fx) + distance[top, left + 1] * fx
    lower = distance[top + 1, left] * (1 - fx) + distance[top + 1, left + 1] * fx
    size = (distance.shape[1], distance.shape[0])
    return np.asarray((upper * (1 - fy) + lower * fy) * _in_view(points, size))


def _agreement(
    surface: SpreadSurface, side: str, probability: Map, line: Floats, both: bool
) -> tuple[float, float]:
    """How well a page's outline and the network's map agree (soft IoU), and the share of it that is in view."""
    height, width = probability.shape
    outline = surface.outline(side)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    area = abs(float(cv2.contourArea(outline.astype(np.float32))))
    y, x = np.mgrid[0:height, 0:width]
    seen = probability
    if both:
        across = _across(np.stack([x, y], axis=-1).astype(np.float64), line)
        seen = probability * ((across > 0) if side == RIGHT else (across < 0))
    union = float(np.maximum(seen, mask).sum())
    return float((seen * mask).sum()) / max(union, 1.0), min(1.0, float(mask.sum()) / max(area, 1.0))
