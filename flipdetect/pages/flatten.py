"""A page as it would lie flat: perspective and curl removed by the surface, what is left by the lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.surface import RIGHT, Floats, SpreadSurface

Image = NDArray[np.uint8]

NODES = 33
"""Rows and columns of the grid at which the surface is projected; in between, places are interpolated."""

TRACED = 900
"""Pixels of a page's height at which lines of text are traced."""
FEWEST_LINES, LEAST_REACH = 6, 0.3
"""Lines that are needed, and the share of the page's height that they cover."""
ROUNDS = 2
"""Lines of text are traced, and the surface is bent until they are level, so many times."""
LINE_SIGMA, EDGE_SIGMA, EDGE_POINTS, TINY = 1 / 900, 6 / 1024, 24, 1e-3
"""Standard deviations of lines (shares of the page's height) and of edges (of the picture's long side): points of an
edge are off together, so that each counts little."""
MOST_SHIFT = 0.04
"""Of a point by the lines of text, as a share of the page's height: more is a mistake."""


@dataclass(frozen=True, eq=False)
class FlatPage:
    """How a page is taken out of its picture.

    Attributes:
        shifts: (4, 3) coefficients of the vertical shift that makes lines of text straight, see `_shift_basis`.
    """

    surface: SpreadSurface
    side: str
    shifts: Floats = field(default_factory=lambda: np.zeros((4, 3)))

    def size(self) -> tuple[int, int]:
        """(W, H) in pixels at which the page has as many pixels as in the picture."""
        outline = self.surface.outline(self.side).astype(np.float32)
        width = float(np.sqrt(cv2.contourArea(outline) / self.surface.height))
        return max(1, round(width)), max(1, round(width * self.surface.height))

    def size_up_to(self, height: int) -> tuple[int, int]:
        """The same, reduced to this height if it is larger."""
        wide, high = self.size()
        factor = min(1.0, height / high)
        return max(1, round(wide * factor)), max(1, round(high * factor))

    def places(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where in the picture the pixels of the flat page are: two (H, W) float32 arrays, x and y."""
        across, down = np.meshgrid(np.linspace(0, 1, NODES), np.linspace(0, 1, NODES))
        lower = down + (_shift_basis(across.ravel(), down.ravel()) @ self.shifts.ravel()).reshape(down.shape)
        along = across if self.side == RIGHT else 1 - across
        grid = self.surface.project(self.side, along, lower).astype(np.float32)
        # Pixel centres: half a pixel inside the page's edges.
        x, y = (((np.arange(side, dtype=np.float32) + 0.5) / side * (NODES - 1)) for side in size)
        columns, rows = np.meshgrid(x, y)
        return tuple(cv2.remap(grid[..., k], columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
                     for k in (0, 1))  # type: ignore[return-value]  # fmt: skip

    def lines(self, picture: Image) -> list[Floats]:
        """The lines of text of the page in a picture (H, W, 3) uint8, as `trace_lines` gives them."""
        return trace_lines(self.cut(picture, self.size_up_to(TRACED)))

    def cut(self, picture: Image, size: tuple[int, int]) -> Image:
        """The page (H, W, 3) uint8 of a picture of the surface's size; what is out of view is white."""
        x, y = self.places(size)
        return np.asarray(
            cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=(255, 255, 255))
        )


def flat_page(picture: Image, surface: SpreadSurface, side: str) -> FlatPage:
    """How a page of a picture (H, W, 3) uint8 is made flat: by the surface, and by its lines of text.

    By the surface alone where there are too few lines, or they disagree.
    """
    plain = FlatPage(surface, side)
    lines = plain.lines(picture)
    heights = [float(np.median(line[:, 1])) for line in lines]
    if not _suffice(lines):
        return plain
    rows, targets = [], []
    for line, height in zip(lines, heights, strict=True):
        basis = _shift_basis(line[:, 0], np.full(len(line), height))
        rows.append(basis - basis.mean(axis=0))
        targets.append(line[:, 1] - line[:, 1].mean())
    matrix, target = np.concatenate(rows), np.concatenate(targets)
    weights, solution = np.ones(len(target)), np.zeros(12)
    # Few lines, or short ones, say little of what lies beyond them: a ridge keeps the page as it is there.
    ridge = np.eye(12) * 1e-3 * len(target)
    for _ in range(6):
        weighted = matrix * weights[:, None]
        solution = np.linalg.solve(weighted.T @ matrix + ridge, weighted.T @ target)
        off = np.abs(target - matrix @ solution)
        limit = 2 * float(np.median(off)) + 1e-6
        weights = np.minimum(1.0, limit / np.maximum(off, 1e-9)) ** 2
    corners = np.array([(x, y) for x in (0.0, 0.25, 0.5, 0.75, 1.0) for y in (0.0, 0.5, 1.0)])
    shifts = _shift_basis(corners[:, 0], corners[:, 1]) @ solution
    return plain if np.abs(shifts).max() > MOST_SHIFT else FlatPage(surface, side, solution.reshape(4, 3))


