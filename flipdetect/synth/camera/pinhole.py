"""The phone: a pinhole camera above the desk.

World axes: x to the right, y away from the reader, z up; the unit is one page width; the spine of the book
lies on the y axis and the desk is z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A projection from the world to pixels.

    Attributes:
        matrix: (3, 4) float64, homogeneous world point to homogeneous pixel (x, y, 1).
        eye: (3,) float64, where the camera stands, in page widths.
    """

    matrix: Floats
    eye: Floats

    def project(self, points: Floats) -> Floats:
        """Pixels (..., 2) of world points (..., 3)."""
        image = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return np.asarray(image[..., :2] / image[..., 2:])

    def plane(self, z: float) -> Floats:
        """(3, 3) homography of the horizontal plane at height `z`: (x, y, 1) to the pixel."""
        columns = self.matrix[:, [0, 1, 3]].copy()
        columns[:, 2] += self.matrix[:, 2] * z
        return columns

    def warped(self, warp: Floats) -> Camera:
        """This camera with its picture moved by `warp`, a (3, 3) homography of pixels."""
        return Camera(warp @ self.matrix, self.eye)

    def carried(self, x: float, y: float, turn: float) -> Camera:
        """What this camera sees of things moved by (x, y) on the desk and turned by `turn` radians."""
        if x == y == turn == 0:
            return self
        cos, sin = np.cos(turn), np.sin(turn)
        pose = np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1]])
        eye = np.linalg.solve(pose, np.append(self.eye, 1.0))[:3]
        return Camera(self.matrix @ pose, eye)


def look_at(eye: Floats, target: Floats, roll: float, focal: float, size: tuple[int, int]) -> Camera:
    """A camera at `eye` whose picture's centre shows `target`.

    Args:
        eye: (3,) world position.
        target: (3,) world position.
        roll: radians by which the phone is turned about its viewing axis.
        focal: focal length in pixels.
        size: (width, height) of the picture in pixels.
    """
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, np.array([np.sin(roll), np.cos(roll), 0.0]))
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    lens = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
    return Camera(lens @ np.column_stack([rotation, -rotation @ eye]), eye)


def pixel_motion(size: tuple[int, int], dx: float, dy: float, turn: float = 0.0) -> Floats:
    """(3, 3) homography that moves a picture by (dx, dy) pixels and turns it about its centre."""
    cx, cy = (size[0] - 1) / 2, (size[1] - 1) / 2
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin, cx - cos * cx + sin * cy + dx], [sin, cos, cy - sin * cx - cos * cy + dy], [0, 0, 1]])
