"""Where the pages lie in a picture: a surface is fitted to the maps of the network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from flipdetect.pages.network import Image, Map, Mask, large_pieces
from flipdetect.pages.surface import DEPTH, FOCAL, HEIGHT, LEFT, RIGHT, ROLL, SIDES, USUAL, Floats, SpreadSurface, X, Y

FINE = 512
"""Pixels of the long side at which the maps are compared with the surface."""

BLUNT = 1.5
"""Pixels of `FINE` by which neighbouring points of the map are off together: its edges are smooth."""

LIKE_A_PAGE = 0.5
"""What has less confidence has not the shape of a page: there is no book."""

CLEAR = 0.91
"""Least confidence of the pages from which no other start, and no other gutter, is tried."""

DETAIL, REACH, SEARCHED, LEAST_EDGE = 1024, 0.012, 40, 4.0
"""Pixels of the long side at which outlines are refined, how far from them edges are searched (a share of it), at how
many points of each edge of a page, and levels of brightness per pixel of an edge."""

LEAST_PAGE = 0.02
"""A page has at least this share of the picture."""
LEAST_GUTTER = 0.06
LEAST_LIKELY, TRIES, NEAR = 0.35, 200, 0.015
"""The gutter is at least as long as this share of the picture's long side, and its places lie this near to a line."""


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


def find_spread(maps: Map, size: tuple[int, int]) -> SpreadOutline | None:
    """The pages in a picture of `size` (W, H), from the maps of a `PageNetwork`; None if there is no book."""
    fine = (round(size[0] * FINE / max(size)), round(size[1] * FINE / max(size)))
    page, gutter = (1 / (1 + np.exp(-cv2.resize(part, fine, interpolation=cv2.INTER_LINEAR))) for part in maps)
    inside = large_pieces(page > 0.5).astype(np.uint8)
    if inside.mean() < LEAST_PAGE:
        return None
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    found: list[tuple[float, SpreadOutline]] = []
    clear = False
    lines: list[Floats | None] = [*_gutter_lines(gutter)]
    for line in lines or [None]:
        sides: tuple[str, ...] = (RIGHT,)
        if line is not None:
            across = _across(np.argwhere(inside)[:, ::-1].astype(np.float64), line)
            areas = {LEFT: float((across < 0).sum()), RIGHT: float((across > 0).sum())}
            sides = tuple(side for side in SIDES if areas[side] > 0.05 * max(areas.values()))
        start_line = line
        if start_line is None:  # out of view: the left long side of the rectangle around the page
            corners = cv2.boxPoints(cv2.minAreaRect(cv2.findNonZero(inside)))
            ends = sorted(
                zip(corners, np.roll(corners, -1, axis=0), strict=True), key=lambda e: -np.hypot(*(e[1] - e[0]))
            )
            first, second = min(ends[:2], key=lambda e: float(e[0][0] + e[1][0]))
            direction = (second - first) / np.linalg.norm(second - first)
            start_line = np.array([(first + second) / 2, direction * (1 if direction[1] >= 0 else -1)], np.float64)
        for start in _starts(inside, start_line, fine):
            surface = start.fit(lambda one: _residuals(one, distance, line, sides))  # noqa: B023 (called at once)
            outline = _compared(surface, sides, page, line)
            spine = surface.spine(24)
            likely = _sampled(gutter, spine).sum() / max(1, _in_view(spine, fine).sum())
            # Where nothing speaks for a gutter, pages may be parted in the wrong place.
            trust = 1.0 if line is None else min(1.0, 0.75 + 0.4 * float(likely))
            outline = replace(outline, confidence={side: trust * one for side, one in outline.confidence.items()})
            found.append((min(outline.confidence.values()) + likely, outline))
            if clear := min(outline.confidence.values()) > CLEAR:
                break
        if clear:
            break
    best = max(found, key=lambda pair: pair[0])[1]
    if max(best.confidence.values()) < LIKE_A_PAGE:
        return None
    return SpreadOutline(best.surface.scaled(size), best.confidence, best.in_view)


def refine(outline: SpreadOutline, picture: Image) -> SpreadOutline:
    """An outline moved to the edges that a picture (H, W, 3) uint8 shows close to it, in finer steps than the maps'."""
    factor = min(1.0, DETAIL / max(picture.shape[:2]))
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    image = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0).astype(np.float32)
    begin, sides = outline.surface.scaled(size), tuple(outline.confidence)
    points = np.concatenate([begin.edges(side, SEARCHED).reshape(3, SEARCHED, 2) for side in sides])
    along = np.gradient(points, axis=1)
    normals = np.stack([-along[..., 1], along[..., 0]], axis=-1) / np.linalg.norm(along, axis=-1, keepdims=True)
    reach = max(4, round(REACH * max(size)))
    offsets = np.arange(-reach, reach + 1)
    places = (points[:, :, None] + normals[:, :, None] * offsets[:, None]).astype(np.float32)
    x, y = np.moveaxis(places.reshape(-1, len(offsets), 2), -1, 0)
    profile = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    edge = np.abs(np.gradient(profile, axis=1)).max(axis=2) * np.exp(-2 * (offsets / reach) ** 2)
    off = offsets[edge.argmax(axis=1)].astype(np.float64).reshape(points.shape[:2])
    seen = _in_view(points, size)
    usual = np.median(
        np.lib.stride_tricks.sliding_window_view(np.pad(off, ((0, 0), (4, 4)), "edge"), 9, axis=1), axis=-1
    )
    clear = seen & (edge.max(axis=1).reshape(off.shape) > LEAST_EDGE) & (np.abs(off - usual) < 3)
    off, weight, spine = np.where(clear, off, 0.0), np.where(clear, 1.0, 0.15) * seen, begin.spine(16)

    def residuals(surface: SpreadSurface) -> Floats:
        now = np.concatenate([surface.edges(side, SEARCHED).reshape(3, SEARCHED, 2) for side in sides])
        apart = ((now - points) * normals).sum(axis=-1) - off
        apart = apart / np.sqrt(1 + np.abs(apart) / 3) * weight / 2
        steep = (surface.too_steep(side) for side in sides)
        return np.concatenate([apart.ravel(), (surface.spine(16) - spine).ravel() / 3, *steep])

    return replace(outline, surface=begin.fit(residuals).scaled(outline.surface.size))