def level_lines(picture: Image, surface: SpreadSurface, sides: Sequence[str]) -> SpreadSurface:
    """A surface under which the lines of text of a picture (H, W, 3) uint8 are straight and level.

    The same numbers are fitted as to the outline, which stays about where it is; as it was, if there are too few lines.
    """
    for _ in range(ROUNDS):
        traced = (_TracedLines.of(picture, surface, side) for side in sides)
        lines = [some for some in traced if some is not None]
        if not lines:
            break

        def places(now: SpreadSurface) -> Floats:
            return np.concatenate([now.spine(EDGE_POINTS), *(now.edges(side, EDGE_POINTS) for side in sides)])

        sigma, before = EDGE_SIGMA * max(surface.size), places(surface)

        def residuals(now: SpreadSurface) -> Floats:
            off = [*(some.off(now) / LINE_SIGMA for some in lines), (places(now) - before).ravel() / sigma]  # noqa: B023
            apart = np.concatenate(off)
            blunted = apart / np.sqrt(1 + np.abs(apart) / 3)  # large ones, which are mistakes, pull less
            return np.concatenate([blunted, *(now.too_steep(side) for side in sides)])

        surface = surface.fit(residuals)
    return surface


@dataclass(frozen=True, eq=False)
class _TracedLines:
    """Points along the lines of text of a page.

    Attributes:
        along, down: (N,) where the points are on the page of the surface under which they were traced.
        pixels: (N, 2) where they are in the picture.
        lower: (N, 2) change of `down` with each pixel.
        begins, counts: (L,) of each line.
    """

    side: str
    along: Floats
    down: Floats
    pixels: Floats
    lower: Floats
    begins: NDArray[np.intp]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, picture: Image, surface: SpreadSurface, side: str) -> _TracedLines | None:
        """Of a picture; None if a page has too few of them."""
        lines = FlatPage(surface, side).lines(picture)
        if not _suffice(lines):
            return None
        across, down = np.concatenate(lines).T
        along = across if side == RIGHT else 1 - across
        by_along, by_down = (
            (surface.project(side, along + x, down + y) - surface.project(side, along - x, down - y)) / (2 * TINY)
            for x, y in ((TINY, 0), (0, TINY))
        )
        # The lower row of the inverse of the Jacobian matrix.
        area = by_along[:, 0] * by_down[:, 1] - by_along[:, 1] * by_down[:, 0]
        lower = np.stack([-by_along[:, 1], by_along[:, 0]], axis=1) / area[:, None]
        counts = np.array([len(line) for line in lines])
        return cls(side, along, down, surface.project(side, along, down), lower, np.cumsum(counts) - counts, counts)

    def off(self, surface: SpreadSurface) -> Floats:
        """(N,) how much lower than its line a point is under another surface, as a share of the page's height."""
        moved = self.pixels - surface.project(self.side, self.along, self.down)
        down = self.down + (moved * self.lower).sum(axis=1)
        return np.asarray(down - np.repeat(np.add.reduceat(down, self.begins) / self.counts, self.counts))


def _suffice(lines: list[Floats]) -> bool:
    return len(lines) >= FEWEST_LINES and float(np.ptp([np.median(line[:, 1]) for line in lines])) >= LEAST_REACH


def ink_of(page: Image) -> Image:
    """(H, W) uint8, 1 where a page (H, W, 3) uint8 is darker than what is around."""
    grey, around = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY), max(3, page.shape[0] // 30) | 1
    return np.asarray(cv2.adaptiveThreshold(grey, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, around, 12))


def trace_lines(page: Image) -> list[Floats]:
    """The lines of text of a page (H, W, 3) uint8.

    Returns:
        for each line (N, 2) float64: x, and the height of the letters' middle there, both as shares of the page.
    """
    height, width = page.shape[:2]
    ink = ink_of(page)
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(ink)
    tall, wide, area = (facts[:, k] for k in (cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH, cv2.CC_STAT_AREA))
    letters = (tall > 2) & (tall < 0.035 * height) & (wide < 0.1 * width) & (area > 5)
    letters[0] = False
    if letters.sum() < 30:
        return []
    size = float(np.median(tall[letters]))
    ink = np.where(letters[pieces], ink, 0).astype(np.uint8)
    joined = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, int(3 * size) | 1), np.uint8))
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(joined)
    lines = []
    for number in range(1, count):
        x, y, wide_here, tall_here, _ = facts[number].tolist()
        if wide_here < 0.2 * width or tall_here > 4 * size + 0.05 * wide_here:
            continue
        rows, columns = np.nonzero((pieces[y : y + tall_here, x : x + wide_here] == number)
                                   & (ink[y : y + tall_here, x : x + wide_here] > 0))  # fmt: skip
        bins = (columns / (2 * size)).astype(np.intp)
        weight = np.bincount(bins)
        some = weight >= size
        middle = np.bincount(bins, columns)[some] / weight[some]
        lines.append(
            np.stack([(x + middle) / width, (y + np.bincount(bins, rows)[some] / weight[some]) / height], axis=1)
        )
    return [line for line in lines if len(line) >= 5]


def _shift_basis(x: Floats, y: Floats) -> Floats:
    """(N, 12) products of four polynomials across the page and three down; nothing is shifted on the page's middle."""
    u, v = 2 * x - 1, 2 * y - 1
    across = np.stack([u, u**2, u**3, u**4], axis=1)
    downward = np.stack([np.ones_like(v), v, v**2], axis=1)
    return np.asarray((across[:, :, None] * downward[:, None, :]).reshape(len(x), 12))
