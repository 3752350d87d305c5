"""The surface of an open book: two pages that bend like a cylinder, a spine between them, and a camera above.

Each page is rolled parallel to the spine: its slope depends on the distance from the spine alone (a generalised
cylinder, as in Cao, Ding and Liu, "A cylindrical surface model to rectify the bound document image", ICCV 2003).
Sixteen numbers describe a spread: how the book lies before the camera, the shape of a page, and how each page bends.
They are fitted to the outline of the pages by Levenberg and Marquardt's method; lengths are in page widths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT)

STEPS = 33
"""Points across a page at which its bend is computed."""
_ALONG = np.linspace(0, 1, STEPS)
_BENDS = np.stack([np.exp(-_ALONG / 0.1), np.ones(STEPS), 1 - 2 * _ALONG, 6 * _ALONG * (1 - _ALONG) - 1])
"""(4, STEPS) shapes that the slope of a page is made of: the climb out of the gutter, a tilt, a bow, a wave."""

ROLL, PITCH, YAW, X, Y, DEPTH, HEIGHT, FOCAL = range(8)
BENDS = {LEFT: slice(8, 12), RIGHT: slice(12, 16)}
USUAL = np.array([0, 0, 0, 0, 0, 0, np.log(1.4), np.log(1.2), *[0] * 8], np.float64)
SPREAD = np.array([np.inf, 0.3, 0.3, np.inf, np.inf, np.inf, 0.12, 0.25, *[0.7, 0.3, 0.4, 0.2] * 2])
"""What is usual, and its standard deviation: radians, shares of the picture, logarithms of page widths, radians."""

STEEP, STEEP_SPREAD = 0.7, 0.1
"""Radians beyond which a page is hardly ever steep away from the gutter."""

DAMPING, MOST_STEPS, ENOUGH = 1e-2, 40, 1e-4
STEP = 1e-5


@dataclass(frozen=True, eq=False)
class SpreadSurface:
    """A book before the camera.

    Attributes:
        parameters: (16,) float64: roll, pitch and yaw in radians; the middle of the spine in the picture, as a share
            of its long side from its middle; logarithms of the distance, the height of a page, and the focal length
            (as a share of the long side); and four slopes of each page.
        size: (W, H) of the picture in pixels.
    """

    parameters: Floats
    size: tuple[int, int]

    @property
    def height(self) -> float:
        """Height of a page, in page widths."""
        return float(np.exp(self.parameters[HEIGHT]))

    def project(self, side: str, along: Floats, down: Floats) -> Floats:
        """Pixels (..., 2) of points of a page.

        Args:
            side: one of `SIDES`.
            along: (...,) distance from the spine on the paper, 0 to 1.
            down: (...,) distance from the upper edge, as a share of the page's height, 0 to 1.
        """
        p, long = self.parameters, max(self.size)
        slope = p[BENDS[side]] @ _BENDS
        x, z = (
            np.interp(along, _ALONG, np.append(0.0, np.cumsum((part[1:] + part[:-1]) / 2 / (STEPS - 1))))
            for part in (np.cos(slope), np.sin(slope))
        )
        # The picture's y points down and its z away: the book's own axes are turned over.
        points = np.stack([x if side == RIGHT else -x, (down - 0.5) * self.height, -z], axis=-1)
        depth, focal = np.exp(p[DEPTH]), np.exp(p[FOCAL])
        (cr, cp, cy), (sr, sp, sy) = np.cos(p[:3]), np.sin(p[:3])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        seen = points @ (roll @ pitch @ yaw).T + depth * np.array([p[X] / focal, p[Y] / focal, 1.0])
        pixels = seen[..., :2] / np.maximum(seen[..., 2:], 0.05) * focal * long
        return np.asarray(pixels + (np.array(self.size) - 1) / 2)

    def outline(self, side: str) -> Floats:
        """(2 `STEPS`, 2) pixels around a page: along its upper edge from the spine, and back along its lower edge."""
        along = np.linspace(0, 1, STEPS)
        there = self.project(side, along, np.zeros(STEPS))
        return np.concatenate([there, self.project(side, along[::-1], np.ones(STEPS))])

    def edges(self, side: str, steps: int) -> Floats:
        """(3 steps, 2) pixels: points of the upper edge, the lower edge and the fore-edge of a page."""
        along, one = np.linspace(0.03, 1, steps), np.ones(steps)
        down = np.linspace(0, 1, steps)
        return self.project(side, np.concatenate([along, along, one]), np.concatenate([0 * one, one, down]))

    def spine(self, steps: int) -> Floats:
        """(steps, 2) pixels along the spine, downwards."""
        return self.project(RIGHT, np.zeros(steps), np.linspace(0, 1, steps))

    def too_steep(self, side: str) -> Floats:
        """(STEPS,) how much steeper a page is than pages lie, in standard deviations; 0 at the gutter."""
        slope = np.abs(self.parameters[BENDS[side]] @ _BENDS)
        return np.asarray(np.maximum(0, slope - STEEP) * (_ALONG > 0.1) / STEEP_SPREAD)

    def scaled(self, size: tuple[int, int]) -> SpreadSurface:
        """The same surface in the same picture at another size."""
        return SpreadSurface(self.parameters, size)

    def fit(self, residuals: Callable[[SpreadSurface], Floats]) -> SpreadSurface:
        """The surface with the least sum of squared residuals, those from what is usual included.

        Args:
            residuals: gives (N,) numbers for a surface, in units of their standard deviation.
        """

        def cost(parameters: Floats) -> Floats:
            return np.concatenate([residuals(SpreadSurface(parameters, self.size)), (parameters - USUAL) / SPREAD])

        now, damping = self.parameters, DAMPING
        errors = cost(now)
        for _ in range(MOST_STEPS):
            jacobian = np.stack([(cost(now + step) - errors) / STEP for step in np.eye(len(now)) * STEP], axis=1)
            normal, gradient = jacobian.T @ jacobian, jacobian.T @ errors
            before = errors @ errors
            while damping < 1e6:
                step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-6), -gradient)
                tried = cost(now + step)
                if tried @ tried < before:
                    now, errors, damping = now + step, tried, damping / 5
                    break
                damping *= 5
            if before - errors @ errors < ENOUGH * before:
                break
        return SpreadSurface(now, self.size)
