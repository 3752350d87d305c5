"""The paper: a sheet bound at the spine and bent without stretching.

A sheet is part of a generalised cone whose tip lies on the line of the spine (Hong, Card and Chen, "Turning
pages of 3D electronic books", 2006). Rulings run from the tip across the sheet; between neighbouring rulings
the paper is flat, so lengths on the paper are kept exactly. A far tip gives a page that rolls parallel to
the spine; a near tip lets the corner on its side rise first. Pages at rest are sheets too: what lies still
and what moves are drawn by the same code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RULINGS = 40
"""Strips of a sheet: bends of a half turn then show steps of 4.5 degrees, hidden by smooth shading."""

ALONG: Floats = np.linspace(0, 1, RULINGS)
"""Distances from the spine at which the bend is given."""

SMOOTHNESS = 0.6
"""How gently each part of a sheet starts and ends its turn: 0 at constant speed, 1 from and to standstill."""

FLATTEST_TAPER = 0.025
"""A tip 40 page widths away: parallel rulings for the eye, and still well conditioned numbers."""


@dataclass(frozen=True)
class RestProfile:
    """How an open page lies: it climbs out of the gutter and bows down to its edge, perhaps in waves.

    Attributes:
        climb: slope angle at the gutter, in radians.
        reach: distance over which the climb fades, in page widths.
        bow: slope angle lost from spine to edge, in radians.
        wave: slope angle of the waves at their steepest, in radians.
        waves: how many of them there are from spine to edge.
    """

    climb: float
    reach: float
    bow: float
    wave: float = 0.0
    waves: float = 1.0

    def slope(self, along: Floats) -> Floats:
        """Slope angle (N,) in radians at distances `along` (N,) from the spine, in page widths."""
        wave = self.wave * np.sin(2 * np.pi * self.waves * along)
        return np.asarray(self.climb * np.exp(-along / self.reach) - self.bow * along + wave)


@dataclass(frozen=True)
class TurnStyle:
    """How a page is turned.

    Attributes:
        lead: share of the turn by which the free edge runs ahead of the spine; negative: it lags.
        taper: 1 / distance of the cone's tip from the page, at its strongest.
        side: +1 if the tip lies beyond the top edge (the top corner rises first), -1 for the bottom.
        bulge: radians by which the free edge bends further than the rest while it settles.
    """

    lead: float
    taper: float
    side: int
    bulge: float


@dataclass(frozen=True)
class Sheet:
    """A bent sheet as strips between rulings.

    Attributes:
        tip: (3,) the cone's tip in the world.
        flat_tip: (2,) the same on the flat sheet: (distance from the spine, y).
        rulings: (N, 3) unit directions from the tip in the world.
        flat_rulings: (N, 2) the same on the flat sheet.
        near, far: (N,) distances from the tip at which a ruling enters and leaves the sheet.
        normals: (N, 3) unit normals of the front side (the one seen while the sheet lies on the right).
    """

    tip: Floats
    flat_tip: Floats
    rulings: Floats
    flat_rulings: Floats
    near: Floats
    far: Floats
    normals: Floats

    def points(self) -> Floats:
        """(N, 2, 3) world points where each ruling enters and leaves the sheet."""
        reach = np.stack([self.near, self.far], axis=1)
        return np.asarray(self.tip + reach[..., None] * self.rulings[:, None, :])

    def edge_point(self, y: float) -> Floats:
        """(3,) world point of the free edge at height `y` of the flat sheet."""
        return np.asarray(self.edge_points(np.array([y]))[0])

    def edge_points(self, heights: Floats) -> Floats:
        """(N, 3) world points of the free edge at `heights` (N,) of the flat sheet."""
        y = heights - self.flat_tip[1]
        tangents = np.abs(self.flat_rulings[:, 0] / self.flat_rulings[:, 1])
        place = np.clip(np.searchsorted(tangents, 1.0 / np.abs(y)), 1, len(tangents) - 1)
        # On the flat strip the free edge, at distance 1, is a straight line between two rulings: solve for its points.
        (a, b), (c, d) = self.flat_rulings[place - 1].T, self.flat_rulings[place].T
        first, second = np.stack([d - c * y, a * y - b])[..., None] / (a * d - b * c)[:, None]
        return np.asarray(self.tip + first * self.rulings[place - 1] + second * self.rulings[place])


@lru_cache(maxsize=256)
def turned(
    progress: float, right: RestProfile, left: RestProfile, style: TurnStyle, height: float, spine_z: float
) -> Sheet:
    """The sheet at a moment of its turn from right (`progress` 0) to left (1); both ends lie as pages do."""
    # Angles of the paper with the desk, from 0 (flat on the right) to pi (flat on the left), from spine to edge.
    delay = abs(style.lead) * (1 - ALONG if style.lead >= 0 else ALONG)
    local = np.clip((progress * (1 + abs(style.lead)) - delay), 0, 1)
    local = (1 - SMOOTHNESS) * local + SMOOTHNESS * local * local * (3 - 2 * local)
    start, end = right.slope(ALONG), np.pi - left.slope(ALONG)
    settling = math.sin(math.pi * min(max((progress - 0.45) / 0.55, 0), 1)) ** 2
    angles = start + local * (end - start) + style.bulge * settling * (ALONG - 0.3)
    # Pages at rest roll parallel to the spine: the tip comes near as the corner lifts, and leaves for the landing.
    fade = min(max(progress / 0.08, 0), 1) * min(max((1 - progress) / 0.3, 0), 1)
    distance = 1.0 / max(style.taper * fade, FLATTEST_TAPER)
    widest, corner = math.atan2(1.0, distance), math.atan2(1.0, distance + height)
    phi = np.unique(np.append(ALONG * widest, corner))
    rulings, normals = _roll(phi, np.interp(phi / widest, ALONG, angles), style.side)
    flat = np.stack([np.sin(phi), -style.side * np.cos(phi)], axis=1)
    near = distance / np.cos(phi)
    far = np.minimum((distance + height) / np.cos(phi), 1.0 / np.maximum(np.sin(phi), 1e-9))
    tip_y = style.side * (height / 2 + distance)
    return Sheet(np.array([0.0, tip_y, spine_z]), np.array([0.0, tip_y]), rulings, flat, near, far, normals)


def _roll(phi: Floats, theta: Floats, side: int) -> tuple[Floats, Floats]:
    """Directions (N, 3) and normals (N, 3) of rulings: a curve on the unit sphere of given turning.

    Plain numbers: the steps depend on one another, and a sheet is bent for every sample of every frame.
    """
    rx, ry, rz = 0.0, -float(side), 0.0
    tx, ty, tz = math.cos(theta[0]), 0.0, math.sin(theta[0])
    nx, ny, nz = -tz, 0.0, tx
    rulings, normals = [(rx, ry, rz)], [(nx, ny, nz)]
    for step, turn in zip(np.diff(phi).tolist(), np.diff(theta).tolist(), strict=True):
        cos, sin = math.cos(step), math.sin(step)
        rx, ry, rz, tx, ty, tz = (
            cos * rx + sin * tx, cos * ry + sin * ty, cos * rz + sin * tz,
            cos * tx - sin * rx, cos * ty - sin * ry, cos * tz - sin * rz,
        )  # fmt: skip
        cos, sin = math.cos(turn), math.sin(turn)
        tx, ty, tz, nx, ny, nz = (
            cos * tx + sin * nx, cos * ty + sin * ny, cos * tz + sin * nz,
            cos * nx - sin * tx, cos * ny - sin * ty, cos * nz - sin * tz,
        )  # fmt: skip
        rulings.append((rx, ry, rz))
        normals.append((nx, ny, nz))
    return np.array(rulings), np.array(normals)
