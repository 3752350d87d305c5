"""The form of a hand seen from above: a skeleton of tapered capsules melted into a height field.

Hand space: the wrist is the origin, y runs along the middle finger, the unit is the length from the wrist to
the tip of the middle finger. It is a right hand seen from the back, with the thumb at negative x; a left hand
is its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Picture = NDArray[np.float32]

POSES = ("flat", "relaxed", "pinch", "point")

LEFT, RIGHT, TOP, BOTTOM = -0.62, 0.52, 1.08, -2.3
"""What the hand picture spans in hand space: room for spread fingers, and a forearm that leaves the frame."""

MELT = 0.012
"""Softness with which neighbouring parts run into each other, in hand lengths."""

KNUCKLES = {"index": (-0.125, 0.500), "middle": (-0.035, 0.525), "ring": (0.055, 0.500), "little": (0.135, 0.440)}
LENGTHS = {"index": 0.415, "middle": 0.470, "ring": 0.435, "little": 0.335}
RADII = {"index": 0.053, "middle": 0.055, "ring": 0.052, "little": 0.045}
FANS = {"index": 0.9, "middle": 0.15, "ring": -0.6, "little": -1.5}
"""By how much of the spread angle a finger leans towards the thumb."""

PHALANGES = (0.46, 0.31, 0.23)


@dataclass(frozen=True)
class Bone:
    """A tapered capsule: two ends (x, y, z) and their radii, in hand lengths."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    thick: float
    thin: float


@dataclass(frozen=True)
class Skeleton:
    """A posed hand.

    Attributes:
        bones: all capsules.
        joints: (x, y, radius, direction) of finger joints, for creases and redness.
        nails: (x, y, radius, direction) of finger nails; direction in radians from +y towards -x.
        tips: (K, 2) fingertips: index, middle, ring, little, thumb.
    """

    bones: tuple[Bone, ...]
    joints: tuple[tuple[float, float, float, float], ...]
    nails: tuple[tuple[float, float, float, float], ...]
    tips: tuple[tuple[float, float], ...]

    def thumb(self) -> Skeleton:
        """The thumb's two outer bones alone; they are the last."""
        return Skeleton(self.bones[-2:], (), (), ())

    def anchor(self, pose: str) -> tuple[float, float]:
        """The point of the hand that touches what it touches: between thumb and index, or a fingertip."""
        index, middle, thumb = self.tips[0], self.tips[1], self.tips[4]
        if pose == "pinch":
            return ((index[0] + thumb[0]) / 2, (index[1] + thumb[1]) / 2)
        if pose == "point":
            return (index[0], index[1] - 0.03)
        return ((index[0] + middle[0]) / 2, (index[1] + middle[1]) / 2 - 0.05)


def pose_hand(rng: np.random.Generator, pose: str) -> Skeleton:
    """A hand in one of `POSES`, a little different each time."""
    spread = {"flat": rng.uniform(0.02, 0.3), "relaxed": 0.1, "pinch": 0.08, "point": 0.05}[pose]
    girth = float(rng.uniform(0.9, 1.1))
    bones, joints, nails, tips = [*_palm(girth)], [], [], []
    for name in KNUCKLES:
        curl = _curl(rng, pose, name)
        lean = spread * FANS[name] + rng.normal(0, 0.025)
        if pose == "pinch" and name == "index":
            lean += 0.16
        chain = _chain((*KNUCKLES[name], 0.055), LENGTHS[name] * rng.uniform(0.96, 1.04), lean, curl)
        radius = RADII[name] * girth
        widths = (radius, radius * 0.93, radius * 0.86, radius * 0.7)
        bones += [Bone(chain[part], chain[part + 1], widths[part], widths[part + 1]) for part in range(3)]
        joints += [(*chain[part][:2], widths[part], lean) for part in range(3)]
        if curl < 0.85:
            nails.append((*_toward(chain[2], chain[3], 0.8), widths[3], lean))
        tips.append(chain[3][:2])
    thumb = _thumb(rng, pose)
    widths = (0.075 * girth, 0.058 * girth, 0.054 * girth, 0.042 * girth)
    bones += [Bone(thumb[part], thumb[part + 1], widths[part], widths[part + 1]) for part in range(3)]
    direction = float(np.arctan2(thumb[2][0] - thumb[3][0], thumb[3][1] - thumb[2][1]))
    joints.append((*thumb[2][:2], widths[2], direction))
    nails.append((*_toward(thumb[2], thumb[3], 0.85), widths[3] * 1.1, direction))
    tips.append(thumb[3][:2])
    return Skeleton(tuple(bones), tuple(joints), tuple(nails), tuple(tips))


