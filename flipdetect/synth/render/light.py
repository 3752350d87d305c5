"""How a surface is lit: one soft lamp or window, and light from everywhere; colours in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BRIGHTEST = 1.45
"""Paper turned straight at a low lamp would outshine the desk more than a phone's exposure shows."""


@dataclass(frozen=True)
class Light:
    """The light over a desk; a flat surface has brightness 1.

    Attributes:
        direction: (3,) unit vector towards the lamp.
        ambient: share of the light that comes from everywhere, 0 to 1.
        softness: blur of a shadow, as a share of the height of what casts it.
        through: share of the lamp's light that passes through a sheet of paper.
    """

    direction: tuple[float, float, float]
    ambient: float
    softness: float
    through: float

    def shade(self, normals: Floats) -> Floats:
        """Brightness (N,) of paper with unit normals (N, 3) towards the viewer."""
        lamp = np.asarray(self.direction)
        facing = normals @ lamp / lamp[2]
        direct = np.maximum(facing, 0) + self.through * np.maximum(-facing, 0)
        hemisphere = 0.62 + 0.38 * normals[:, 2]
        return np.asarray(np.minimum(self.ambient * hemisphere + (1 - self.ambient) * direct, BRIGHTEST))

    def shadow_of(self, points: Floats, plane_z: float) -> Floats:
        """Where points (..., 3) throw their shadow on the plane z = `plane_z`: (..., 3)."""
        lamp = np.asarray(self.direction)
        above = np.maximum(points[..., 2:] - plane_z, 0)
        shadow = points - lamp * (above / lamp[2])
        shadow[..., 2] = plane_z
        return np.asarray(shadow)


def linear(colour: NDArray[np.generic] | tuple[float, float, float]) -> NDArray[np.float32]:
    """Linear light (float32, 0 to 1) of display colours (0 to 255), by the usual exponent 2.2."""
    return np.asarray((np.asarray(colour, np.float32) / 255) ** np.float32(2.2), np.float32)