def _gutter_lines(gutter: Map) -> list[Floats]:
    """Up to two places of the gutter, the likeliest first: (2, 2) each, a point and the direction, downwards.

    Of the lines through two places that may be gutter, it is the one with most of them near it (RANSAC).
    """
    rows, columns = np.nonzero(gutter > LEAST_LIKELY)
    places = np.stack([columns, rows], axis=1).astype(np.float64)
    long, rng, lines = max(gutter.shape), np.random.default_rng(0), list[Floats]()
    while len(places) > 1 and len(lines) < 2:
        chosen = places[rng.integers(len(places), size=400)]
        likely = gutter[chosen[:, 1].astype(np.intp), chosen[:, 0].astype(np.intp)]
        first, second = (places[rng.integers(len(places), size=TRIES)] for _ in range(2))
        direction = second - first
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
        offset = chosen[None] - first[:, None]
        apart = np.abs(offset[..., 0] * direction[:, None, 1] - offset[..., 1] * direction[:, None, 0])
        best = int(np.argmax((apart < NEAR * long) @ likely))
        away = np.abs(_across(places, np.stack([first[best], direction[best]])))
        near = places[away < NEAR * long].astype(np.float32)
        vx, vy, x, y = cv2.fitLine(near, cv2.DIST_HUBER, 0, 0.01, 0.01).ravel().tolist()
        if np.ptp((near - [x, y]) @ [vx, vy]) < LEAST_GUTTER * long:
            break
        lines.append(np.array([[x, y], [vx, vy]]) * ([[1], [1]] if vy >= 0 else [[1], [-1]]))
        places = places[away > 3 * NEAR * long]
    return lines


def _across(points: Floats, line: Floats) -> Floats:
    """(...,) signed distance from a line, positive to the right of one who looks up it."""
    return np.asarray((points - line[0]) @ np.array([line[1][1], -line[1][0]]))


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


def _residuals(surface: SpreadSurface, distance: Map, line: Floats | None, sides: tuple[str, ...]) -> Floats:
    """Distances of the surface's edges from those of the mask, and of its spine from the gutter, out of view 0."""
    edges = np.concatenate([surface.edges(side, 24) for side in sides])
    spine = surface.spine(16)
    apart = _sampled(distance, spine) if line is None else _across(spine, line) * _in_view(spine, surface.size)
    off = np.concatenate([_sampled(distance, edges), apart])
    # Far points pull less: a hand, or paper beside the book.
    off = off / np.sqrt(1 + np.abs(off) / 8) / BLUNT
    return np.concatenate([off, *(surface.too_steep(side) for side in sides)])


def _in_view(points: Floats, size: tuple[int, int]) -> Mask:
    return np.asarray(((points > 1) & (points < np.array(size) - 2)).all(axis=-1))


def _sampled(distance: Map, points: Floats) -> Floats:
    x, y = np.clip(points, 0, [distance.shape[1] - 1.001, distance.shape[0] - 1.001]).T
    left, top = x.astype(np.intp), y.astype(np.intp)
    fx, fy = x - left, y - top
    upper = distance[top, left] * (1 - fx) + distance[top, left + 1] * fx
    lower = distance[top + 1, left] * (1 - fx) + distance[top + 1, left + 1] * fx
    size = (distance.shape[1], distance.shape[0])
    return np.asarray((upper * (1 - fy) + lower * fy) * _in_view(points, size))


def _compared(surface: SpreadSurface, sides: tuple[str, ...], page: Map, line: Floats | None) -> SpreadOutline:
    """A fitted surface, with what the network's map (h, w) says of each page: soft IoU, and the share in view."""
    height, width = page.shape
    y, x = np.mgrid[0:height, 0:width]
    confidence, in_view = {}, {}
    for side in sides:
        outline = surface.outline(side)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
        own = page
        if line is not None:
            across = _across(np.stack([x, y], axis=-1).astype(np.float64), line)
            own = page * ((across > 0) if side == RIGHT else (across < 0))
        confidence[side] = float((own * mask).sum() / max(np.maximum(own, mask).sum(), 1.0))
        area = abs(float(cv2.contourArea(outline.astype(np.float32))))
        in_view[side] = min(1.0, float(mask.sum()) / max(area, 1.0))
    return SpreadOutline(surface, confidence, in_view)