def height_field(skeleton: Skeleton, pixels_per_unit: float) -> tuple[Picture, Picture]:
    """The surface and outline of a hand.

    Returns:
        (h, w) float32 height in hand lengths and (h, w) float32 distance inside the outline (negative: outside),
        in hand lengths; row 0 is the fingers' end.
    """
    x, y = grid(pixels_per_unit)
    total = np.full(x.shape, 1e-9, np.float32)
    inside = np.full(x.shape, -1.0, np.float32)
    for bone in skeleton.bones:
        (x0, y0, z0), (x1, y1, z1) = bone.start, bone.end
        reach = max(bone.thick, bone.thin) + 0.06
        here = _window((x0, x1), (y0, y1), reach, pixels_per_unit, x.shape)
        bx, by = x[here], y[here]
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((bx - x0) * dx + (by - y0) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        distance = np.hypot(bx - x0 - along * dx, by - y0 - along * dy)
        radius = bone.thick + along * (bone.thin - bone.thick)
        height = z0 + along * (z1 - z0) + np.sqrt(np.maximum(radius * radius - distance * distance, 0)) * 0.9
        height -= np.maximum(distance - radius, 0) * 6
        total[here] += np.exp(np.clip(height, -0.2, 0.6) / MELT)
        inside[here] = np.maximum(inside[here], radius - distance)
    return np.asarray(MELT * np.log(total), np.float32), inside


def grid(pixels_per_unit: float) -> tuple[Picture, Picture]:
    """Hand coordinates x and y (h, w) of a hand picture's pixels."""
    width, height = round((RIGHT - LEFT) * pixels_per_unit), round((TOP - BOTTOM) * pixels_per_unit)
    x = LEFT + (np.arange(width, dtype=np.float32) + 0.5) / np.float32(pixels_per_unit)
    y = TOP - (np.arange(height, dtype=np.float32) + 0.5) / np.float32(pixels_per_unit)
    columns, rows = np.meshgrid(x, y)
    return np.asarray(columns, np.float32), np.asarray(rows, np.float32)


def _palm(girth: float) -> list[Bone]:
    """Metacarpals, heel of the hand, wrist and forearm."""
    bones = [Bone((x * 0.62, 0.08, 0.03), (x, y, 0.05), 0.078 * girth, 0.062 * girth) for x, y in KNUCKLES.values()]
    bones.append(Bone((-0.07, 0.1, 0.03), (-0.11, 0.36, 0.035), 0.09 * girth, 0.075 * girth))
    bones.append(Bone((0.07, 0.06, 0.03), (0.125, 0.38, 0.035), 0.085 * girth, 0.065 * girth))
    bones.append(Bone((0.01, 0.26, 0.02), (0.0, -0.3, 0.02), 0.158 * girth, 0.112 * girth))
    bones.append(Bone((0.0, -0.05, 0.02), (0.0, -0.4, 0.02), 0.122 * girth, 0.122 * girth))
    bones.append(Bone((0.0, -0.35, 0.02), (0.0, -2.6, 0.03), 0.12 * girth, 0.27 * girth))
    # The web between thumb and palm, and the ball of the thumb.
    bones.append(Bone((-0.15, 0.26, 0.0), (-0.12, 0.40, 0.015), 0.055 * girth, 0.05 * girth))
    bones.append(Bone((-0.06, 0.14, 0.04), (-0.13, 0.27, 0.03), 0.085 * girth, 0.07 * girth))
    return bones


def _curl(rng: np.random.Generator, pose: str, name: str) -> float:
    """How far a finger is bent: 0 straight, 1 tucked under the palm."""
    base = {
        "flat": 0.08,
        "relaxed": 0.45,
        "pinch": 0.62 if name == "index" else {"middle": 0.62, "ring": 0.75, "little": 0.8}.get(name, 0.7),
        "point": 0.1 if name == "index" else 0.95,
    }[pose]
    return float(np.clip(base + rng.normal(0, 0.06), 0, 1))


def _chain(
    start: tuple[float, float, float], length: float, lean: float, curl: float
) -> list[tuple[float, float, float]]:
    """Ends of the three phalanges of a finger that leans and curls."""
    points, pitch = [start], 0.12
    for part, share in enumerate(PHALANGES):
        pitch -= curl * (0.5, 0.95, 0.6)[part]
        x, y, z = points[-1]
        flat = length * share * max(float(np.cos(pitch)), 0.12)
        rise = length * share * float(np.sin(pitch)) * 0.55
        points.append((x - float(np.sin(lean)) * flat, y + float(np.cos(lean)) * flat, max(z + rise, -0.03)))
    return points


def _thumb(rng: np.random.Generator, pose: str) -> list[tuple[float, float, float]]:
    angles = {
        "flat": (0.95, 0.6, 0.35),
        "relaxed": (0.75, 0.3, 0.05),
        "pinch": (0.8, 0.2, -0.35),
        "point": (0.6, 0.1, -0.5),
    }
    points = [(-0.06, 0.10, 0.02)]
    for angle, length in zip(angles[pose], (0.22, 0.18, 0.15), strict=True):
        turn = angle + float(rng.normal(0, 0.05))
        x, y, _ = points[-1]
        points.append((x - float(np.sin(turn)) * length, y + float(np.cos(turn)) * length, 0.02))
    return points


def _toward(start: tuple[float, ...], end: tuple[float, ...], share: float) -> tuple[float, float]:
    return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))


def window_around(
    x: float, y: float, reach: float, pixels_per_unit: float, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Rows and columns of a hand picture within `reach` of a point of hand space."""
    return _window((x, x), (y, y), reach, pixels_per_unit, shape)


def _window(
    xs: tuple[float, float], ys: tuple[float, float], reach: float, pixels_per_unit: float, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    top = int(np.clip((TOP - max(ys) - reach) * pixels_per_unit, 0, shape[0]))
    bottom = int(np.clip((TOP - min(ys) + reach) * pixels_per_unit + 1, 0, shape[0]))
    left = int(np.clip((min(xs) - reach - LEFT) * pixels_per_unit, 0, shape[1]))
    right = int(np.clip((max(xs) + reach - LEFT) * pixels_per_unit + 1, 0, shape[1]))
    return slice(top, bottom), slice(left, right)
